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
  /// beyond that are lost. Threads may store meanwhile, as a kernel reads pages while they do.
  template <class Write>
  void take_over(std::uint64_t size, std::size_t sector, const Write& write) {
    const std::vector<char> now = read();
    if (now == known_) return;
    for (std::size_t at = 0; at < now.size();) {
      const std::size_t bytes = std::min(sector - (offset_ + at) % sector, now.size() - at);
      if (std::memcmp(&now[at], &known_[at], bytes) != 0) {
        take_over(std::string_view{&now[at], bytes}, at, size, write);
      }
      at += bytes;
    }
  }

  /// Updates the mapped bytes between `from` and `to` from the file, which `text` reads. Bytes that the file
  /// has not changed stay untouched: a thread may be storing there.
  template <class Text>
  void show(const Text& text, std::uint64_t from, std::uint64_t to) {
    from = std::max(from, offset_);
    to = std::min(to, offset_ + stored_.size());
    if (from >= to) return;
    std::vector<char> shown(static_cast<std::size_t>(to - from));  // zeros behind the end of the file
    text.read(from, shown);
    const auto at = static_cast<std::size_t>(from - offset_);
    for (std::size_t i = 0; i < shown.size(); ++i) set(at + i, shown[i]);
  }

 private:
  void set(std::size_t at, char byte) {
    if (known_[at] != byte) stored_[at] = known_[at] = byte;
  }

  template <class Write>
  void take_over(std::string_view now, std::size_t at, std::uint64_t size, const Write& write) {
    const std::uint64_t from = offset_ + at;
    const auto inside =
        static_cast<std::size_t>(std::min<std::uint64_t>(now.size(), size - std::min(size, from)));
    std::copy(now.begin(), now.end(), known_.begin() + static_cast<std::ptrdiff_t>(at));
    for (std::size_t i = inside; i < now.size(); ++i) set(at + i, '\0');
    if (inside != 0) write(from, now.substr(0, inside));
  }

  /// ThreadSanitizer does not see a kernel's reads either.
  [[nodiscard]]
#ifdef __GNUC__
  __attribute__((no_sanitize("thread")))
#endif
  std::vector<char> read() const {
    std::vector<char> now(stored_.size());
    const volatile char* from = stored_.data();
    char* to = now.data();
    for (std::size_t i = now.size(); i != 0; --i) *to++ = *from++;
    return now;
  }

  std::uint64_t offset_;
  std::vector<char> stored_;
  std::vector<char> known_;  // the contents of the file at the last comparison
};

}  // namespace support
