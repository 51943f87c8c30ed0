// SPDX-License-Identifier: MIT
#pragma once

// A bit for each position of a table, which moves as entries move. Looking for the next bit that is set skips
// 64 positions at a time: a save of a few entries passes over millions.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvstore { inline namespace v1 { namespace detail {

/// Positions from `size` on count as clear. *Thread safety*: none.
class PositionBits {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  [[nodiscard]] bool operator[](std::size_t position) const noexcept {
    return position < size_ && (words_[position / kBits] & bit(position)) != 0;
  }
  /// Needs `position < size()`, as do the members that change a bit.
  void set(std::size_t position) noexcept { words_[position / kBits] |= bit(position); }
  void clear(std::size_t position) noexcept { words_[position / kBits] &= ~bit(position); }

  /// Covers no positions; keeps the memory.
  void reset() noexcept {
    std::fill_n(words_.begin(), (size_ + kBits - 1) / kBits, 0);
    size_ = 0;
  }
  /// Covers `entries` positions, those added being clear, and makes room for `more` of them. May throw; then
  /// nothing has changed.
  void cover(std::size_t entries, std::size_t more) {
    const std::size_t words = (entries + more + kBits - 1) / kBits;
    if (words > words_.capacity()) words_.reserve(words + words / 2);
    while (words_.size() < words) words_.push_back(0);  // never fails: there is room
    size_ = entries > size_ ? entries : size_;
  }
  /// Needs room, from `cover`.
  void push_back(bool value) noexcept { put(size_++, value); }
  /// Puts the last bit in place of the one at `position`, as a table does when it erases an entry.
  void erase(std::size_t position) noexcept {
    put(position, (*this)[size_ - 1]);
    clear(size_ - 1);
    --size_;
  }

  /// The first position from `from` on, and before `end`, whose bit is set; `end` if there is none.
  [[nodiscard]] std::size_t next(std::size_t from, std::size_t end) const noexcept {
    const std::size_t stop = end < size_ ? end : size_;
    if (from >= stop) return end;
    std::size_t word = from / kBits;
    std::uint64_t left = words_[word] & (~std::uint64_t{0} << (from % kBits));
    while (left == 0) {
      if (++word * kBits >= stop) return end;
      left = words_[word];
    }
    const std::size_t found = word * kBits + static_cast<std::size_t>(std::countr_zero(left));
    return found < stop ? found : end;
  }

 private:
  static constexpr std::size_t kBits = 64;

  [[nodiscard]] static std::uint64_t bit(std::size_t position) noexcept {
    return std::uint64_t{1} << (position % kBits);
  }
  void put(std::size_t position, bool value) noexcept {
    if (value)
      set(position);
    else
      clear(position);
  }

  std::vector<std::uint64_t> words_;  // bits from `size_` on are clear
  std::size_t size_ = 0;
};

}}}  // namespace kvstore::v1::detail
