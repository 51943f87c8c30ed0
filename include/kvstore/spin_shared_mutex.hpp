// SPDX-License-Identifier: MIT
#pragma once

// A shared mutex for sections as short as a store's: one word, which waiters watch for a moment before they
// sleep. Without contention, std::shared_mutex costs twice as much.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>  // IWYU pragma: keep, for other processors

namespace kvstore { inline namespace v1 {

/// A shared mutex that a store takes as its `Mutex`. It spins for about a microsecond, then sleeps.
///
/// *Fairness*: only readers that are already inside go before a waiting writer. A reader waits for the writer
/// inside, and for a writer that is already waiting. Threads that arrive while a writer waits follow in
/// unspecified order.
///
/// *Requirements met*: SharedMutex of the standard. Not recursive. At most 2^29 - 1 threads at once.
///
/// ```cpp
/// using Store = kvstore::BatchPersistentKeyValueStore<std::string, int, kvstore::Hash<std::string>,
///                                                     std::equal_to<>, kvstore::SpinSharedMutex>;
/// ```
class SpinSharedMutex {
 public:
  /// A store need not protect writers from starvation.
  static constexpr bool is_fair = true;  // NOLINT(readability-identifier-naming): as traits of the standard

  /// Free.
  SpinSharedMutex() = default;
  SpinSharedMutex(const SpinSharedMutex&) = delete;
  SpinSharedMutex& operator=(const SpinSharedMutex&) = delete;

  /// Gets in as the writer, unless a thread is inside or waits. @returns whether it did.
  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t free = 0;
    return state_.compare_exchange_strong(free, kWriter, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  /// Waits until no thread is inside, and gets in as the writer.
  void lock() {
    if (!try_lock()) wait_to_lock();
  }
  /// Leaves, as the writer inside.
  void unlock() noexcept {
    if ((state_.fetch_sub(kWriter, std::memory_order_release) & kAsleep) != 0) wake();
  }

  /// Gets in as a reader, unless a writer is inside or waits. @returns whether it did.
  [[nodiscard]] bool try_lock_shared() noexcept {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    while ((state & (kWriter | kWriterWaits)) == 0) {
      if (state_.compare_exchange_weak(state, state + kReader, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  /// Waits for the writer inside, and for one that waits already, and gets in as a reader.
  void lock_shared() {
    const std::uint32_t state = state_.fetch_add(kReader, std::memory_order_acquire);
    if ((state & (kWriter | kWriterWaits)) != 0) wait_to_lock_shared(state);
  }
  /// Leaves, as a reader inside.
  void unlock_shared() noexcept {
    const std::uint32_t state = state_.fetch_sub(kReader, std::memory_order_release);
    if ((state & kAsleep) != 0 && state < 2 * kReader) wake();
  }

 private:
  // A reader is counted as soon as it arrives. If it finds a writer inside, it stays counted, so that it is
  // next: no writer gets in before the reader has left. If it finds a writer waiting, it steps back and
  // queues at the turnstile, which that writer holds.
  static constexpr std::uint32_t kWriter = 1;       // a writer is inside
  static constexpr std::uint32_t kWriterWaits = 2;  // and holds the turnstile
  static constexpr std::uint32_t kAsleep = 4;  // threads sleep; the thread that clears this wakes them all
  static constexpr std::uint32_t kReader = 8;
  static constexpr int kSpins = 40;

  [[nodiscard]] static bool is_held(std::uint32_t state) noexcept {
    return (state & kWriter) != 0 || state >= kReader;
  }
  [[nodiscard]] static bool is_written(std::uint32_t state) noexcept { return (state & kWriter) != 0; }

  void wait_to_lock() {
    enter_turnstile();
    const std::scoped_lock turnstile{std::adopt_lock, turnstile_};
    state_.fetch_or(kWriterWaits, std::memory_order_relaxed);
    std::uint32_t state = wait_while(is_held);
    // Fails if a reader arrives and steps back.
    while (!state_.compare_exchange_weak(state, kWriter | (state & kAsleep), std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
      state = wait_while(is_held);
    }
  }

  void wait_to_lock_shared(std::uint32_t state) {
    if ((state & kWriterWaits) != 0) {
      unlock_shared();
      enter_turnstile();
      const std::scoped_lock turnstile{std::adopt_lock, turnstile_};
      state_.fetch_add(kReader, std::memory_order_relaxed);
    }
    wait_while(is_written);
  }

  void enter_turnstile() {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (turnstile_.try_lock()) return;
      pause();
    }
    turnstile_.lock();
  }

  /// Returns the first state seen for which `holds` does not hold.
  std::uint32_t wait_while(bool (&holds)(std::uint32_t) noexcept) noexcept {
    for (int spin = 0;; ++spin) {
      std::uint32_t state = state_.load(std::memory_order_acquire);
      if (!holds(state)) return state;
      if (spin < kSpins)
        pause();
      else if ((state & kAsleep) != 0 || state_.compare_exchange_weak(state, state | kAsleep))
        sleep(state | kAsleep);
    }
  }

  void sleep([[maybe_unused]] std::uint32_t state) noexcept {
#ifdef __MINGW32__  // where GCC 12's library loses wake-ups
    std::this_thread::yield();
#else
    state_.wait(state);
#endif
  }

  void wake() noexcept {
    state_.fetch_and(~kAsleep);
    state_.notify_all();
  }

  static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    std::this_thread::yield();
#endif
  }

  std::atomic<std::uint32_t> state_ = 0;
  std::mutex turnstile_;
};

}}  // namespace kvstore::v1
