// SPDX-License-Identifier: MIT
#pragma once

// Figures that a store on servers keeps about itself. remote_prometheus.hpp writes them for a monitoring
// system.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <cstdint>

#include "kvstore/metrics.hpp"

namespace kvstore { inline namespace v1 {

/// The result of `metrics` of a store on servers: a plain copy, since the store was made. A call is what a
/// verb asks of the servers at once: a batch and a list of keys are one call, `modify` makes two or more,
/// `for_each` on etcd one for each page, and a scan of Redis one for each leader and each list of values.
struct RemoteMetrics {
  Histogram calls;                ///< how long calls took, whatever became of them
  std::uint64_t unavailable = 0;  ///< calls that ended with UnavailableError
  std::uint64_t unknown = 0;      ///< calls that ended with OutcomeUnknownError
  std::uint64_t unconfirmed = 0;  ///< calls that ended with ReplicationError
  std::uint64_t refused = 0;      ///< calls that ended with ServerError

  std::uint64_t retries = 0;       ///< times that something was certainly not carried out, and tried again
  std::uint64_t redirections = 0;  ///< of Redis Cluster, to another node: MOVED and ASK
  std::uint64_t refreshes = 0;     ///< new maps of slots of Redis Cluster; of etcd, changes of the endpoint
  std::uint64_t log_ins = 0;       ///< of etcd, for a new token

  std::uint64_t connections_opened = 0;  ///< connections made
  std::uint64_t connections_failed = 0;  ///< connections that could not be made, or broke
  std::uint64_t connections_idle = 0;    ///< connections that wait for use now
};

}}  // namespace kvstore::v1
