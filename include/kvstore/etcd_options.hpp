// SPDX-License-Identifier: MIT
#pragma once

// How an EtcdKeyValueStore finds its servers, and how long it waits for them.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "kvstore/credentials.hpp"
#include "kvstore/log.hpp"

namespace kvstore { inline namespace v1 {

/// How a store on etcd reaches it. Only `endpoints` must be named:
/// `{.endpoints = {"10.0.0.1:2379", "10.0.0.2:2379"}}`.
struct EtcdOptions {
  /// Client addresses of the cluster's nodes, each "host:port" ("[::1]:2379" for IPv6). One that answers is
  /// enough; naming more tolerates more failures. At least one is required; there is no default.
  std::vector<std::string> endpoints{};

  /// Whether to use, besides these, the addresses that the cluster's members advertise to clients, which are
  /// asked for every 30 s at most: for programs that outlive the nodes they were started with. Default: no,
  /// since advertised addresses are not reachable from everywhere.
  bool follow_members = false;

  /// The prefix of every key in etcd, such as "shop/users/". Keys without the prefix are not seen, nor
  /// removed by `clear`. Empty (the default) = all of etcd's keys. The prefix of one store must not begin
  /// with the prefix of another.
  std::string key_prefix{};

  /// The name of an etcd user, if authentication is on; empty (the default) = none.
  std::string user{};
  /// That user's password.
  std::string password{};

  /// Returns the user and password of each log-in, in place of the two above: for passwords that change while
  /// the program runs. Empty (the default) = those two are used.
  CredentialsSource credentials{};

  /// Whether to use TLS (https). Default: no. The server's certificate is always verified.
  bool tls = false;
  /// PEM file of the authorities that may have signed the servers' certificates; empty = the system's.
  std::string ca_file{};
  /// PEM file of this client's certificate, for clusters that require one; empty (the default) = none.
  std::string certificate_file{};
  /// PEM file of that certificate's key. Set both files or neither.
  std::string key_file{};

  /// The deadline of each verb, over all its attempts. Until then, a read, or a write that was certainly not
  /// carried out, is tried on the other endpoints. Default: 5 s. The time of a callback is not counted. In
  /// verbs that make several requests the deadline is that of each: `for_each`, `read_many`, `read_prefix`,
  /// `modify`, `upsert_with`, `compare_exchange`. A `CallDeadline` is one for all.
  std::chrono::milliseconds timeout = std::chrono::seconds{5};

  /// How long one attempt may take to connect, before the next endpoint is tried. Default: 1 s.
  std::chrono::milliseconds connect_timeout = std::chrono::seconds{1};

  /// How long one attempt may wait for its answer; that of `clear` may wait for `timeout`. After that a read
  /// is tried on another endpoint, and a write throws OutcomeUnknownError. Default: 2 s. A time much shorter
  /// than etcd's leader election (1 to 2 s with its defaults) makes unknown outcomes likely.
  std::chrono::milliseconds response_timeout = std::chrono::seconds{2};

  /// The most keys that a batch may change; etcd's `--max-txn-ops`. Default: 128, as etcd's.
  std::size_t max_operations = 128;

  /// The most bytes that a change or batch may take in a request, including keys, values and framing; etcd's
  /// `--max-request-bytes`. Default: 1.5 MiB, as etcd's.
  std::size_t max_request_bytes = 1'572'864;

  /// How many entries `for_each` requests at once and holds in memory, at most; fewer if they are large:
  /// about 4 MiB. Default: 500.
  std::size_t page_size = 500;

  /// Receives events, each with a `path` that names the servers: `node failed` (warning: `node`, `error`;
  /// debug until the node has answered), `node answers` (info: `node`), `endpoint changed` (info: `node`)
  /// and `call failed` (error: `error`). Called in the thread of the call, or of a watch; it must not use
  /// this store.
  std::function<void(const LogEvent&)> logger{};
  /// The lowest level of events that `logger` receives.
  LogLevel log_level = LogLevel::info;

  /// Whether integers beyond 64 bits may be rounded to doubles when they are read into an `nlohmann::json`,
  /// which holds no larger ones. Otherwise reading one throws `CorruptionError`. Default: false.
  bool round_numbers = false;
};

}}  // namespace kvstore::v1
