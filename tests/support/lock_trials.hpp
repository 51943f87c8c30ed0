// SPDX-License-Identifier: MIT
#pragma once

// The trials that every shared mutex has to pass.

#include <array>
#include <atomic>
#include <cstddef>
#include <shared_mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace support {

/// Two threads that never leave a lock free. Each stays inside until the other wants in as well (with shared
/// locks: until the other is inside), or gives up if the other does not come.
template <class Lock>
class Relay {
 public:
  static constexpr bool kShared = requires { typename Lock::mutex_type; } &&
                                  std::is_same_v<Lock, std::shared_lock<typename Lock::mutex_type>>;

  explicit Relay(typename Lock::mutex_type& mutex) : mutex_{mutex} {
    for (std::size_t thread = 0; thread < 2; ++thread) threads_.emplace_back([this, thread] { run(thread); });
    while (passes_ < 10) std::this_thread::yield();
  }
  ~Relay() { stop_ = true; }

  [[nodiscard]] long passes() const { return passes_; }

 private:
  void run(std::size_t thread) {
    while (!stop_) {
      if constexpr (!kShared) here_[thread] = true;
      const Lock lock{mutex_};
      here_[thread] = kShared;
      for (int i = 0; i < 2000 && !here_[1 - thread] && !stop_; ++i) std::this_thread::yield();
      ++passes_;
      here_[thread] = false;
    }
  }

  typename Lock::mutex_type& mutex_;
  std::atomic<bool> stop_ = false;
  std::atomic<long> passes_ = 0;
  std::array<std::atomic<bool>, 2> here_{};
  std::vector<std::jthread> threads_;
};

/// How often two threads passed a third one that wanted in; at most `most`.
template <class Passing, class Waiting>
[[nodiscard]] long passes_before(long most) {
  typename Passing::mutex_type mutex;
  const Relay<Passing> relay{mutex};
  std::atomic<long> start = -1;
  std::atomic<long> end = -1;
  std::jthread waiting{[&] {
    start = relay.passes();
    const Waiting lock{mutex};
    end = relay.passes();
  }};
  while (start < 0) std::this_thread::yield();
  while (end < 0 && relay.passes() - start < most) std::this_thread::yield();
  return end < 0 ? most : end - start;
}

struct Exclusion {
  int writes;  ///< writes that were counted
  int torn;    ///< reads and writes that met a half-done write
};

/// Runs `threads` threads that write and as many that read, `rounds` times each. Some of them try until they
/// succeed. Each calls `linger` while inside.
template <class Mutex, class Linger>
[[nodiscard]] Exclusion exclude(int threads, int rounds, const Linger& linger) {
  Mutex mutex;
  int a = 0;
  int b = 0;
  std::atomic<int> torn = 0;
  const auto try_first = [](bool tries, const auto& attempt, const auto& wait) {
    while (tries && !attempt()) std::this_thread::yield();
    if (!tries) wait();
  };
  std::vector<std::jthread> team;
  for (int thread = 0; thread < threads; ++thread) {
    const bool tries = thread % 4 == 3;
    team.emplace_back([&, tries] {
      for (int i = 0; i < rounds; ++i) {
        try_first(tries, [&] { return mutex.try_lock(); }, [&] { mutex.lock(); });
        if (a != b) ++torn;
        ++a;
        linger();
        ++b;
        mutex.unlock();
      }
    });
    team.emplace_back([&, tries] {
      for (int i = 0; i < rounds; ++i) {
        try_first(tries, [&] { return mutex.try_lock_shared(); }, [&] { mutex.lock_shared(); });
        if (a != b) ++torn;
        linger();
        if (a != b) ++torn;
        mutex.unlock_shared();
      }
    });
  }
  team.clear();
  return {a == b ? a : -1, torn};
}

}  // namespace support
