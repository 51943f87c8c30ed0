// SPDX-License-Identifier: MIT
#pragma once

// Searches through the schedules of a scenario, and replays one of them.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "support/schedule.hpp"
#include "support/scheduler.hpp"
#include "support/search_terms.hpp"
#include "support/task_threads.hpp"

namespace support {

/// The result of a search.
struct SearchResult {
  std::uint64_t schedules = 0;
  std::uint64_t with_faults = 0;  ///< the number of schedules with a fault
  std::uint64_t deepest = 0;      ///< the number of points in the longest run
  bool complete = false;          ///< the search ended at the limits of the runs, not at the time limit
  std::optional<Finding> finding{};
};

/// Runs a scenario with all schedules within limits, depth first, up to the first finding. A scenario makes
/// all of its objects afresh, and behaves the same whenever it gets the same schedule.
///
/// ```cpp
/// const auto result = support::Search{{.preemptions = 2}}.run([](support::Scheduler& run) {
///   Counter counter;
///   run.run_together({{"a", [&] { counter.add(); }}, {"b", [&] { counter.add(); }}});
///   if (counter.value() != 2) throw support::Violation{"an addition is lost"};
/// });
/// ```
class Search {
 public:
  using Scenario = std::function<void(Scheduler&)>;

  explicit Search(const SearchLimits& limits = {}) : limits_{limits} {}

  /// The schedule so far of the current run of the latest search, for a message about a crash.
  [[nodiscard]] static std::string schedule_so_far() {
    return running_path == nullptr ? std::string{} : running_path->schedule().text();
  }

  [[nodiscard]] SearchResult run(const Scenario& scenario) {
    const OneProcessor keeps_here{processor_};
    const auto deadline = std::chrono::steady_clock::now() + limits_.time;
    SchedulePath path;
    const Announced announced{path};
    SearchResult result;
    do {
      Scheduler run{limits_, threads_, &path, nullptr, {}};
      result.finding = run.run(scenario);
      ++result.schedules;
      if (run.faults_left_ != limits_.faults) ++result.with_faults;
      result.deepest = std::max(result.deepest, run.points_);
      if (!result.finding && !path.is_followed()) {
        result.finding =
            Finding{"the run is not the same twice: it ended before it came to the same point", {}, {}};
      }
      if (result.finding) {
        result.finding->schedule = path.schedule().text();
        return result;
      }
      if (std::chrono::steady_clock::now() > deadline) return result;
    } while (path.advance());
    result.complete = true;
    return result;
  }

  /// Runs the scenario once more, with the schedule of a finding. `trace` gets a line for each point and the
  /// task that reached it.
  [[nodiscard]] std::optional<Finding> replay(const Scenario& scenario, const std::string& schedule,
                                              std::function<void(const std::string&)> trace = {}) {
    const OneProcessor keeps_here{processor_};
    const Schedule wanted{schedule};
    Scheduler run{limits_, threads_, nullptr, &wanted, std::move(trace)};
    auto finding = run.run(scenario);
    if (finding) finding->schedule = schedule;
    return finding;
  }

 private:
  /// Publishes the path for `schedule_so_far`.
  struct Announced {
    explicit Announced(const SchedulePath& path) { running_path = &path; }
    Announced(const Announced&) = delete;
    Announced& operator=(const Announced&) = delete;
    ~Announced() { running_path = nullptr; }
  };
  static inline const SchedulePath* running_path = nullptr;

  SearchLimits limits_;
  int processor_ = OneProcessor::here();
  TaskThreads threads_;
};

}  // namespace support
