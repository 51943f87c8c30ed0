// SPDX-License-Identifier: MIT
#pragma once

// How far a search through schedules goes, and what it finds.

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace support {

/// How far a search goes.
struct SearchLimits {
  unsigned preemptions = 1;  ///< in a run: switches away from a task that could have gone on
  unsigned time_outs = 1;    ///< in a run: timed waits that end although something else could have gone on
  unsigned faults = 0;       ///< in a run: `Scheduler::choose_fault` that say yes
  std::uint64_t points = 20'000;  ///< in a run; one that has more is said never to end
  bool every_lock = false;        ///< a shared mutex and an unlock are points too, contended or not
  std::chrono::steady_clock::duration time = std::chrono::hours{1};  ///< of the whole search
};

/// What is wrong with a run.
struct Finding {
  std::string what;
  std::string schedule;  ///< for `Search::replay`
  std::string tasks;     ///< where each of them stood, a line each
};

/// What a task throws to say that something is wrong.
class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace support
