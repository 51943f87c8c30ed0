// SPDX-License-Identifier: MIT
#pragma once

// A store's state for each thread that uses it, in one object, so that an operation looks it up once: the
// thread's slot as a reader, and its counters, by verb and outcome.

#include <array>
#include <cstddef>
#include <cstdint>

#include "kvstore/detail/base/reader_slots.hpp"
#include "kvstore/detail/base/thread_counters.hpp"
#include "kvstore/metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

enum class Outcome : std::uint8_t { done, refused, failed };

/// The index of the counter for a verb and outcome, below `kOperationCounters`.
[[nodiscard]] constexpr std::size_t operation_counter(Verb verb, Outcome outcome) noexcept {
  return 3 * static_cast<std::size_t>(verb) + static_cast<std::size_t>(outcome);
}
inline constexpr std::size_t kOperationCounters = 3 * kVerbCount;

/// The totals of `counters`. Includes every operation that had returned, and may include some under way.
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

/// Counts changes without a number, which are used when nothing compares them with what is durable.
inline constexpr std::size_t kUnnumberedChanges = kOperationCounters;
/// Count the entries that came and went.
inline constexpr std::size_t kInserted = kOperationCounters + 1;
inline constexpr std::size_t kErased = kOperationCounters + 2;
inline constexpr std::size_t kStoreCounters = kOperationCounters + 3;

struct ThreadState : ReaderSlot, LocalCounters<kStoreCounters> {};

using StoreCounters = ThreadCounters<kStoreCounters, ThreadState>;

}}}  // namespace kvstore::v1::detail
