// SPDX-License-Identifier: MIT
#pragma once

// Who saves, who waits, and what is owed: operations are numbered as they are applied, a save makes all up to
// some number durable, and threads that need the same save share it (group commit).

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>

#include "kvstore/detail/function_ref.hpp"
#include "kvstore/detail/store_thread.hpp"
#include "kvstore/metrics.hpp"

namespace kvstore::inline v0::detail {

class SaveLedger {
 public:
  using Clock = std::chrono::steady_clock;
  /// Saves, and returns the number of the last operation that it made durable; throws if it failed.
  using Save = FunctionRef<std::uint64_t()>;

  /// `counters` outlive it.
  explicit SaveLedger(StoreCounters& counters) noexcept : counters_{counters} {}

  /// Numbers `operations` more; returns the number of the last. Wait-free.
  std::uint64_t count(std::uint64_t operations) noexcept {
    return numbered_.fetch_add(operations, std::memory_order_seq_cst) + operations;
  }
  /// Counts operations without a number, for the calling thread, whose counters are `own`. Wait-free.
  void count_unnumbered(StoreThread* own, std::uint64_t operations) noexcept {
    counters_.add(own, kUnnumberedChanges, operations);
  }

  /// How many were counted. Wait-free.
  [[nodiscard]] std::uint64_t applied() const noexcept {
    return numbered_.load(std::memory_order_seq_cst) + counters_.sum(kUnnumberedChanges);
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

  /// Returns once at most `allowed` operations up to number `ticket` are unsaved: by waiting for a save that
  /// runs, or by saving. After a failure it rethrows that failure, without trying again before its time.
  void settle(std::uint64_t ticket, std::uint64_t allowed, Save save) {
    std::unique_lock lock{mutex_};
    while (owes(ticket, allowed)) {
      if (saving_) {
        wait_for_round(lock);
      } else if (failure_ && Clock::now() < retry_at_) {
        std::rethrow_exception(failure_);
      } else {
        run(lock, save);
      }
    }
  }

  /// Like `settle` with nothing allowed, but always tries.
  void settle_now(std::uint64_t ticket, Save save) {
    std::unique_lock lock{mutex_};
    while (owes(ticket, 0)) {
      if (saving_)
        wait_for_round(lock);
      else
        run(lock, save);
    }
  }

  /// Notes that everything up to number `saved` has become durable by other means.
  void advance(std::uint64_t saved) {
    const std::scoped_lock lock{mutex_};
    note_success(saved);
    finished_.notify_all();
  }

  /// Why the last save failed; nothing once one has succeeded since.
  [[nodiscard]] std::optional<std::string> last_error() const {
    const std::scoped_lock lock{mutex_};
    if (!failure_) return std::nullopt;
    return last_error_;
  }

  /// How long until a failed save is due again; nothing if none has failed.
  [[nodiscard]] std::optional<Clock::duration> retry_delay() const {
    const std::scoped_lock lock{mutex_};
    if (!failure_) return std::nullopt;
    return std::max(retry_at_ - Clock::now(), Clock::duration::zero());
  }

  /// All but the bytes.
  [[nodiscard]] SaveMetrics metrics() const {
    const std::scoped_lock lock{mutex_};
    SaveMetrics result = metrics_;
    if (failure_) result.last_error = last_error_;
    return result;
  }

  /// Saves that have failed since one succeeded.
  [[nodiscard]] std::uint64_t failures() const {
    const std::scoped_lock lock{mutex_};
    return failures_;
  }

 private:
  static constexpr std::chrono::milliseconds kFirstDelay{100};
  static constexpr std::chrono::milliseconds kLongestDelay{10'000};

  void wait_for_round(std::unique_lock<std::mutex>& lock) {
    const std::uint64_t round = rounds_;
    finished_.wait(lock, [&] { return rounds_ != round; });
  }

  void run(std::unique_lock<std::mutex>& lock, Save save) {
    saving_ = true;
    lock.unlock();
    const auto start = Clock::now();
    std::uint64_t saved = 0;
    std::exception_ptr failure;
    try {
      saved = save();
    } catch (...) { failure = std::current_exception(); }
    lock.lock();
    saving_ = false;
    ++rounds_;
    metrics_.last_duration = Clock::now() - start;
    metrics_.durations.add(metrics_.last_duration);
    if (failure)
      note_failure(failure);
    else
      note_success(saved);
    ++(failure ? metrics_.failed : metrics_.succeeded);
    finished_.notify_all();
    if (failure) std::rethrow_exception(failure);
  }

  void note_success(std::uint64_t saved) {
    durable_.store(std::max(saved, durable_.load(std::memory_order_relaxed)), std::memory_order_release);
    failure_ = nullptr;
    failures_ = 0;
    delay_ = kFirstDelay;
  }

  void note_failure(const std::exception_ptr& failure) {
    failure_ = failure;
    retry_at_ = Clock::now() + delay_;
    delay_ = std::min(2 * delay_, kLongestDelay);
    ++failures_;
    try {
      last_error_ = message_of(failure);
    } catch (...) {
      last_error_.clear();  // no memory for the words; the failure itself is kept
    }
  }

  [[nodiscard]] static std::string message_of(const std::exception_ptr& failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) { return error.what(); } catch (...) {
      return "unknown failure";
    }
  }

  StoreCounters& counters_;
  alignas(64) std::atomic<std::uint64_t> numbered_ = 0;  // on a line of its own: every writer counts here
  alignas(64) std::atomic<std::uint64_t> durable_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable finished_;
  bool saving_ = false;
  std::uint64_t rounds_ = 0;  // saves that have ended
  std::exception_ptr failure_;
  std::uint64_t failures_ = 0;
  std::string last_error_;
  Clock::time_point retry_at_;
  std::chrono::milliseconds delay_ = kFirstDelay;
  SaveMetrics metrics_;
};

}  // namespace kvstore::inline v0::detail
