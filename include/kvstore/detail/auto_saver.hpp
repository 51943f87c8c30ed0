// SPDX-License-Identifier: MIT
#pragma once

// A thread that wakes up now and then and does one thing.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace kvstore::inline v0::detail {

/// Calls `work` after each delay that `delay` names (none: only when woken), or at once when woken.
/// Destruction stops the thread and waits for a `work` under way. Neither function may throw.
class AutoSaver final {
 public:
  using Delay = std::optional<std::chrono::steady_clock::duration>;

  AutoSaver(std::function<Delay()> delay, std::function<void()> work)
      : delay_{std::move(delay)}, work_{std::move(work)}, thread_{[this](const std::stop_token& stop) {
          run(stop);
        }} {}

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
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

  /// Whether the caller is `work`.
  [[nodiscard]] bool is_this_thread() const noexcept {
    return thread_.get_id() == std::this_thread::get_id();
  }

 private:
  void run(const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    while (!stop.stop_requested()) {
      lock.unlock();
      const Delay delay = delay_();
      lock.lock();
      const auto woken = [this] { return woken_.load(); };
      if (delay)
        changed_.wait_for(lock, stop, *delay, woken);
      else
        changed_.wait(lock, stop, woken);
      if (stop.stop_requested()) return;
      woken_ = false;
      lock.unlock();
      work_();
      lock.lock();
    }
  }

  std::function<Delay()> delay_;
  std::function<void()> work_;
  std::mutex mutex_;  // held to set woken_, so that no wake-up is missed
  std::condition_variable_any changed_;
  std::atomic<bool> woken_ = false;
  std::jthread thread_;  // last, so that it is joined before what it uses dies
};

}  // namespace kvstore::inline v0::detail
