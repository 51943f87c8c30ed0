// SPDX-License-Identifier: MIT
#pragma once

// How to reach a Redis Cluster, and how long to try.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/credentials.hpp"
#include "kvstore/log.hpp"

namespace kvstore { inline namespace v1 {

namespace detail {
class Tls;
}

/// How stores and storages on a Redis Cluster reach it. Only `seeds` must be named:
/// `{.seeds = {"10.0.0.1:6379", "10.0.0.2:6379"}}`.
struct RedisClusterOptions {
  /// Some of the cluster's nodes as `host:port` (`[address]:port` for IPv6). One that answers is enough,
  /// since it names the others. A single Redis outside a cluster works too; so do Sentinels, see
  /// `sentinel_master`.
  std::vector<std::string> seeds{};

  /// The name under which Sentinels watch a Redis with replicas, such as "mymaster". If it is set, `seeds`
  /// are Sentinels: they name the present master, which holds all entries, and its successor after a
  /// failover. Empty = `seeds` are servers.
  std::string sentinel_master{};
  /// The ACL user and password of the Sentinels themselves; without a password, none is sent to them.
  Credentials sentinel_credentials{};

  /// The ACL user. Empty = none is sent; a user needs a password.
  std::string user{};
  /// The password of that user, or of the server. Empty = none is sent.
  std::string password{};

  /// Returns the user and password of each new connection, in place of the two above: for passwords and
  /// tokens that change while the program runs. Empty = those two are used.
  CredentialsSource credentials{};

  /// TLS, as `redis_tls` of kvstore/redis_tls.hpp makes it. Null = none.
  std::shared_ptr<const detail::Tls> tls{};

  /// The prefix of every key of this store, so that several stores may share a cluster. With a hash tag, such
  /// as `"{app}:"`, all keys are in one slot, which makes every batch atomic and keeps all entries on one
  /// node. Empty = every string in the cluster belongs to this store: `clear` removes them all.
  std::string key_prefix{};

  /// The number of replicas that must confirm each write before it returns (WAIT); fewer cause a
  /// `ReplicationError`. 0 = writes wait for none: a leader that dies just after a write loses the write. A
  /// write survives every failover only if all replicas of its leader have confirmed it: another replica may
  /// be elected, even if nobody has died and the network was only divided. So set the number of replicas that
  /// a leader has, or `min-replicas-to-write` on the servers.
  std::size_t replicas = 0;

  /// The longest time that a write waits for its replicas.
  std::chrono::milliseconds replication_timeout = std::chrono::seconds{1};

  /// The longest time that a verb keeps trying: during a failover, a resharding, or while servers are
  /// loading. A verb that asks several times may take it each time: scans, `modify`, `upsert_with`,
  /// `compare_exchange`; a `CallDeadline` is one for all. The default covers a failover at the server's
  /// default `cluster-node-timeout` of 15 s.
  std::chrono::milliseconds timeout = std::chrono::seconds{30};

  /// The longest wait for a connection to one node, and for its answer to the PING that a node gets which has
  /// failed before.
  std::chrono::milliseconds connect_timeout = std::chrono::seconds{1};

  /// The longest wait for one answer, or for more of it. After that a read is tried on another node, and the
  /// outcome of a write is unknown unless it was not wholly sent.
  std::chrono::milliseconds response_timeout = std::chrono::seconds{5};

  /// Receives events, each with a `path` that names the servers: `node failed` (warning: `node`, `error`;
  /// debug until the node has answered), `node answers` (info: `node`), `map changed` (info: `node`)
  /// and `call failed` (error: `error`). Called in the thread of the call; it must not use this store.
  std::function<void(const LogEvent&)> logger{};
  /// The lowest level of events that `logger` receives.
  LogLevel log_level = LogLevel::info;

  /// Whether integers beyond 64 bits may be rounded to doubles when they are read into an `nlohmann::json`,
  /// which holds no larger ones. Otherwise reading one throws `CorruptionError`.
  bool round_numbers = false;
};

}}  // namespace kvstore::v1
