// SPDX-License-Identifier: MIT
#pragma once

// What a store keeps for each thread that uses it, in one object, so that an operation looks for it once.

#include <cstddef>

#include "kvstore/detail/base/reader_slots.hpp"
#include "kvstore/detail/base/thread_counters.hpp"
#include "kvstore/detail/segment/operation_counters.hpp"

namespace kvstore::inline v0::detail {

/// Counts changes that get no number: whoever counts so compares none with what is durable.
inline constexpr std::size_t kUnnumberedChanges = kOperationCounters;
inline constexpr std::size_t kStoreCounters = kOperationCounters + 1;

struct StoreThread : ReaderSlot, OwnCounters<kStoreCounters> {};

using StoreCounters = ThreadCounters<kStoreCounters, StoreThread>;

}  // namespace kvstore::inline v0::detail
