// SPDX-License-Identifier: MIT
#pragma once

// Counts a store's operations by verb and outcome.

#include <array>
#include <cstddef>
#include <cstdint>

#include "kvstore/detail/per_thread.hpp"
#include "kvstore/detail/thread_counters.hpp"
#include "kvstore/metrics.hpp"

namespace kvstore::inline v0::detail {

enum class Outcome : std::uint8_t { done, refused, failed };

/// Where verb and outcome are counted, of `kOperationCounters`.
[[nodiscard]] constexpr std::size_t operation_counter(Verb verb, Outcome outcome) noexcept {
  return 3 * static_cast<std::size_t>(verb) + static_cast<std::size_t>(outcome);
}
inline constexpr std::size_t kOperationCounters = 3 * kVerbs;

/// The operations of one thread, which alone counts them.
class OperationCounts : public OwnCounters<kOperationCounters> {
 public:
  void count(Verb verb, Outcome outcome) noexcept { this->add(operation_counter(verb, outcome), 1); }
};

/// The operations of all threads, for each of which `threads` has an `Own`, an `OperationCounts`.
template <class Own>
class OperationCounters {
 public:
  /// `threads` outlives this.
  explicit OperationCounters(PerThread<Own>& threads) noexcept : counters_{threads} {}

  /// Counts operations of the calling thread. Wait-free as `PerThread::own` is.
  void count(Verb verb, Outcome outcome, std::uint64_t operations = 1) noexcept {
    counters_.add(operation_counter(verb, outcome), operations);
  }

  /// The sums over all threads. Includes whatever had returned before, and may include some that has not.
  [[nodiscard]] std::array<OperationMetrics, kVerbs> totals() const noexcept {
    std::array<OperationMetrics, kVerbs> result{};
    for (std::size_t i = 0; i < kVerbs; ++i) {
      const auto of = [&](Outcome outcome) {
        return counters_.sum(operation_counter(static_cast<Verb>(i), outcome));
      };
      result[i] = {.done = of(Outcome::done), .refused = of(Outcome::refused), .failed = of(Outcome::failed)};
    }
    return result;
  }

 private:
  ThreadCounters<kOperationCounters, Own> counters_;
};

}  // namespace kvstore::inline v0::detail
