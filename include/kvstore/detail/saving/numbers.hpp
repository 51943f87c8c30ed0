// SPDX-License-Identifier: MIT
#pragma once

// The numbers that operations read without a lock: how many there were, and how many the store has handed
// over and saved.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "kvstore/detail/saving/state.hpp"
#include "kvstore/detail/segment/thread_state.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: all members are wait-free; one thread at a time may call `publish`.
class SaveNumbers {
 public:
  /// `counters` outlive it.
  explicit SaveNumbers(StoreCounters& counters) noexcept : counters_{counters} {}

  /// Numbers `operations` more. @returns the last number
  std::uint64_t count(std::uint64_t operations) noexcept {
    return numbered_.fetch_add(operations, std::memory_order_seq_cst) + operations;
  }
  /// Counts operations without a number, for the calling thread, whose counters are `local`. A common number
  /// would be a cache line that all writers write.
  void count_unnumbered(ThreadState* local, std::uint64_t operations) noexcept {
    counters_.add(local, kUnnumberedChanges, operations);
  }

  /// The last number given to an operation.
  [[nodiscard]] std::uint64_t numbered() const noexcept { return numbered_.load(std::memory_order_seq_cst); }
  /// The number of operations counted.
  [[nodiscard]] std::uint64_t applied() const noexcept {
    return numbered() + counters_.sum(kUnnumberedChanges);
  }
  [[nodiscard]] std::uint64_t unsaved() const noexcept {
    const std::uint64_t durable = durable_.load(std::memory_order_acquire);
    return std::max(applied(), durable) - durable;
  }

  /// Whether more than `allowed` operations up to number `ticket` are unsaved.
  [[nodiscard]] bool owes(std::uint64_t ticket, std::uint64_t allowed) const noexcept {
    const std::uint64_t durable = durable_.load(std::memory_order_acquire);
    return ticket > durable && ticket - durable > allowed;
  }
  /// Whether the journal has operation `ticket`, and the journal is intact.
  [[nodiscard]] bool is_handed_over(std::uint64_t ticket) const noexcept {
    return handed_over_.load(std::memory_order_acquire) >= ticket && !owed_.load(std::memory_order_acquire);
  }

  /// Call under the lock that guards `state`.
  void publish(const SaveState& state) noexcept {
    durable_.store(state.durable(), std::memory_order_release);
    handed_over_.store(state.handed_over(), std::memory_order_release);
    owed_.store(state.owes_everything(), std::memory_order_release);
  }

 private:
  StoreCounters& counters_;
  alignas(64) std::atomic<std::uint64_t> numbered_ = 0;  // on a line of its own: every writer counts here
  alignas(64) std::atomic<std::uint64_t> durable_ = 0;
  std::atomic<std::uint64_t> handed_over_ = 0;
  std::atomic<bool> owed_ = false;
};

}}}  // namespace kvstore::v1::detail
