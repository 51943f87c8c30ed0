// SPDX-License-Identifier: MIT
#pragma once

// Locks, conditions, threads and a clock for the tasks of a `Scheduler`, in place of those of the standard
// library. The scheduler decides when a task waits, and when it continues.
//
// Threads that are not tasks may use them too, one at a time. Such a thread never waits.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/scheduler.hpp"

namespace support {

/// In place of std::chrono::steady_clock. Stands still, except when a timed wait times out.
struct ScheduledClock {
  using duration = Scheduler::Time;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<ScheduledClock>;
  static constexpr bool is_steady = true;

  [[nodiscard]] static time_point now() noexcept {
    const Scheduler* const run = Scheduler::current();
    return time_point{run == nullptr ? duration{std::chrono::hours{1}} : run->now()};
  }
};

/// Ends the program: a thread that is not a task would wait for an event that no other thread can bring
/// about.
[[noreturn]] inline void abort_outside_task(const char* what) {
  std::cerr << what << " outside a scheduled task would wait for ever\n";
  std::abort();
}

/// In place of std::mutex. Locking is a point.
class ScheduledLock {
 public:
  ScheduledLock() = default;
  ScheduledLock(const ScheduledLock&) = delete;
  ScheduledLock& operator=(const ScheduledLock&) = delete;

  void lock() {
    if (Scheduler* const run = Scheduler::current()) {
      run->point("lock", name_);
      take(*run);
    } else if (std::exchange(held_, true)) {
      abort_outside_task("a lock");
    }
  }
  [[nodiscard]] bool try_lock() {
    if (Scheduler* const run = Scheduler::current()) run->point("try_lock", name_);
    return !std::exchange(held_, true);
  }
  void unlock() {
    held_ = false;
    Scheduler* const run = Scheduler::current();
    if (run != nullptr && run->every_lock()) run->point("unlock", name_);
  }

 private:
  friend class ScheduledCondition;

  void take(Scheduler& run) {
    if (held_) run.wait("lock", is_free, this, name_);
    held_ = true;
  }
  static bool is_free(const void* lock) { return !static_cast<const ScheduledLock*>(lock)->held_; }

  bool held_ = false;
  std::string name_ = Scheduler::new_name();
};

/// In place of std::condition_variable. Waiting and notifying are points. If several tasks wait, `notify_one`
/// wakes any of them.
class ScheduledCondition {
 public:
  using Lock = std::unique_lock<ScheduledLock>;

  ScheduledCondition() = default;
  ScheduledCondition(const ScheduledCondition&) = delete;
  ScheduledCondition& operator=(const ScheduledCondition&) = delete;

  void notify_one() { notify(/*all=*/false); }
  void notify_all() { notify(/*all=*/true); }

  void wait(Lock& lock) {
    Waiter waiter{*lock.mutex()};
    Scheduler& run = begin(waiter);
    run.wait("wait for condition", Waiter::may_go_on, &waiter, name_);
    end(waiter);
  }
  template <class Predicate>
  void wait(Lock& lock, Predicate predicate) {
    while (!predicate()) wait(lock);
  }

  template <class Clock, class Duration>
  std::cv_status wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& deadline) {
    static_assert(std::is_same_v<Clock, ScheduledClock>,
                  "the tasks of a scheduler have a clock of their own");
    Waiter waiter{*lock.mutex()};
    Scheduler& run = begin(waiter);
    const bool in_time = run.wait_until("wait for a time or condition", Waiter::may_go_on,
                                        Waiter::may_time_out, &waiter, deadline.time_since_epoch(), name_);
    end(waiter);
    return in_time ? std::cv_status::no_timeout : std::cv_status::timeout;
  }
  template <class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& deadline, Predicate predicate) {
    while (!predicate()) {
      if (wait_until(lock, deadline) == std::cv_status::timeout) return predicate();
    }
    return true;
  }
  template <class Rep, class Period>
  std::cv_status wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& time) {
    return wait_until(lock, after(time));
  }
  template <class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& time, Predicate predicate) {
    return wait_until(lock, after(time), std::move(predicate));
  }

 private:
  struct Waiter {
    ScheduledLock& lock;
    bool notified = false;

    static bool may_go_on(const void* waiter) {
      const auto& self = *static_cast<const Waiter*>(waiter);
      return self.notified && !self.lock.held_;
    }
    static bool may_time_out(const void* waiter) {
      const auto& self = *static_cast<const Waiter*>(waiter);
      return !self.notified && !self.lock.held_;
    }
  };

  /// Adds a time to the present. As on the system, a time too long for the clock means for ever.
  template <class Rep, class Period>
  static ScheduledClock::time_point after(const std::chrono::duration<Rep, Period>& time) {
    const auto now = ScheduledClock::now();
    const auto longest = ScheduledClock::time_point::max() - now;
    const bool fits = std::chrono::duration<double>{time} < std::chrono::duration<double>{longest};
    return fits ? now + std::chrono::ceil<ScheduledClock::duration>(time) : ScheduledClock::time_point::max();
  }

  Scheduler& begin(Waiter& waiter) {
    Scheduler* const run = Scheduler::current();
    if (run == nullptr) abort_outside_task("a condition");
    waiter.lock.held_ = false;
    waiters_.push_back(&waiter);
    return *run;
  }
  /// Takes the lock again. The scheduler lets the task continue only while the lock is free.
  void end(Waiter& waiter) {
    waiter.lock.held_ = true;
    std::erase(waiters_, &waiter);
  }

  void notify(bool all) {
    Scheduler* const run = Scheduler::current();
    if (run == nullptr) return;
    run->point("notify", name_);
    std::vector<Waiter*> waiting;
    for (Waiter* const waiter : waiters_) {
      if (!waiter->notified) waiting.push_back(waiter);
    }
    if (!all && !waiting.empty())
      waiting = {waiting[run->choose(static_cast<std::uint32_t>(waiting.size()))]};
    for (Waiter* const waiter : waiting) waiter->notified = true;
  }

  std::string name_ = Scheduler::new_name();
  std::vector<Waiter*> waiters_;  // all tasks that wait, notified or not, until they continue
};

