// SPDX-License-Identifier: MIT
#pragma once

// A thread that wakes up now and then and does one thing.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace kvstore::inline v0::detail {

/// Calls `work` after each delay that `delay` names (none: only when woken), or at once when woken.
/// Destruction stops the thread and waits for a `work` under way. Neither function may throw.
class AutoSaver final {
 public:
  using Delay = std::optional<std::chrono::steady_clock::duration>;

  AutoSaver(std::function<Delay()> delay, std::function<void()> work)
      : delay_{std::move(delay)}, work_{std::move(work)}, thread_{[this] { run(); }} {}
  AutoSaver(const AutoSaver&) = delete;
  AutoSaver& operator=(const AutoSaver&) = delete;
  ~AutoSaver() { stop(); }

  /// Has `work` called soon. From any thread.
  void wake() {
    if (woken_.load(std::memory_order_relaxed)) return;  // it has not begun yet, so it will see our change
    {
      const std::scoped_lock lock{mutex_};
      woken_ = true;
    }
    changed_.notify_one();
  }

  /// Stops the thread and waits for a `work` under way. Not from `work`.
  void stop() {
    {
      const std::scoped_lock lock{mutex_};
      stopped_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  /// Whether the caller is `work`.
  [[nodiscard]] bool is_this_thread() const noexcept {
    return thread_.get_id() == std::this_thread::get_id();
  }

 private:
  void run() {
    std::unique_lock lock{mutex_};
    while (!stopped_) {
      lock.unlock();
      const Delay delay = delay_();
      lock.lock();
      const auto called = [this] { return stopped_ || woken_; };
      if (delay)
        changed_.wait_for(lock, *delay, called);
      else
        changed_.wait(lock, called);
      if (stopped_) return;
      woken_ = false;
      lock.unlock();
      work_();
      lock.lock();
    }
  }

  std::function<Delay()> delay_;
  std::function<void()> work_;
  std::mutex mutex_;  // held to set what follows, so that no wake-up is missed
  std::condition_variable changed_;
  std::atomic<bool> woken_ = false;
  bool stopped_ = false;  // and no stop token: waiting for one never ended with GCC 12 of mingw-w64, in Wine
  std::jthread thread_;   // last, so that it is joined before what it uses dies
};

}  // namespace kvstore::inline v0::detail
