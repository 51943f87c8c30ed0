// SPDX-License-Identifier: MIT
#pragma once

// Pages of a simulated file that a program has mapped. A program stores into them without a call. So the file
// finds the stores by comparison, at every access to it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace support {

/// The mapped bytes of a file from an offset on, as the program sees and changes them.
///
/// Two mappings of the same bytes show each other's stores. If both have stored into a sector since the last
/// comparison, the sector takes the contents of one of them.
class MappedPages {
 public:
  MappedPages(std::uint64_t offset, std::size_t bytes) : offset_{offset}, stored_(bytes), known_(bytes) {}
  MappedPages(const MappedPages&) = delete;
  MappedPages& operator=(const MappedPages&) = delete;

  [[nodiscard]] std::span<char> bytes() noexcept { return stored_; }

  /// Calls `write(offset, text)` for each sector with a store, up to `size`, the end of the file. Stores
  /// beyond that are lost.
  template <class Write>
  void take_over(std::uint64_t size, std::size_t sector, const Write& write) {
    if (std::memcmp(stored_.data(), known_.data(), stored_.size()) == 0) return;
    for (std::size_t at = 0; at < stored_.size();) {
      const std::size_t bytes = std::min(sector - (offset_ + at) % sector, stored_.size() - at);
      if (std::memcmp(&stored_[at], &known_[at], bytes) != 0) take_over(at, bytes, size, write);
      at += bytes;
    }
  }

  /// Updates the mapped bytes between `from` and `to` from the file, which `text` reads.
  template <class Text>
  void show(const Text& text, std::uint64_t from, std::uint64_t to) {
    from = std::max(from, offset_);
    to = std::min(to, offset_ + stored_.size());
    if (from >= to) return;
    const auto at = static_cast<std::size_t>(from - offset_);
    const std::span<char> shown = std::span{stored_}.subspan(at, static_cast<std::size_t>(to - from));
    const std::size_t there = text.read(from, shown);
    std::fill(shown.begin() + static_cast<std::ptrdiff_t>(there), shown.end(), '\0');
    std::copy(shown.begin(), shown.end(), known_.begin() + static_cast<std::ptrdiff_t>(at));
  }

 private:
  template <class Write>
  void take_over(std::size_t at, std::size_t bytes, std::uint64_t size, const Write& write) {
    const std::uint64_t from = offset_ + at;
    const auto inside = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, size - std::min(size, from)));
    std::fill_n(stored_.begin() + static_cast<std::ptrdiff_t>(at + inside), bytes - inside, '\0');
    std::copy_n(stored_.begin() + static_cast<std::ptrdiff_t>(at), bytes,
                known_.begin() + static_cast<std::ptrdiff_t>(at));
    if (inside != 0) write(from, std::string_view{&known_[at], inside});
  }

  std::uint64_t offset_;
  std::vector<char> stored_;
  std::vector<char> known_;  // the contents of the file at the last comparison
};

}  // namespace support