/// In place of std::shared_mutex. Locking is a point if another task holds the mutex; with
/// `SearchLimits::every_lock`, always. The search decides the order of those that wait, so the mutex needs no
/// turnstile.
class ScheduledSharedMutex {
 public:
  static constexpr bool is_fair = true;

  ScheduledSharedMutex() = default;
  ScheduledSharedMutex(const ScheduledSharedMutex&) = delete;
  ScheduledSharedMutex& operator=(const ScheduledSharedMutex&) = delete;

  void lock() {
    wait("lock of a shared mutex", is_free);
    written_ = true;
  }
  [[nodiscard]] bool try_lock() {
    pass("try_lock of a shared mutex");
    return is_free(this) && (written_ = true);
  }
  void unlock() { written_ = false; }

  void lock_shared() {
    wait("lock_shared", is_not_written);
    ++readers_;
  }
  [[nodiscard]] bool try_lock_shared() {
    pass("try_lock_shared");
    return !written_ && ++readers_ != 0;
  }
  void unlock_shared() { --readers_; }

 private:
  static bool is_not_written(const void* mutex) {
    return !static_cast<const ScheduledSharedMutex*>(mutex)->written_;
  }
  static bool is_free(const void* mutex) {
    return is_not_written(mutex) && static_cast<const ScheduledSharedMutex*>(mutex)->readers_ == 0;
  }

  void wait(const char* what, Scheduler::MayGoOn may_go_on) {
    pass(what);
    if (may_go_on(this)) return;
    Scheduler* const run = Scheduler::current();
    if (run == nullptr) abort_outside_task(what);
    run->wait(what, may_go_on, this);
  }
  static void pass(const char* what) {
    Scheduler* const run = Scheduler::current();
    if (run != nullptr && run->every_lock()) run->point(what);
  }

  bool written_ = false;
  std::size_t readers_ = 0;
};

/// In place of std::thread, but the destructor joins. Starting and joining a thread are points.
class ScheduledThread {
 public:
  using id = std::thread::id;

  ScheduledThread() = default;
  template <class Function, class... Arguments>
    requires(!std::is_same_v<std::remove_cvref_t<Function>, ScheduledThread>)
  explicit ScheduledThread(Function&& function, Arguments&&... arguments) : run_{Scheduler::current()} {
    if (run_ == nullptr) abort_outside_task("a thread");
    auto call = [function = std::decay_t<Function>(std::forward<Function>(function)),
                 arguments = std::tuple<std::decay_t<Arguments>...>(std::forward<Arguments>(
                     arguments)...)]() mutable { std::apply(std::move(function), std::move(arguments)); };
    // The call is shared, because a std::function must be copyable and the arguments need not be.
    task_ =
        run_->fork("thread", [shared = std::make_shared<decltype(call)>(std::move(call))] { (*shared)(); });
  }
  ScheduledThread(ScheduledThread&& other) noexcept
      : run_{std::exchange(other.run_, nullptr)}, task_{other.task_} {}
  ScheduledThread& operator=(ScheduledThread&& other) noexcept {
    ScheduledThread old{std::move(*this)};
    run_ = std::exchange(other.run_, nullptr);
    task_ = other.task_;
    return *this;
  }
  ~ScheduledThread() {
    if (joinable()) join();
  }

  [[nodiscard]] bool joinable() const noexcept { return run_ != nullptr; }
  /// Lets the thread continue on its own. The run can end without it.
  void detach() noexcept { run_ = nullptr; }
  void join() { std::exchange(run_, nullptr)->join(task_); }
  [[nodiscard]] id get_id() const { return run_ == nullptr ? id{} : run_->thread_of(task_); }

 private:
  Scheduler* run_ = nullptr;
  Scheduler::TaskId task_ = 0;
};

}  // namespace support
