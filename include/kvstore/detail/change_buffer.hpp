// SPDX-License-Identifier: MIT
#pragma once

// Changes as text, one after another in one reused buffer: what snapshots, captures and the change log hold.

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "kvstore/codec.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

class ChangeBuffer {
 public:
  /// Appends an entry. Strong: if encoding throws, the buffer is as before.
  template <class Key, class Value>
  void put(const Key& key, const Value& value) {
    append([&] {
      KeyText<Key>::append(key, text_);
      const std::size_t key_end = text_.size();
      Codec<Value>::encode(value, text_);
      return Ends{key_end, text_.size()};
    });
  }

  /// Appends a removal. Strong, as `put`.
  template <class Key>
  void remove(const Key& key) {
    append([&] {
      KeyText<Key>::append(key, text_);
      return Ends{text_.size(), kRemoved};
    });
  }

  /// Appends all changes of `other`.
  void append(const ChangeBuffer& other) {
    const std::size_t base = text_.size();
    ends_.reserve(ends_.size() + other.ends_.size());
    text_.raw(other.text_.text());
    for (const Ends& ends : other.ends_) {
      ends_.push_back({ends.key + base, ends.value == kRemoved ? kRemoved : ends.value + base});
    }
  }

  /// Forgets all but the first `count` changes.
  void truncate(std::size_t count) noexcept {
    text_.truncate(count == 0 ? 0 : ends_[count - 1].end());
    ends_.resize(count);
  }

  [[nodiscard]] std::size_t count() const noexcept { return ends_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return text_.size(); }
  [[nodiscard]] bool empty() const noexcept { return ends_.empty(); }
  void clear() noexcept { truncate(0); }

  /// The change number `index`; its views die when the buffer changes.
  [[nodiscard]] Change operator[](std::size_t index) const noexcept {
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1].end();
    const Ends& ends = ends_[index];
    const std::string_view text = text_.text();
    Change change{text.substr(begin, ends.key - begin), std::nullopt};
    if (ends.value != kRemoved) change.value = text.substr(ends.key, ends.value - ends.key);
    return change;
  }

 private:
  static constexpr std::size_t kRemoved = static_cast<std::size_t>(-1);

  struct Ends {
    std::size_t key;
    std::size_t value;  // or kRemoved
    [[nodiscard]] std::size_t end() const noexcept { return value == kRemoved ? key : value; }
  };

  template <class Encode>
  void append(const Encode& encode) {
    const std::size_t before = text_.size();
    try {
      ends_.push_back(encode());
    } catch (...) {
      text_.truncate(before);
      throw;
    }
  }

  JsonWriter text_;
  std::vector<Ends> ends_;
};

}  // namespace kvstore::inline v0::detail
