// SPDX-License-Identifier: MIT
#pragma once

// A turnstile in front of a shared mutex. glibc's std::shared_mutex lets new readers pass a waiting writer:
// while two readers were busy, a writer waited for seconds; while three were, for ever. Here a waiting writer
// closes the turnstile, so that only the readers already inside pass before it.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <type_traits>

namespace kvstore { inline namespace v1 { namespace detail {

/// Makes any shared mutex fair to writers. Meets the standard's SharedMutex requirements as far as
/// `std::unique_lock` and `std::shared_lock` use them here. Costs readers one relaxed load while no
/// writer waits.
template <class Mutex>
class FairSharedMutex {
 public:
  void lock() {
    if (mutex_.try_lock()) return;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    try {
      const std::scoped_lock turnstile{turnstile_};
      mutex_.lock();
    } catch (...) {
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      throw;
    }
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }
  [[nodiscard]] bool try_lock() { return mutex_.try_lock(); }
  void unlock() { mutex_.unlock(); }

  // `waiting_` is only a hint: a reader that misses it passes the writer once.
  void lock_shared() {
    if (waiting_.load(std::memory_order_relaxed) != 0) const std::scoped_lock queue{turnstile_};
    mutex_.lock_shared();
  }
  [[nodiscard]] bool try_lock_shared() {
    return waiting_.load(std::memory_order_relaxed) == 0 && mutex_.try_lock_shared();
  }
  void unlock_shared() { mutex_.unlock_shared(); }

 private:
  Mutex mutex_;
  std::atomic<std::uint32_t> waiting_ = 0;
  std::mutex turnstile_;
};

/// Whether a mutex declares that its readers do not starve its writers: by `static constexpr bool is_fair =
/// true`, or by a type of that name, as our first preview asked for. Another member of that name
/// declares nothing, and is not an error.
template <class Mutex>
concept FairMutex =
    requires { requires std::bool_constant<Mutex::is_fair>::value; } || requires { typename Mutex::is_fair; };

/// Such a mutex needs no turnstile.
template <FairMutex Mutex>
class FairSharedMutex<Mutex> : public Mutex {};

}}}  // namespace kvstore::v1::detail
