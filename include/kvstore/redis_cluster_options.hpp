// SPDX-License-Identifier: MIT
#pragma once

// How to reach a Redis Cluster, and how long to try.

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace kvstore { inline namespace v1 {

/// How stores and storages on a Redis Cluster reach it. Only `seeds` must be named:
/// `{.seeds = {"10.0.0.1:6379", "10.0.0.2:6379"}}`.
struct RedisClusterOptions {
  /// Some of the cluster's nodes as `host:port` (`[address]:port` for IPv6): one that answers is enough, it
  /// names the others. A single Redis that is no cluster works too.
  std::vector<std::string> seeds{};

  /// The ACL user. Empty = none is sent; a user needs a password.
  std::string user{};
  /// The password of that user, or of the server. Empty = none is sent.
  std::string password{};

  /// Comes before every key of this store, so that several may share a cluster. With a hash tag, such as
  /// `"{app}:"`, all keys are in one slot, which makes every batch atomic and keeps them on one node. Empty =
  /// every string in the cluster is this store's: `clear` removes them all.
  std::string key_prefix{};

  /// The replicas that must confirm each write before it returns (WAIT); fewer are a `ReplicationError`. 0 =
  /// none is waited for: a leader that dies just after a write takes it along.
  std::size_t replicas = 0;

  /// The longest that a write waits for its replicas.
  std::chrono::milliseconds replication_timeout = std::chrono::seconds{1};

  /// The longest that a verb tries: over a failover, a resharding, servers that still load. The default
  /// covers a failover at the server's default `cluster-node-timeout` of 15 s.
  std::chrono::milliseconds timeout = std::chrono::seconds{30};

  /// The longest wait for a connection to one node.
  std::chrono::milliseconds connect_timeout = std::chrono::seconds{1};

  /// The longest wait for one answer; a read is tried elsewhere then, and a write's outcome is unknown.
  std::chrono::milliseconds response_timeout = std::chrono::seconds{5};
};

}}  // namespace kvstore::v1
