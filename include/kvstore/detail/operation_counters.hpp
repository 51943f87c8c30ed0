// SPDX-License-Identifier: MIT
#pragma once

// Counts a store's operations by verb and outcome, on its hottest path: each thread counts in a block of its
// own, which it finds by one comparison, and adds without a locked instruction. Counters in each segment
// would cost readers, who only share its lock, such an instruction, and everybody one more cache line that
// others write.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "kvstore/metrics.hpp"

namespace kvstore::inline v0::detail {

enum class Outcome : std::uint8_t { done, refused, failed };

class OperationCounters {
 public:
  OperationCounters() = default;
  OperationCounters(const OperationCounters&) = delete;
  OperationCounters& operator=(const OperationCounters&) = delete;

  /// Counts operations of the calling thread. Wait-free but for a thread's first call.
  void count(Verb verb, Outcome outcome, std::uint64_t operations = 1) noexcept {
    const std::size_t at = index_of(verb, outcome);
    const Remembered& slot = remembered[slot_];
    if (slot.id != id_) [[unlikely]]
      return count_first(at, operations);
    add_own((*slot.counts)[at], operations);
  }

  /// The sums over all threads. Includes whatever had returned before, and may include some that has not.
  [[nodiscard]] std::array<OperationMetrics, kVerbs> totals() const {
    std::array<OperationMetrics, kVerbs> result{};
    const std::scoped_lock lock{mutex_};
    add(common_, result);
    for (const auto& [thread, counts] : by_thread_) add(*counts, result);
    return result;
  }

 private:
  using Counts = std::array<std::atomic<std::uint64_t>, 3 * kVerbs>;
  struct alignas(64) Block : Counts {};  // threads write no line of each other's

  /// What a thread remembers of the stores it used last. Never dereferenced for a store that is gone, as no
  /// two stores have the same number.
  struct Remembered {
    std::uint64_t id;
    Counts* counts;
  };
  static constexpr std::size_t kRemembered = 8;
  static inline constinit thread_local std::array<Remembered, kRemembered> remembered{};

  [[nodiscard]] static constexpr std::size_t index_of(Verb verb, Outcome outcome) noexcept {
    return 3 * static_cast<std::size_t>(verb) + static_cast<std::size_t>(outcome);
  }

  [[nodiscard]] static std::uint64_t next_id() noexcept {
    static std::atomic<std::uint64_t> last = 0;
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  /// Nobody else writes it, so that loading and storing loses nothing.
  static void add_own(std::atomic<std::uint64_t>& counter, std::uint64_t operations) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + operations, std::memory_order_relaxed);
  }

  /// Out of line, so that counting is a handful of instructions in the caller.
  [[gnu::noinline, gnu::cold]] void count_first(std::size_t at, std::uint64_t operations) noexcept {
    if (Counts* const own = find_counts()) {
      remembered[slot_] = {id_, own};
      add_own((*own)[at], operations);
    } else {
      common_[at].fetch_add(operations, std::memory_order_relaxed);
    }
  }

  /// Null where there is no memory for one. A thread that has ended may have left its id, and so its block,
  /// to a new one.
  [[nodiscard]] Counts* find_counts() noexcept {
    try {
      const std::scoped_lock lock{mutex_};
      auto& counts = by_thread_[std::this_thread::get_id()];
      if (!counts) counts = std::make_unique<Block>();
      return counts.get();
    } catch (...) { return nullptr; }
  }

  static void add(const Counts& counts, std::array<OperationMetrics, kVerbs>& to) {
    for (std::size_t verb = 0; verb < kVerbs; ++verb) {
      const auto of = [&](Outcome outcome) {
        return counts[3 * verb + static_cast<std::size_t>(outcome)].load(std::memory_order_relaxed);
      };
      to[verb].done += of(Outcome::done);
      to[verb].refused += of(Outcome::refused);
      to[verb].failed += of(Outcome::failed);
    }
  }

  const std::uint64_t id_ = next_id();
  const std::size_t slot_ = static_cast<std::size_t>(id_ % kRemembered);
  Block common_{};            // of threads for whom there was no memory
  mutable std::mutex mutex_;  // guards the map, not the counts
  std::map<std::thread::id, std::unique_ptr<Block>> by_thread_;
};

}  // namespace kvstore::inline v0::detail
