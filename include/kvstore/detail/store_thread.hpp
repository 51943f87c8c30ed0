// SPDX-License-Identifier: MIT
#pragma once

// What a store keeps for each thread that uses it, in one object, so that a read finds it once.

#include "kvstore/detail/operation_counters.hpp"
#include "kvstore/detail/reader_slots.hpp"

namespace kvstore::inline v0::detail {

struct StoreThread : ReaderSlot, OperationCounts {};

}  // namespace kvstore::inline v0::detail
