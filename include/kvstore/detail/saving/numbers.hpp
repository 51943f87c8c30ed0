// SPDX-License-Identifier: MIT
#pragma once

// The numbers that operations read without a lock: how many there were, and how many the store has handed
// over and saved.
//
// Where operations put their lines into a journal's window, the window numbers them, so that one exchange is
// place and number. It keeps the lower half of the number; a recent whole number completes it.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "kvstore/detail/contract/line_window.hpp"
#include "kvstore/detail/saving/state.hpp"
#include "kvstore/detail/segment/thread_state.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: all members are wait-free; one thread at a time may call `publish`.
class SaveNumbers {
 public:
  /// `counters` and `window` outlive it.
  SaveNumbers(StoreCounters& counters, LineWindow& window) noexcept : counters_{counters}, window_{window} {}

  /// Call before the first operation: the window numbers operations from now on.
  void number_by_window() noexcept { by_window_ = true; }

  /// Numbers `operations` more. The window must be closed. @returns the last number
  std::uint64_t count(std::uint64_t operations) noexcept {
    if (by_window_) return whole(window_.count(static_cast<std::uint32_t>(operations)));
    return numbered_.fetch_add(operations, std::memory_order_seq_cst) + operations;
  }
  /// The number whose lower half the window has given.
  [[nodiscard]] std::uint64_t whole(std::uint32_t lower) const noexcept {
    const std::uint64_t recent = recent_.load(std::memory_order_acquire);
    return recent + static_cast<std::uint64_t>(
                        std::int64_t{static_cast<std::int32_t>(lower - static_cast<std::uint32_t>(recent))});
  }
  /// Counts operations without a number, for the calling thread, whose counters are `local`. A common number
  /// would be a cache line that all writers write.
  void count_unnumbered(ThreadState* local, std::uint64_t operations) noexcept {
    counters_.add(local, kUnnumberedChanges, operations);
  }

  /// Counts entries that come and go, for the calling thread, whose counters are `local`.
  void count_growth(ThreadState* local, std::uint64_t inserted, std::uint64_t erased) noexcept {
    if (inserted != 0) counters_.add(local, kInserted, inserted);
    if (erased != 0) counters_.add(local, kErased, erased);
  }
  /// Roughly the number of entries, if their growth was counted. Takes no lock.
  [[nodiscard]] std::uint64_t entries() const noexcept {
    const std::uint64_t erased = counters_.sum(kErased);
    return std::max(counters_.sum(kInserted), erased) - erased;
  }

  /// The last number given to an operation.
  [[nodiscard]] std::uint64_t numbered() const noexcept {
    if (by_window_) return whole(window_.number());
    return numbered_.load(std::memory_order_seq_cst);
  }
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
  /// Whether the journal that the operations have written their lines to has missed something.
  [[nodiscard]] bool owes_everything() const noexcept { return owed_.load(std::memory_order_acquire); }
  /// Whether the journal has operation `ticket`, and the journal is intact.
  [[nodiscard]] bool is_handed_over(std::uint64_t ticket) const noexcept {
    return handed_over_.load(std::memory_order_acquire) >= ticket && !owed_.load(std::memory_order_acquire);
  }

  /// Call under the lock that guards `state`.
  void publish(const SaveState& state) noexcept {
    recent_.store(numbered(), std::memory_order_release);
    durable_.store(state.durable(), std::memory_order_release);
    handed_over_.store(state.handed_over(), std::memory_order_release);
    owed_.store(state.owes_everything(), std::memory_order_release);
  }

 private:
  StoreCounters& counters_;
  LineWindow& window_;
  bool by_window_ = false;
  alignas(64) std::atomic<std::uint64_t> numbered_ = 0;  // on a line of its own: every writer counts here
  alignas(64) std::atomic<std::uint64_t> durable_ = 0;
  std::atomic<std::uint64_t> handed_over_ = 0;
  std::atomic<std::uint64_t> recent_ = 0;  // a number, at most 2^31 operations old
  std::atomic<bool> owed_ = false;
};

}}}  // namespace kvstore::v1::detail
