// SPDX-License-Identifier: MIT

#include "kvstore/detail/base/fair_shared_mutex.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"

namespace fair_shared_mutex_test {

using kvstore::detail::FairSharedMutex;

namespace {

/// Readers that never leave the lock free: each waits inside until the other has come in as well. A plain
/// reader-preferring lock lets them relay for ever.
template <class Mutex>
class Relay {
 public:
  explicit Relay(Mutex& mutex) : mutex_{mutex} {
    for (int reader = 0; reader < 2; ++reader) readers_.emplace_back([this, reader] { run(reader); });
    while (passes_ < 10) std::this_thread::yield();
  }
  ~Relay() { stop_ = true; }

  [[nodiscard]] long passes() const { return passes_; }

 private:
  void run(int reader) {
    while (!stop_) {
      const std::shared_lock lock{mutex_};
      inside_[reader] = true;
      // Stays until the other reader is inside, or gives up if that reader cannot come in.
      for (int i = 0; i < 2000 && !inside_[1 - reader] && !stop_; ++i) std::this_thread::yield();
      ++passes_;
      inside_[reader] = false;
    }
  }

  Mutex& mutex_;
  std::atomic<bool> stop_ = false;
  std::atomic<long> passes_ = 0;
  std::atomic<bool> inside_[2] = {false, false};
  std::vector<std::jthread> readers_;
};

/// The number of times that readers passed a writer that wanted in; at most `most`.
template <class Mutex>
long passes_before_writer(long most) {
  Mutex mutex;
  const Relay<Mutex> readers{mutex};
  std::atomic<long> start = -1;
  std::atomic<long> end = -1;
  std::jthread writer{[&] {
    start = readers.passes();
    const std::unique_lock lock{mutex};
    end = readers.passes();
  }};
  while (start < 0) std::this_thread::yield();
  while (end < 0 && readers.passes() - start < most) std::this_thread::yield();
  return end < 0 ? most : end - start;
}

struct Fair : std::shared_mutex {
  static constexpr bool is_fair = true;
};

struct FairByType : std::shared_mutex {
  using is_fair = void;
};

struct Unfair : std::shared_mutex {
  static constexpr bool is_fair = false;
};

// Mutexes with a member of that name that means something else.
struct FairNow : std::shared_mutex {
  bool is_fair = true;
};
struct FairAtRunTime : std::shared_mutex {
  static inline bool is_fair = true;
};
struct FairFunction : std::shared_mutex {
  [[nodiscard]] bool is_fair() const { return true; }
};
struct FairStaticFunction : std::shared_mutex {
  static constexpr bool is_fair() { return true; }
};

}  // namespace

TEST_CASE("FairSharedMutex: a waiting writer gets in beside two readers that relay for ever") {
  // Far more readers than pass before a loaded machine runs the writer. With a plain lock any number may
  // pass.
  constexpr long kMaxPasses = 300'000;
  REQUIRE(passes_before_writer<FairSharedMutex<std::shared_mutex>>(kMaxPasses) < kMaxPasses);
}

TEST_CASE("FairSharedMutex: a mutex that says that it is fair has no turnstile") {
  CHECK(std::is_base_of_v<Fair, FairSharedMutex<Fair>>);
  CHECK(std::is_base_of_v<FairByType, FairSharedMutex<FairByType>>);
  CHECK_FALSE(std::is_base_of_v<Unfair, FairSharedMutex<Unfair>>);
}

TEST_CASE("FairSharedMutex: a member is_fair that is no constant bool compiles, and the turnstile stays") {
  CHECK_FALSE(std::is_base_of_v<FairNow, FairSharedMutex<FairNow>>);
  CHECK_FALSE(std::is_base_of_v<FairAtRunTime, FairSharedMutex<FairAtRunTime>>);
  CHECK_FALSE(std::is_base_of_v<FairFunction, FairSharedMutex<FairFunction>>);
  CHECK_FALSE(std::is_base_of_v<FairStaticFunction, FairSharedMutex<FairStaticFunction>>);
}

TEST_CASE("FairSharedMutex: it excludes writers from readers and from each other") {
  FairSharedMutex<std::shared_mutex> mutex;
  int a = 0;
  int b = 0;
  std::atomic<int> torn = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 2; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 5000; ++i) {
          const std::unique_lock lock{mutex};
          ++a;
          ++b;
        }
      });
      threads.emplace_back([&] {
        for (int i = 0; i < 5000; ++i) {
          const std::shared_lock lock{mutex};
          if (a != b) ++torn;
        }
      });
    }
  }
  REQUIRE(torn == 0);
  REQUIRE(a == 10'000);
}

}  // namespace fair_shared_mutex_test
