// SPDX-License-Identifier: MIT
#pragma once

// The store whose schedules are explored. It waits only where a scheduler can observe the wait.

#include <string>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/hash.hpp"

#include "kvstore/detail/base/waiting.hpp"
#include "support/scheduled_waiting.hpp"

namespace explorer {

struct ScheduledMeans {
  using Lock = support::ScheduledLock;
  using Condition = support::ScheduledCondition;
  using Thread = support::ScheduledThread;
  using Clock = support::ScheduledClock;
};

using Mutex = support::ScheduledSharedMutex;

}  // namespace explorer

template <>
struct kvstore::detail::Waiting<explorer::Mutex> {
  using Means = explorer::ScheduledMeans;
};

namespace explorer {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, int, kvstore::Hash<std::string>,
                                                    std::equal_to<>, Mutex>;

}  // namespace explorer
