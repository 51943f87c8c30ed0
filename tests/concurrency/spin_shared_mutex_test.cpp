// SPDX-License-Identifier: MIT

#include "kvstore/spin_shared_mutex.hpp"

#include <atomic>
#include <functional>
#include <latch>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/lock_trials.hpp"

namespace spin_shared_mutex_test {

using kvstore::SpinSharedMutex;
using Shared = std::shared_lock<SpinSharedMutex>;
using Exclusive = std::unique_lock<SpinSharedMutex>;

namespace {

// Far more threads than pass before a loaded machine runs the waiting one.
constexpr long kMaxPasses = 300'000;

/// Whether another thread gets the lock at once.
bool other_gets(const std::function<bool()>& attempt) {
  bool got = false;
  std::jthread{[&] { got = attempt(); }}.join();
  return got;
}

}  // namespace

TEST_CASE("SpinSharedMutex: it excludes writers from readers and from each other") {
  const auto [writes, torn] = support::exclude<SpinSharedMutex>(2, 20'000, [] {});
  CHECK(writes == 40'000);
  CHECK(torn == 0);
}

TEST_CASE("SpinSharedMutex: it still does when those inside lose their processor, so that others sleep") {
  const auto [writes, torn] = support::exclude<SpinSharedMutex>(8, 500, [] { std::this_thread::yield(); });
  CHECK(writes == 4'000);
  CHECK(torn == 0);
}

TEST_CASE("SpinSharedMutex: a waiting writer gets in beside two readers that relay for ever") {
  REQUIRE(support::passes_before<Shared, Exclusive>(kMaxPasses) < kMaxPasses);
}

TEST_CASE("SpinSharedMutex: a waiting reader gets in beside two writers that relay for ever") {
  REQUIRE(support::passes_before<Exclusive, Shared>(kMaxPasses) < kMaxPasses);
}

TEST_CASE("SpinSharedMutex: readers are inside together") {
  SpinSharedMutex mutex;
  std::latch all{3};
  std::vector<std::jthread> readers;
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&] {
      const Shared lock{mutex};
      all.arrive_and_wait();  // returns only if no reader has to leave first
    });
  }
}

TEST_CASE("SpinSharedMutex: those who sleep wake when the lock is free, readers and writers") {
  for (int round = 0; round < 20; ++round) {
    SpinSharedMutex mutex;
    std::latch wanted{6};
    std::vector<std::jthread> threads;
    int writes = 0;
    {
      const Exclusive held{mutex};
      for (int thread = 0; thread < 6; ++thread) {
        threads.emplace_back([&, thread] {
          wanted.count_down();
          if (thread % 2 == 0) {
            const Exclusive lock{mutex};
            ++writes;
          } else {
            const Shared lock{mutex};
          }
        });
      }
      wanted.wait();
      for (int i = 0; i < 100; ++i) std::this_thread::yield();  // most of them are asleep by then
    }
    threads.clear();
    REQUIRE(writes == 3);
  }
}

TEST_CASE("SpinSharedMutex: trying tells whether the lock is free") {
  SpinSharedMutex mutex;
  const auto lock = [&] { return Exclusive{mutex, std::try_to_lock}.owns_lock(); };
  const auto lock_shared = [&] { return Shared{mutex, std::try_to_lock}.owns_lock(); };
  {
    const Exclusive held{mutex};
    CHECK_FALSE(other_gets(lock));
    CHECK_FALSE(other_gets(lock_shared));
  }
  {
    const Shared held{mutex};
    CHECK_FALSE(other_gets(lock));
    CHECK(other_gets(lock_shared));
  }
  CHECK(other_gets(lock));
}

TEST_CASE("SpinSharedMutex: while a writer waits, trying to read fails") {
  SpinSharedMutex mutex;
  std::jthread writer;
  const Shared held{mutex};
  writer = std::jthread{[&] { const Exclusive lock{mutex}; }};
  while (other_gets([&] { return Shared{mutex, std::try_to_lock}.owns_lock(); })) std::this_thread::yield();
}

}  // namespace spin_shared_mutex_test
