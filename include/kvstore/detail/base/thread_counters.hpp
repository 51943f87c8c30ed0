// SPDX-License-Identifier: MIT
#pragma once

// Counters that all threads add to on the hottest path. Each thread has counters of its own and adds without
// a locked instruction. Counters in each segment would cost readers a locked instruction, and every thread
// one more cache line that others write.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kvstore/detail/base/per_thread.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// `kCounters` sums of one thread, which alone adds to them.
template <std::size_t kCounters>
class LocalCounters {
 public:
  /// No other thread writes, so a load and a store lose nothing.
  void add(std::size_t at, std::uint64_t amount) noexcept {
    auto& sum = sums_[at];
    sum.store(sum.load(std::memory_order_relaxed) + amount, std::memory_order_release);
  }
  [[nodiscard]] std::uint64_t sum(std::size_t at) const noexcept {
    return sums_[at].load(std::memory_order_acquire);
  }

 private:
  std::array<std::atomic<std::uint64_t>, kCounters> sums_{};
};

/// `kCounters` sums over all threads, which only grow. `Local` is the type of each thread's object:
/// `LocalCounters`, or a class derived from it.
template <std::size_t kCounters, class Local = LocalCounters<kCounters>>
class ThreadCounters {
 public:
  /// `threads` outlives this.
  explicit ThreadCounters(const PerThread<Local>& threads) noexcept : threads_{threads} {}

  /// Adds to the counter number `at` for the calling thread, whose object in `threads` is `local` (null if it
  /// has none). Wait-free.
  void add(Local* local, std::size_t at, std::uint64_t amount) noexcept {
    if (local != nullptr) [[likely]]
      local->add(at, amount);
    else
      common_[at].fetch_add(amount, std::memory_order_release);
  }

  /// The sum over all threads. Includes every addition made before the call, and may include some that are
  /// under way; a reader that sees an addition also sees everything its thread did before it. Never less than
  /// an earlier sum.
  /// *Complexity*: O(threads). Wait-free.
  [[nodiscard]] std::uint64_t sum(std::size_t at) const noexcept {
    std::uint64_t result = common_[at].load(std::memory_order_acquire);
    threads_.for_each([&](const Local& local) { result += local.sum(at); });
    return result;
  }

 private:
  const PerThread<Local>& threads_;
  alignas(64) std::array<std::atomic<std::uint64_t>, kCounters> common_{};  // of threads that have no object
};

}}}  // namespace kvstore::v1::detail
