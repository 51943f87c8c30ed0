// SPDX-License-Identifier: MIT
#pragma once

// Entries as lines of a JSON file, written straight from the tables.

#include <cstddef>
#include <cstdint>

#include "kvstore/codec.hpp"
#include "kvstore/detail/codec/key.hpp"
#include "kvstore/detail/json/entry_line.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/line_source.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class LineBuffer {
 public:
  /// Appends an entry. If encoding throws, part of it may have been appended.
  template <class Key, class Value>
  void put(const Key& key, const Value& value) {
    write_entry_line(out_, [&] { write_name(key, out_); }, [&] { Codec<Value>::encode(value, out_); });
    ++entries_;
  }

  /// The same for an entry that is text already.
  void put(const Change& change) {
    write_entry_line(out_, change.key, *change.value);
    ++entries_;
  }

  void reserve(std::size_t bytes) { out_.reserve(bytes); }

  /// Forgets the entries, and releases the memory of a huge value.
  void clear() noexcept {
    constexpr std::size_t kKeep = std::size_t{1} << 20;
    if (out_.capacity() > kKeep) out_ = JsonWriter{};
    out_.clear();
    entries_ = 0;
  }

  [[nodiscard]] std::size_t bytes() const noexcept { return out_.size(); }
  [[nodiscard]] EntryLines lines() const noexcept { return {out_.text(), entries_}; }

 private:
  JsonWriter out_;
  std::uint64_t entries_ = 0;
};

}}}  // namespace kvstore::v1::detail
