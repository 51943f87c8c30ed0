// SPDX-License-Identifier: MIT
#pragma once

// Counters that all threads add to on the hottest path: each thread counts by itself, without a locked
// instruction. Counters in each segment would cost readers a locked instruction, and everybody one more
// line that others write.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kvstore/detail/per_thread.hpp"

namespace kvstore::inline v0::detail {

/// `kCounters` sums, which only grow.
template <std::size_t kCounters>
class ThreadCounters {
 public:
  /// Adds to the counter number `at`, for the calling thread. Wait-free as `PerThread::own` is.
  void add(std::size_t at, std::uint64_t amount) noexcept {
    if (Counts* const own = counts_.own()) [[likely]]
      add_own((*own)[at], amount);
    else
      common_[at].fetch_add(amount, std::memory_order_release);
  }

  /// The sum over all threads. Includes whatever was added before, and may include some that is just being
  /// added; who sees an addition sees what its thread did before. Never less than what was seen before.
  /// *Complexity*: O(threads). Wait-free.
  [[nodiscard]] std::uint64_t sum(std::size_t at) const noexcept {
    std::uint64_t result = common_[at].load(std::memory_order_acquire);
    counts_.for_each([&](const Counts& counts) { result += counts[at].load(std::memory_order_acquire); });
    return result;
  }

 private:
  using Counts = std::array<std::atomic<std::uint64_t>, kCounters>;

  /// Nobody else writes it, so that loading and storing loses nothing.
  static void add_own(std::atomic<std::uint64_t>& counter, std::uint64_t amount) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_release);
  }

  PerThread<Counts> counts_;
  alignas(64) Counts common_{};  // of threads that have none of their own
};

}  // namespace kvstore::inline v0::detail
