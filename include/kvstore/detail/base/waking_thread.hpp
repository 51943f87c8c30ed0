// SPDX-License-Identifier: MIT
#pragma once

// A thread that runs a task periodically or on demand.

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace kvstore { inline namespace v1 { namespace detail {

/// Calls `work` after each delay that `delay` returns (none: only when woken), or at once when woken. The
/// destructor stops the thread and waits for a `work` under way. Neither function may throw.
template <class Means>
class WakingThread final {
 public:
  using Delay = std::optional<std::chrono::steady_clock::duration>;

  WakingThread(std::function<Delay()> delay, std::function<void()> work)
      : delay_{std::move(delay)}, work_{std::move(work)}, thread_{[this] { run(); }} {}
  WakingThread(const WakingThread&) = delete;
  WakingThread& operator=(const WakingThread&) = delete;
  ~WakingThread() { stop(); }

  /// Has `work` called soon. *Thread safety*: safe from any thread.
  void wake() {
    // Sequentially consistent: if the flag is already up, the thread has not begun its next `work`, which
    // will see everything the caller did before.
    if (woken_.load(std::memory_order_seq_cst)) return;
    {
      const std::scoped_lock lock{mutex_};
      woken_.store(true, std::memory_order_seq_cst);
    }
    changed_.notify_one();
  }

  /// Stops the thread and waits for a `work` under way. A call from `work` itself, as when a handler ends the
  /// program, does not wait: that thread never returns to its loop.
  void stop() {
    leave();
    if (!thread_.joinable()) return;
    is_this_thread() ? thread_.detach() : thread_.join();
  }

  /// Has the thread end without another `work`. Does not wait for a `work` under way, which may have to wait
  /// for the caller.
  void leave() noexcept {
    {
      const std::scoped_lock lock{mutex_};
      stopped_ = true;
    }
    changed_.notify_one();
  }

  /// Whether the caller is `work`.
  [[nodiscard]] bool is_this_thread() const noexcept {
    return id_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

 private:
  void run() {
    id_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    std::unique_lock lock{mutex_};
    while (!stopped_) {
      lock.unlock();
      const Delay delay = delay_();
      lock.lock();
      const auto called = [this] { return stopped_ || woken_.load(std::memory_order_relaxed); };
      if (delay)
        changed_.wait_for(lock, *delay, called);
      else
        changed_.wait(lock, called);
      if (stopped_) return;
      woken_.store(false, std::memory_order_seq_cst);
      lock.unlock();
      work_();
      lock.lock();
    }
  }

  std::function<Delay()> delay_;
  std::function<void()> work_;
  typename Means::Lock mutex_;  // held while the following are set, so that no wake-up is missed
  typename Means::Condition changed_;
  std::atomic<bool> woken_ = false;
  bool stopped_ = false;  // not a stop token: waiting for one never ended with GCC 12 of mingw-w64, in Wine
  std::atomic<std::thread::id> id_{};  // a copy, since `thread_` has no id while it is being joined
  typename Means::Thread thread_;      // last, so that it is joined before the members it uses are destroyed
};

}}}  // namespace kvstore::v1::detail
