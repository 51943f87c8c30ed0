// SPDX-License-Identifier: MIT

#include "kvstore/detail/base/thread_counters.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "kvstore/detail/base/per_thread.hpp"
#include "support/catch.hpp"

namespace thread_counters_test { namespace {

struct Counters {
  kvstore::detail::PerThread<kvstore::detail::LocalCounters<2>> threads;
  kvstore::detail::ThreadCounters<2> sums{threads};

  void add(std::size_t at, std::uint64_t amount) noexcept { sums.add(threads.local(), at, amount); }
  [[nodiscard]] std::uint64_t sum(std::size_t at) const noexcept { return sums.sum(at); }
};

TEST_CASE("ThreadCounters: nothing is lost among threads, nor when they have ended") {
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kTimes = 10'000;
  Counters counters;
  counters.add(1, 5);
  for (int round = 0; round < 3; ++round) {
    std::vector<std::jthread> team;
    for (std::uint64_t t = 0; t < kThreads; ++t) {
      team.emplace_back([&] {
        for (std::uint64_t i = 0; i < kTimes; ++i) counters.add(0, 2);
      });
    }
  }
  REQUIRE(counters.sum(0) == 3 * kThreads * kTimes * 2);
  REQUIRE(counters.sum(1) == 5);
}

TEST_CASE("ThreadCounters: more of them than a thread remembers are told apart, new ones from old ones too") {
  constexpr std::size_t kMany = 100;
  for (int life = 0; life < 3; ++life) {
    std::array<Counters, kMany> many;
    for (std::uint64_t round = 0; round < 3; ++round) {
      for (std::uint64_t i = 0; i < many.size(); ++i) many[i].add(0, i + 1);
    }
    for (std::uint64_t i = 0; i < many.size(); ++i) REQUIRE(many[i].sum(0) == 3 * (i + 1));
  }
}

TEST_CASE("ThreadCounters: a sum never falls, and holds what its reader knows to be added") {
  Counters counters;
  std::atomic<std::uint64_t> told = 0;
  std::atomic<bool> done = false;
  const std::jthread adder{[&] {
    for (std::uint64_t i = 1; i <= 100'000; ++i) {
      counters.add(0, 1);
      told.store(i, std::memory_order_release);
    }
    done = true;
  }};
  std::uint64_t last = 0;
  bool holds = true;
  while (!done) {
    const std::uint64_t known = told.load(std::memory_order_acquire);
    const std::uint64_t sum = counters.sum(0);
    holds = holds && sum >= known && sum >= last;
    last = sum;
  }
  REQUIRE(holds);
}

}  // namespace
}  // namespace thread_counters_test
