// SPDX-License-Identifier: MIT
#pragma once

// Counts a store's operations by verb and outcome.

#include <array>
#include <cstddef>
#include <cstdint>

#include "kvstore/detail/thread_counters.hpp"
#include "kvstore/metrics.hpp"

namespace kvstore::inline v0::detail {

enum class Outcome : std::uint8_t { done, refused, failed };

class OperationCounters {
 public:
  /// Counts operations of the calling thread. Wait-free as `PerThread::own` is.
  void count(Verb verb, Outcome outcome, std::uint64_t operations = 1) noexcept {
    counters_.add(index_of(verb, outcome), operations);
  }

  /// The sums over all threads. Includes whatever had returned before, and may include some that has not.
  [[nodiscard]] std::array<OperationMetrics, kVerbs> totals() const noexcept {
    std::array<OperationMetrics, kVerbs> result{};
    for (std::size_t i = 0; i < kVerbs; ++i) {
      const auto of = [&](Outcome outcome) { return counters_.sum(index_of(static_cast<Verb>(i), outcome)); };
      result[i] = {.done = of(Outcome::done), .refused = of(Outcome::refused), .failed = of(Outcome::failed)};
    }
    return result;
  }

 private:
  [[nodiscard]] static constexpr std::size_t index_of(Verb verb, Outcome outcome) noexcept {
    return 3 * static_cast<std::size_t>(verb) + static_cast<std::size_t>(outcome);
  }

  ThreadCounters<3 * kVerbs> counters_;
};

}  // namespace kvstore::inline v0::detail
