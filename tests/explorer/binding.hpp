// SPDX-License-Identifier: MIT
#pragma once

// The store whose schedules are explored: one that waits only where a scheduler sees it.

#include <string>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/hash.hpp"

#if __has_include("kvstore/detail/waiting.hpp")

#include "kvstore/detail/waiting.hpp"
#include "support/scheduled_waiting.hpp"

template <>
struct kvstore::detail::Waiting<support::ScheduledSharedMutex> {
  using Lock = support::ScheduledLock;
  using Condition = support::ScheduledCondition;
  using Thread = support::ScheduledThread;
  using Clock = support::ScheduledClock;
};

namespace explorer {

using Mutex = support::ScheduledSharedMutex;
inline constexpr bool kBound = true;

}  // namespace explorer

#else

#include <shared_mutex>

namespace explorer {

using Mutex = std::shared_mutex;
inline constexpr bool kBound = false;  // tasks cannot be preempted: one would wait for another unseen

}  // namespace explorer

#endif

namespace explorer {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, int, kvstore::Hash<std::string>,
                                                    std::equal_to<>, Mutex>;

}  // namespace explorer
