// SPDX-License-Identifier: MIT
#pragma once

// What a shared mutex has to stand, whichever it is.

#include <array>
#include <atomic>
#include <cstddef>
#include <shared_mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace support {

/// Two threads that never leave a lock free: each waits inside until the other wants in as well (readers:
/// until it is inside), or gives up when that one does not come.
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

/// How often two threads passed a third one that wanted in, up to `most`.
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
  int writes;  ///< that were counted
  int torn;    ///< reads and writes that met another one's half-done work
};

/// Threads that write, beside as many that read, each `rounds` times; some of them by trying until they
/// succeed. `linger` is what they do inside.
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
