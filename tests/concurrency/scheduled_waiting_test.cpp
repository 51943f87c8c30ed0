// SPDX-License-Identifier: MIT

// The locks, conditions, clock and threads that the scheduler gives to its tasks, tested with toy programs.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "concurrency/toy_search.hpp"
#include "support/catch.hpp"
#include "support/scheduled_waiting.hpp"
#include "support/scheduler.hpp"

namespace scheduled_waiting_test {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using support::ScheduledClock;
using support::ScheduledCondition;
using support::ScheduledLock;
using support::ScheduledSharedMutex;
using support::ScheduledThread;
using support::Scheduler;
using toy_search::require;
using toy_search::search;

namespace {

/// Holds one number at a time.
class BoundedQueue {
 public:
  void push(int number) {
    std::unique_lock lock{mutex_};
    not_full_.wait(lock, [&] { return !held_; });
    held_ = number;
    lock.unlock();
    not_empty_.notify_one();
  }
  int pop() {
    std::unique_lock lock{mutex_};
    not_empty_.wait(lock, [&] { return held_.has_value(); });
    const int number = *held_;
    held_.reset();
    lock.unlock();
    not_full_.notify_one();
    return number;
  }

 private:
  ScheduledLock mutex_;
  ScheduledCondition not_full_;
  ScheduledCondition not_empty_;
  std::optional<int> held_;
};

}  // namespace

TEST_CASE("Scheduler: a wake-up that comes before its waiter waits is found to be lost") {
  const auto scenario = [](Scheduler& run) {
    ScheduledLock mutex;
    ScheduledCondition changed;
    std::atomic<bool> done = false;  // set without the lock, between the check and the wait
    const auto wait = [&] {
      std::unique_lock lock{mutex};
      if (done) return;
      run.point("between looking and waiting");
      changed.wait(lock);
    };
    const auto wake = [&] {
      done = true;
      changed.notify_one();
    };
    run.run_together({{"waiter", wait}, {"waker", wake}});
  };
  CHECK_FALSE(search({.preemptions = 0}, scenario).finding);
  const auto finding = search({.preemptions = 1}, scenario).finding;
  REQUIRE(finding);
  CHECK(finding->what == "no task can go on");
  CHECK_THAT(finding->tasks, ContainsSubstring("1 waiter: wait for condition #2, waits"));
}

TEST_CASE("Scheduler: a bounded queue passes, with the schedules that can be counted by hand") {
  // Both tasks have one point before they lock and one before they notify, so each has three pieces: pp|p and
  // cc|c. If the second p comes before the second c, no task waits: 10 of the 20 orders. Otherwise the
  // consumer finds nothing and waits, and the rest is fixed: pcc, cpc and cc, after which only p can
  // continue.
  // By preemptions: 0 pppccc cc..; 1 ppcccp cpppcc pcc..; 2 ppcpcc ppccpc pcppcc cppccp cpc..; 3 pcpccp
  // cppcpc; 4 pcpcpc.
  const auto scenario = [](Scheduler& run) {
    BoundedQueue queue;
    int got = 0;
    run.run_together({{"producer", [&] { queue.push(7); }}, {"consumer", [&] { got = queue.pop(); }}});
    require(got == 7, "something else came out");
  };
  const std::uint64_t counted[] = {2, 5, 10, 12, 13, 13};
  for (unsigned preemptions = 0; preemptions < 6; ++preemptions) {
    const auto result = search({.preemptions = preemptions}, scenario);
    CHECK_FALSE(result.finding);
    CHECK(result.complete);
    CHECK(result.schedules == counted[preemptions]);
  }
}

TEST_CASE("Scheduler: a bounded queue keeps its order with two producers and two items each") {
  const auto result = search({.preemptions = 2}, [](Scheduler& run) {
    BoundedQueue queue;
    std::vector<int> got;
    const auto produce = [&](int first) {
      queue.push(first);
      queue.push(first + 1);
    };
    const auto consume = [&] {
      for (int i = 0; i < 4; ++i) got.push_back(queue.pop());
    };
    run.run_together(
        {{"tens", [&] { produce(10); }}, {"twenties", [&] { produce(20); }}, {"consumer", consume}});
    require(std::erase(got, 10) == 1 && std::erase(got, 20) == 1, "a first item is missing");
    require(got == std::vector{11, 21} || got == std::vector{21, 11}, "a second item is missing");
  });
  CHECK_FALSE(result.finding);
  CHECK(result.schedules > 100);
}

TEST_CASE("Scheduler: whichever of two waits a notification may end, the search ends both") {
  std::set<std::string> first;
  const auto result = search({.preemptions = 0}, [&](Scheduler& run) {
    ScheduledLock mutex;
    ScheduledCondition changed;
    std::string order;
    const auto wait = [&](char name) {
      std::unique_lock lock{mutex};
      changed.wait(lock);
      order += name;
    };
    const auto wake = [&] {
      changed.notify_one();
      changed.notify_one();
    };
    run.run_together({{"a", [&] { wait('a'); }},
                      {"b", [&] { wait('b'); }},
                      {"waker", [&] {
                         ScheduledThread later{wake};  // starts last, and continues last without a preemption
                       }}});
    first.insert(order);
  });
  if (result.finding) CHECK(result.finding->what == "no task can go on");  // notified before they waited
  CHECK(first == std::set<std::string>{"ab", "ba"});
}

TEST_CASE("Scheduler: a timed wait times out where the search wants, and the clock has got there") {
  std::set<bool> in_time;
  const auto result = search({.preemptions = 0, .time_outs = 1}, [&](Scheduler& run) {
    ScheduledLock mutex;
    ScheduledCondition changed;
    bool done = false;
    const auto start = ScheduledClock::now();
    const auto wait = [&] {
      std::unique_lock lock{mutex};
      const bool woken = changed.wait_for(lock, 10ms, [&] { return done; });
      in_time.insert(woken);
      require(woken || ScheduledClock::now() == start + 10ms, "the clock is elsewhere");
    };
    const auto wake = [&] {
      {
        const std::scoped_lock lock{mutex};
        done = true;
      }
      changed.notify_one();
    };
    run.run_together({{"waiter", wait}, {"waker", wake}});
  });
  CHECK_FALSE(result.finding);
  CHECK(in_time == std::set{false, true});
}

TEST_CASE("Scheduler: without a budget a wait times out only once nothing else can go on") {
  const auto result = search({.preemptions = 2, .time_outs = 0}, [](Scheduler& run) {
    ScheduledLock mutex;
    ScheduledCondition changed;
    int others = 0;
    const auto wait = [&] {
      std::unique_lock lock{mutex};
      require(changed.wait_for(lock, 10ms) == std::cv_status::timeout, "nobody has notified");
      require(others == 2, "it was early");
    };
    const auto work = [&] {
      run.point("work");
      ++others;
    };
    run.run_together({{"waiter", wait}, {"one", work}, {"other", work}});
  });
  CHECK_FALSE(result.finding);
}

TEST_CASE("Scheduler: where only time-outs come, and nothing moves, that is a deadlock") {
  const auto finding =
      search({}, [](Scheduler& run) {
        ScheduledLock mutex;
        ScheduledCondition changed;
        const auto tick = [&](bool forever) {
          std::unique_lock lock{mutex};
          while (forever) changed.wait_for(lock, 10ms);
          changed.wait(lock);
        };
        run.run_together({{"ticker", [&] { tick(true); }}, {"waiter", [&] { tick(false); }}});
      }).finding;
  REQUIRE(finding);
  CHECK(finding->what == "no task can go on");
}

TEST_CASE("Scheduler: a shared mutex lets readers in together and a writer alone") {
  const auto result = search({.preemptions = 3, .every_lock = true}, [](Scheduler& run) {
    ScheduledSharedMutex mutex;
    int readers = 0;
    int writers = 0;
    static int most_readers;
    const auto read = [&] {
      const std::shared_lock lock{mutex};
      most_readers = std::max(most_readers, ++readers);
      run.point("read");
      require(writers == 0, "a reader beside a writer");
      --readers;
    };
    const auto write = [&] {
      const std::unique_lock lock{mutex};
      ++writers;
      run.point("write");
      require(writers == 1 && readers == 0, "a writer beside another");
      --writers;
    };
    run.run_together({{"r1", read}, {"r2", read}, {"w1", write}, {"w2", write}});
    require(most_readers < 3, "there are two");
  });
  CHECK_FALSE(result.finding);
  CHECK(result.schedules > 100);
}

TEST_CASE("Scheduler: a thread that tasks start takes part, and a join waits for it") {
  std::set<std::string> orders;
  const auto result = search({.preemptions = 2}, [&](Scheduler& run) {
    std::string order;
    run.run_together({{"parent", [&] {
                         ScheduledThread child{[&](char name) { order += name; }, 'c'};
                         require(child.get_id() != std::this_thread::get_id(), "it has an id of its own");
                         run.point("beside the child");
                         order += 'p';
                         child.join();
                         order += 'j';
                       }}});
    orders.insert(order);
  });
  CHECK_FALSE(result.finding);
  CHECK(orders == std::set<std::string>{"cpj", "pcj"});
}

}  // namespace scheduled_waiting_test
