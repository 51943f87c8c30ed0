// SPDX-License-Identifier: MIT
#pragma once

// The store's verbs with the data on a Redis Cluster. Needs hiredis; not part of kvstore/kvstore.hpp.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <memory>

#include "kvstore/detail/redis/engine.hpp"
#include "kvstore/detail/remote/store.hpp"
#include "kvstore/redis_cluster_options.hpp"

namespace kvstore { inline namespace v1 {

/// A map on a Redis Cluster (or on a single Redis): partitioned over its leaders, replicated by them, and
/// shared by every program that opens it under the same prefix. Each entry is one Redis string with the
/// value's JSON, so that `redis-cli -c get KEY` shows it.
///
/// *Thread safety*: any thread; each uses a connection of its own. No lock is held while a callback runs.
///
/// *Atomicity*: each verb on one key is atomic, including `modify` and `compare_exchange`. `apply` is all or
/// nothing per hash slot. If all keys share a hash tag (`{user1}.name`, `{user1}.mail`), the whole batch is
/// atomic; otherwise a failure may leave the changes of some slots applied. `clear` and `for_each` do not
/// work on a snapshot.
///
/// *Durability*: a write that returned is in the memory of one leader, and with `replicas` = n also of n
/// replicas: it survives the loss of n nodes. The servers' `appendfsync` decides whether and when the write
/// reaches a disk. With `replicas` = 0 a failover may lose writes that returned.
///
/// *Errors*: in addition to those of each verb, UnavailableError (nothing was changed), ServerError,
/// OutcomeUnknownError and ReplicationError, each as documented at its class; ValueError for a value of more
/// than 512 MiB. A write that may have been carried out is never retried.
///
/// *Complexity*: one request per verb, two or more for `modify`, one per slot for `apply`, pipelined per
/// node. `size`, `for_each` and `clear` scan all keys of the cluster (O(keys)) and remember the keys they
/// have seen (O(entries) memory); `empty` scans until it finds a key.
///
/// ```cpp
/// kvstore::RedisClusterKeyValueStore<std::string, int> ages{{.seeds = {"127.0.0.1:7001"}}};
/// ages.create("alice", 30);
/// ages.modify("alice", [](int& age) { ++age; });
/// ```
template <class Key, class Value>
class RedisClusterKeyValueStore : public detail::RemoteStore<Key, Value, detail::RedisEngine> {
 public:
  /// Finds the cluster's nodes. @throws UsageError for options that make no sense; UnavailableError if no
  /// seed answers within `timeout`; ServerError if none does and one refuses the user or password
  explicit RedisClusterKeyValueStore(const RedisClusterOptions& options)
      : detail::RemoteStore<Key, Value, detail::RedisEngine>{std::make_unique<detail::RedisEngine>(options),
                                                             options.round_numbers} {}
};

}}  // namespace kvstore::v1
