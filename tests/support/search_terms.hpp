// SPDX-License-Identifier: MIT
#pragma once

// The limits and the findings of a search through schedules.

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace support {

/// The limits of a search.
struct SearchLimits {
  unsigned preemptions = 1;       ///< per run: switches away from a task that could have continued
  unsigned time_outs = 1;         ///< per run: timed waits that end although a task could have continued
  unsigned faults = 0;            ///< per run: calls of `Scheduler::choose_fault` that fail
  std::uint64_t points = 20'000;  ///< per run; a run with more points is reported as endless
  bool every_lock = false;  ///< operations on a shared mutex and unlocks are points too, contended or not
  std::chrono::steady_clock::duration time = std::chrono::hours{1};  ///< for the whole search
};

/// The trouble of one run.
struct Finding {
  std::string what;
  std::string schedule;  ///< for `Search::replay`
  std::string tasks;     ///< the place of each task, one a line
};

/// Thrown by a task to report that something is wrong.
class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace support
