// SPDX-License-Identifier: MIT
#pragma once

// What a store keeps for each thread that uses it, in one object, so that an operation looks for it once: its
// slot as a reader, and its counters, by verb and outcome.

#include <array>
#include <cstddef>
#include <cstdint>

#include "kvstore/detail/base/reader_slots.hpp"
#include "kvstore/detail/base/thread_counters.hpp"
#include "kvstore/metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

enum class Outcome : std::uint8_t { done, refused, failed };

/// The counter of a verb and outcome, of `kOperationCounters`.
[[nodiscard]] constexpr std::size_t operation_counter(Verb verb, Outcome outcome) noexcept {
  return 3 * static_cast<std::size_t>(verb) + static_cast<std::size_t>(outcome);
}
inline constexpr std::size_t kOperationCounters = 3 * kVerbCount;

/// What `counters` have counted. Includes whatever had returned before, and may include some that has not.
template <class Counters>
[[nodiscard]] std::array<OperationMetrics, kVerbCount> operation_totals(const Counters& counters) noexcept {
  std::array<OperationMetrics, kVerbCount> result{};
  for (std::size_t i = 0; i < kVerbCount; ++i) {
    const auto of = [&](Outcome outcome) {
      return counters.sum(operation_counter(static_cast<Verb>(i), outcome));
    };
    result[i] = {.done = of(Outcome::done), .refused = of(Outcome::refused), .failed = of(Outcome::failed)};
  }
  return result;
}

/// Counts changes that get no number, because nothing compares them with what is durable.
inline constexpr std::size_t kUnnumberedChanges = kOperationCounters;
inline constexpr std::size_t kStoreCounters = kOperationCounters + 1;

struct ThreadState : ReaderSlot, LocalCounters<kStoreCounters> {};

using StoreCounters = ThreadCounters<kStoreCounters, ThreadState>;

}}}  // namespace kvstore::v1::detail
