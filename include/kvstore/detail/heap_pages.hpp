// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace kvstore::inline v0::detail {

inline constexpr std::uintptr_t kPage = 4096;
inline bool populate(const void* begin, std::size_t bytes) noexcept {
  constexpr int kPopulateWrite = 23;
  const auto from = (reinterpret_cast<std::uintptr_t>(begin) + kPage - 1) & ~(kPage - 1);
  const auto to = (reinterpret_cast<std::uintptr_t>(begin) + bytes) & ~(kPage - 1);
  return from >= to || ::madvise(reinterpret_cast<void*>(from), to - from, kPopulateWrite) == 0;
}

class HeapWarmer {
 public:
  void used(std::size_t bytes) noexcept {
    used_ += bytes;
    if (used_ >= kInterval) warm();
  }
  void warm() noexcept {
    used_ = 0;
    char* const block = static_cast<char*>(::operator new(kBlock, std::nothrow));
    if (!block) return;
    const auto at = reinterpret_cast<std::uintptr_t>(block);
    const auto from = until_ > at && until_ < at + kBlock ? until_ : at;
    populate(reinterpret_cast<void*>(from), at + kBlock - from);
    until_ = at + kBlock;
    ::operator delete(block);
  }
 private:
  static constexpr std::size_t kBlock = 120'000;
  static constexpr std::size_t kInterval = 64 << 10;
  std::size_t used_ = 0;
  std::uintptr_t until_ = 0;
};

}
