// SPDX-License-Identifier: MIT
#pragma once

// Changes as text, one after another in one reused buffer. Snapshots, captures and the change log hold them.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kvstore/codec.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class ChangeBuffer {
 public:
  /// Appends an entry. Strong: if encoding throws, the buffer is as before.
  template <class Key, class Value>
  void put(const Key& key, const Value& value) {
    append([&] {
      KeyText<Key>::append(key, text_);
      const std::size_t key_end = text_.size();
      Codec<Value>::encode(value, text_);
      return Ends{key_end, text_.size(), Kind::put};
    });
  }

  /// Appends a change that is text already. Strong.
  void put(const Change& change) {
    append([&] {
      text_.raw(change.key);
      const std::size_t key_end = text_.size();
      if (!change.value) return Ends{key_end, 0, Kind::removed};
      text_.raw(*change.value);
      return Ends{key_end, text_.size(), Kind::put};
    });
  }

  /// Appends a removal. Strong, as `put`.
  template <class Key>
  void remove(const Key& key) {
    append([&] {
      KeyText<Key>::append(key, text_);
      return Ends{text_.size(), 0, Kind::removed};
    });
  }

  /// Ends a group: all changes of a group happened in one step. A group without a change stands for "all
  /// removed".
  void end_group() {
    if (groups_.empty() ? ends_.empty() : groups_.back() == ends_.size())
      ends_.push_back({text_.size(), 0, Kind::clear});
    groups_.push_back(ends_.size());
  }

  /// Appends a group that stands for "the stored entries were replaced by others".
  void put_replacement() {
    ends_.push_back({text_.size(), 0, Kind::replacement});
    end_group();
  }

  /// Appends all changes and groups of `other`. Strong.
  void append(const ChangeBuffer& other) {
    const std::size_t base = text_.size();
    const std::size_t count = ends_.size();
    reserve(ends_, other.ends_.size());
    reserve(groups_, other.groups_.size());
    text_.raw(other.text_.text());
    for (const Ends& ends : other.ends_) { ends_.push_back({ends.key + base, ends.value + base, ends.kind}); }
    for (const std::size_t group : other.groups_) groups_.push_back(group + count);
  }

  void clear() noexcept {
    text_.clear();
    ends_.clear();
    groups_.clear();
  }

  /// The same, and keeps no more than about a MiB of memory: a huge value, or very many changes, must not
  /// occupy theirs for as long as the buffer lives.
  void clear_and_shrink() noexcept {
    constexpr std::size_t kKeep = std::size_t{1} << 20;
    clear();
    text_.shrink(kKeep);
    if (ends_.capacity() > kKeep / sizeof(Ends)) ends_ = std::vector<Ends>{};
    if (groups_.capacity() > kKeep / sizeof(std::size_t)) groups_ = std::vector<std::size_t>{};
  }
  /// The bytes allocated, used or not.
  [[nodiscard]] std::size_t capacity() const noexcept {
    return text_.capacity() + ends_.capacity() * sizeof(Ends) + groups_.capacity() * sizeof(std::size_t);
  }

  [[nodiscard]] std::size_t count() const noexcept { return ends_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return text_.size(); }
  [[nodiscard]] bool empty() const noexcept { return ends_.empty(); }

  /// The ends of the groups, as numbers of changes, ascending.
  [[nodiscard]] const std::vector<std::size_t>& groups() const noexcept { return groups_; }

  /// Whether the change number `index` removed every entry; then it has neither key nor value.
  [[nodiscard]] bool is_clear(std::size_t index) const noexcept { return ends_[index].kind == Kind::clear; }
  /// Whether the change number `index` stands for a replacement; then it has neither key nor value.
  [[nodiscard]] bool is_replacement(std::size_t index) const noexcept {
    return ends_[index].kind == Kind::replacement;
  }

  /// The change number `index`; its views are invalid once the buffer changes.
  [[nodiscard]] Change operator[](std::size_t index) const noexcept {
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1].end();
    const Ends& ends = ends_[index];
    const std::string_view text = text_.text();
    Change change{text.substr(begin, ends.key - begin), std::nullopt};
    if (ends.kind == Kind::put) change.value = text.substr(ends.key, ends.value - ends.key);
    return change;
  }

 private:
  enum class Kind : std::uint8_t { put, removed, clear, replacement };

  struct Ends {
    std::size_t key;
    std::size_t value;  // meaningful for `put` only
    Kind kind;
    [[nodiscard]] std::size_t end() const noexcept { return kind == Kind::put ? value : key; }
  };

  template <class Element>
  static void reserve(std::vector<Element>& elements, std::size_t more) {
    const std::size_t needed = elements.size() + more;
    if (needed > elements.capacity())
      elements.reserve(needed + needed / 2);  // amortised, unlike reserve() alone
  }

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
  std::vector<std::size_t> groups_;
};

}}}  // namespace kvstore::v1::detail
