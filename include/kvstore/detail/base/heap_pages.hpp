// SPDX-License-Identifier: MIT
#pragma once

// Has the kernel map memory that is about to be written many pages at a time. A page that is written for the
// first time otherwise stops the program once: a quarter of a microsecond on bare metal, but twelve in some
// virtual machines, where that was more than half of the time that a load took. A system that cannot do it
// costs time only.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace kvstore { inline namespace v1 { namespace detail {

/// Maps the whole pages of a piece of memory, whose contents stay as they are.
inline void map_pages([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef __linux__
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, since Linux 5.14; older ones refuse it
  constexpr std::uintptr_t kPage = 4096;
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  const std::uintptr_t from = (at + kPage - 1) / kPage * kPage;
  const std::uintptr_t to = (at + bytes) / kPage * kPage;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): never dereferenced
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, kPopulateWrite);
#endif
}

/// Maps pages of the heap ahead of many small allocations. It allocates one large piece, maps its pages and
/// frees it: what is allocated next is cut from there by glibc's allocator; another one may lose 120 KB by
/// it, once. *Thread safety*: none; each thread has pages of its own.
class HeapPages {
 public:
  /// Says that something was allocated that takes `bytes`, in any measure.
  void spend(std::size_t bytes) noexcept {
    spent_ += bytes;
    if (spent_ >= interval_) refill();
  }

 private:
  static constexpr std::size_t kBlock = 120'000;  // below 128 KiB, from where on glibc maps each piece alone

  void refill() noexcept {
    spent_ = 0;
    void* const block = ::operator new(kBlock, std::nothrow);
    if (block == nullptr) return;
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    const bool some_left = begin < mapped_ && mapped_ <= begin + kBlock;
    const std::size_t left = some_left ? mapped_ - begin : 0;
    map_pages(static_cast<char*>(block) + left, kBlock - left);
    mapped_ = begin + kBlock;
    ::operator delete(block);
    adapt(left);
  }

  /// Comes again when about three quarters will be spent.
  void adapt(std::size_t left) noexcept {
    if (left < kBlock / 8) interval_ = std::max(interval_ / 2, kBlock / 64);
    if (left > kBlock / 2) interval_ = std::min(interval_ * 2, kBlock * 16);
  }

  std::size_t interval_ = kBlock / 4;
  std::size_t spent_ = 0;
  std::uintptr_t mapped_ = 0;  // up to where there are pages already
};

}}}  // namespace kvstore::v1::detail
