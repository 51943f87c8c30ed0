// SPDX-License-Identifier: MIT

// The scheduler itself, tested with toy programs: it finds their mistakes, and counts their schedules.

#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "concurrency/toy_search.hpp"
#include "support/catch.hpp"
#include "support/schedule.hpp"
#include "support/schedule_search.hpp"
#include "support/scheduled_waiting.hpp"
#include "support/scheduler.hpp"

namespace scheduler_test {

using Catch::Matchers::ContainsSubstring;
using support::Schedule;
using support::ScheduledLock;
using support::Scheduler;
using support::Search;
using toy_search::require;
using toy_search::search;

namespace {

/// Two tasks with `points` points each.
Search::Scenario two_tasks(int points) {
  return [points](Scheduler& run) {
    const auto body = [&run, points] {
      for (int i = 0; i < points; ++i) run.point("step");
    };
    run.run_together({{"a", body}, {"b", body}});
  };
}

/// Adds by a read and a write, with a point in between.
void lose_an_update(Scheduler& run) {
  int counter = 0;
  const auto add = [&] {
    const int seen = counter;
    run.point("between read and write");
    counter = seen + 1;
  };
  run.run_together({{"a", add}, {"b", add}});
  require(counter == 2, "an update is lost");
}

void lock_in_both_orders(Scheduler& run) {
  ScheduledLock first;
  ScheduledLock second;
  const auto take = [](ScheduledLock& one, ScheduledLock& other) {
    const std::scoped_lock outer{one};
    const std::scoped_lock inner{other};
  };
  run.run_together({{"a", [&] { take(first, second); }}, {"b", [&] { take(second, first); }}});
}

}  // namespace

TEST_CASE("Scheduler: of two tasks every interleaving comes once, as many as can be counted by hand") {
  // A task with k points has k + 1 pieces, and two rows of k + 1 pieces have (2k + 2 over k + 1) orders.
  CHECK(search({.preemptions = 9}, two_tasks(1)).schedules == 6);
  CHECK(search({.preemptions = 9}, two_tasks(2)).schedules == 20);
  CHECK(search({.preemptions = 9}, two_tasks(3)).schedules == 70);
}

TEST_CASE("Scheduler: a bound on preemptions leaves only schedules with as many or fewer") {
  CHECK(search({.preemptions = 0}, two_tasks(1)).schedules == 2);  // aabb, bbaa
  CHECK(search({.preemptions = 1}, two_tasks(1)).schedules == 4);  // also abba, baab
  CHECK(search({.preemptions = 2}, two_tasks(1)).schedules == 6);  // also abab, baba
}

TEST_CASE("Scheduler: a lost update is found with one preemption, and not without") {
  CHECK_FALSE(search({.preemptions = 0}, lose_an_update).finding);
  const auto finding = search({.preemptions = 1}, lose_an_update).finding;
  REQUIRE(finding);
  CHECK_THAT(finding->what, ContainsSubstring("an update is lost"));
  CHECK_FALSE(Search{}.replay(lose_an_update, "-"));
  CHECK(Search{}.replay(lose_an_update, finding->schedule)->what == finding->what);
}

TEST_CASE("Scheduler: a deadlock of two locks is found, and its schedule leads there again") {
  const auto finding = search({.preemptions = 1}, lock_in_both_orders).finding;
  REQUIRE(finding);
  CHECK(finding->what == "no task can go on");
  CHECK_THAT(finding->tasks,
             ContainsSubstring("1 a: lock #2, waits") && ContainsSubstring("2 b: lock #1, waits"));
  std::vector<std::string> places;
  const auto again = Search{}.replay(lock_in_both_orders, finding->schedule,
                                     [&](const std::string& place) { places.push_back(place); });
  REQUIRE(again);
  CHECK(again->what == finding->what);
  CHECK(again->tasks == finding->tasks);
  CHECK_THAT(places.back(), ContainsSubstring("lock"));
}

TEST_CASE("Scheduler: a schedule leads there again through tasks that end one after another") {
  const auto scenario = [](Scheduler& run) {
    std::string order;
    const auto add = [&](char name) { return [&order, name] { order += name; }; };
    run.run_together({{"a", add('a')}, {"b", add('b')}, {"c", add('c')}, {"d", add('d')}});
    require(order != "dbca", "the order that is looked for");
  };
  const auto finding = search({.preemptions = 0}, scenario).finding;
  REQUIRE(finding);
  const auto again = Search{}.replay(scenario, finding->schedule);
  REQUIRE(again);
  CHECK(again->what == finding->what);
}

TEST_CASE("Scheduler: a run without end is found") {
  const auto finding = search({.points = 100}, [](Scheduler& run) {
                         bool stop = false;
                         const auto spin = [&] {
                           while (!stop) run.point("spin");
                         };
                         run.run_together({{"spinner", spin}, {"stopper", [&] { stop = true; }}});
                       }).finding;
  REQUIRE(finding);
  CHECK_THAT(finding->what, ContainsSubstring("does not end"));
}

TEST_CASE("Scheduler: faults are chosen as far as the budget goes, and are part of the schedule") {
  const auto scenario = [](Scheduler& run) {
    int failed = 0;
    run.run_together({{"a", [&] {
                         for (int i = 0; i < 3; ++i) failed += run.choose_fault(2) == 2 ? 1 : 0;
                       }}});
    require(failed < 2, "two failed");
  };
  const auto one = search({.faults = 1}, scenario);
  CHECK_FALSE(one.finding);
  CHECK(one.schedules == 7);  // no fault, or one of two faults at one of three places
  CHECK(one.with_faults == 6);
  const auto two = search({.faults = 2}, scenario);
  REQUIRE(two.finding);
  CHECK(Search{{.faults = 2}}.replay(scenario, two.finding->schedule));
}

TEST_CASE("Scheduler: a run that is not the same twice is found out, not misread") {
  int runs = 0;
  const auto finding = search({.preemptions = 1}, [&](Scheduler& run) {
                         const bool odd = ++runs % 2 == 1;
                         const auto body = [&run, odd] {
                           run.point("step");
                           if (odd) run.point("another");
                         };
                         run.run_together({{"a", body}, {"b", body}});
                       }).finding;
  REQUIRE(finding);
  CHECK_THAT(finding->what, ContainsSubstring("not the same twice"));
}

TEST_CASE("Scheduler: what a task throws is a finding, and the others go on") {
  const auto finding =
      search({}, [](Scheduler& run) {
        run.run_together({{"thrower", [] { throw std::runtime_error{"oh"}; }}, {"other", [] {}}});
      }).finding;
  REQUIRE(finding);
  CHECK(finding->what == "thrower: oh");
}

TEST_CASE("Schedule: its text is read back, and any other text is refused") {
  CHECK(Schedule{"12>2,15!0,17=1"}.text() == "12>2,15!0,17=1");
  CHECK(Schedule{"-"}.text() == "-");
  CHECK(Schedule{}.text() == "-");
  for (const char* text : {"x", "1", "1>", ">1", "1?2", "1>2x"})
    CHECK_THROWS_AS(Schedule{text}, std::invalid_argument);
}

TEST_CASE("Scheduler: with one preemption the schedules of two long tasks grow with their points only") {
  CHECK(search({.preemptions = 1}, two_tasks(50)).schedules ==
        2 + 2 * 50);  // at each point of the task that runs first
}

}  // namespace scheduler_test
