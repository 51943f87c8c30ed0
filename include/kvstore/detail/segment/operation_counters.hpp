// SPDX-License-Identifier: MIT
#pragma once

// Where a store's operations are counted, by verb and outcome.

#include <array>
#include <cstddef>
#include <cstdint>

#include "kvstore/metrics.hpp"

namespace kvstore::inline v0::detail {

enum class Outcome : std::uint8_t { done, refused, failed };

/// The counter of a verb and outcome, of `kOperationCounters`.
[[nodiscard]] constexpr std::size_t operation_counter(Verb verb, Outcome outcome) noexcept {
  return 3 * static_cast<std::size_t>(verb) + static_cast<std::size_t>(outcome);
}
inline constexpr std::size_t kOperationCounters = 3 * kVerbs;

/// What `counters` have counted. Includes whatever had returned before, and may include some that has not.
template <class Counters>
[[nodiscard]] std::array<OperationMetrics, kVerbs> operation_totals(const Counters& counters) noexcept {
  std::array<OperationMetrics, kVerbs> result{};
  for (std::size_t i = 0; i < kVerbs; ++i) {
    const auto of = [&](Outcome outcome) {
      return counters.sum(operation_counter(static_cast<Verb>(i), outcome));
    };
    result[i] = {.done = of(Outcome::done), .refused = of(Outcome::refused), .failed = of(Outcome::failed)};
  }
  return result;
}

}  // namespace kvstore::inline v0::detail
