// SPDX-License-Identifier: MIT
#pragma once

// Random bits that are the same in every run, for a test that compares what stores write: a journal names
// itself by chance, and two that differ in nothing else would be looked at twice. Replaces the system's
// function in the whole program, as a weak symbol, since several sources of a program may include this.

#include <sys/random.h>
#include <sys/types.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace support {

/// While one exists, random bits are the numbers from `first` on, each once; those inside another count on
/// their own. Give two that write to one disk ranges that do not meet.
class RepeatableRandom {
 public:
  explicit RepeatableRandom(std::uint64_t first) : before_{next_.exchange(first)} {}
  RepeatableRandom(const RepeatableRandom&) = delete;
  RepeatableRandom& operator=(const RepeatableRandom&) = delete;
  ~RepeatableRandom() { next_ = before_; }

  /// In place of getentropy.
  static int fill(void* bytes, std::size_t count) {
    if (next_ == 0 || count != sizeof(std::uint64_t)) {
      if (::getrandom(bytes, count, 0) == static_cast<ssize_t>(count)) return 0;
      errno = EIO;
      return -1;
    }
    const std::uint64_t number =
        next_.fetch_add(1) * 0x9E37'79B9'7F4A'7C15U;  // odd: different for different ones
    std::memcpy(bytes, &number, sizeof number);
    return 0;
  }

 private:
  inline static std::atomic<std::uint64_t> next_ = 0;  // 0: the system's
  std::uint64_t before_;
};

}  // namespace support

extern "C" [[gnu::weak]] int getentropy(void* bytes, std::size_t count) {
  return support::RepeatableRandom::fill(bytes, count);
}
