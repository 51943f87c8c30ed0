// SPDX-License-Identifier: MIT
#pragma once

// Takes times. Peers run in turns (A B A B ...), because a machine's speed drifts: whoever runs alone for a
// minute meets another machine than the next one.

#include <time.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/samples.hpp"

namespace bench {

using Clock = std::chrono::steady_clock;

/// Takes the time that passes, and the time for which this process had a processor. On a machine that is busy
/// with other things the second tells more.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }
  [[nodiscard]] double cpu_seconds() const { return cpu_now() - cpu_start_; }
  /// Both, as the figures of a round.
  [[nodiscard]] std::vector<double> figures() const { return {seconds(), cpu_seconds()}; }

 private:
  [[nodiscard]] static double cpu_now() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }

  Clock::time_point start_ = Clock::now();
  double cpu_start_ = cpu_now();
};

/// Time and processor time that `fn` takes.
template <class Fn>
[[nodiscard]] std::vector<double> timed(Fn&& fn) {
  const Stopwatch watch;
  std::forward<Fn>(fn)();
  return watch.figures();
}

/// Keeps the compiler from leaving out the work whose result is `value`.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

struct Contestant {
  std::string name;
  std::function<std::vector<double>()> run;  ///< one round; returns its figures, always as many
};

/// Makes malloc tidy up what was freed before. glibc puts that off until somebody wants a large piece, so
/// that after one peer freed millions of nodes the next one would pay for it.
inline void settle_heap() {
  const std::string piece(std::size_t{1} << 16, '\0');
  keep(piece);
}

/// Runs every contestant in each round, after a round that does not count.
/// @returns by contestant and figure
[[nodiscard]] inline std::vector<std::vector<Samples>> interleave(
    std::size_t rounds, const std::vector<Contestant>& contestants) {
  std::vector<std::vector<Samples>> results(contestants.size());
  for (std::size_t round = 0; round <= rounds; ++round) {
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      settle_heap();
      const std::vector<double> figures = contestants[i].run();
      results[i].resize(figures.size());
      for (std::size_t k = 0; round > 0 && k < figures.size(); ++k) results[i][k].add(figures[k]);
    }
  }
  return results;
}

}  // namespace bench
