// SPDX-License-Identifier: MIT
#pragma once

// Changes in the final form of a journal's line, written straight from keys and values. The format's page is
// tests/format/JOURNAL.md.

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

#include "kvstore/codec.hpp"
#include "kvstore/detail/codec/key.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The line of one step, from its separator to its line feed. *Thread safety*: none.
class ChangeLine {
 public:
  /// Begins a line, whose step has more than one change if `several`. May throw, as the other functions; the
  /// line is then begun again.
  void begin(bool several) {
    out_.clear();
    out_.raw(several ? std::string_view{" ["} : std::string_view{" "});
    several_ = several;
    empty_ = true;
  }

  template <class Key, class Value>
  void put(const Key& key, const Value& value) {
    begin_change(key);
    out_.raw(',');
    const std::size_t from = out_.size();
    Codec<Value>::encode(value, out_);
    if (out_.text().find('\n', from) != std::string_view::npos) [[unlikely]]
      put_on_one_line(from);
    out_.raw(']');
  }

  template <class Key>
  void remove(const Key& key) {
    begin_change(key);
    out_.raw(']');
  }

  /// Removes every entry; the only change of its step.
  void clear() { out_.raw("[]"); }

  /// Ends the line, which is valid until this object is used again.
  [[nodiscard]] SealedLine end() {
    out_.raw(several_ ? std::string_view{"]\n"} : std::string_view{"\n"});
    return SealedLine{out_.text()};
  }

  /// Keeps no more than about a MiB of memory, after a huge value.
  void shrink() noexcept {
    constexpr std::size_t kKeep = std::size_t{1} << 20;
    if (out_.capacity() <= kKeep) return;
    out_.clear();
    out_.shrink(kKeep);
  }

 private:
  template <class Key>
  void begin_change(const Key& key) {
    out_.raw(empty_ ? std::string_view{"["} : std::string_view{",["});
    empty_ = false;
    if constexpr (std::same_as<Key, std::string_view>)
      out_.string(key);
    else
      write_name(key, out_);
  }

  /// JSON may have line feeds between its tokens, where a space means the same.
  [[gnu::noinline, gnu::cold]] void put_on_one_line(std::size_t from) {
    std::string json{out_.text().substr(from)};
    for (char& byte : json) {
      if (byte == '\n') byte = ' ';
    }
    out_.truncate(from);
    out_.raw(json);
  }

  JsonWriter out_;
  bool several_ = false;
  bool empty_ = true;  // no change yet
};

}}}  // namespace kvstore::v1::detail
