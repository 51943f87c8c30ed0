// SPDX-License-Identifier: MIT
#pragma once

// The metrics of stores on servers, one by one, and in the text format that Prometheus reads.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <span>
#include <string>

#include "kvstore/metric_points.hpp"
#include "kvstore/prometheus.hpp"
#include "kvstore/remote_metrics.hpp"

namespace kvstore { inline namespace v1 {

/// One store's metrics among several.
struct LabelledRemoteMetrics {
  RemoteMetrics metrics;  ///< the figures of the store
  MetricLabels labels;    ///< labels that name the store
};

/// Calls `fn(const MetricPoint&)` for every figure, as that of `Metrics` does.
template <class Fn>
void for_each_metric(const RemoteMetrics& metrics, Fn&& fn) {
  using Kind = MetricPoint::Kind;
  using Family = detail::MetricFamily;
  constexpr Family kCalls{"kvstore.remote.call.duration", Kind::histogram, "s",
                          "How long calls of the servers took."};
  kCalls.give(fn, &metrics.calls);
  constexpr Family kFailures{"kvstore.remote.failures", Kind::counter, "{call}",
                             "Calls that threw, by what is known of them."};
  kFailures.give_outcome(fn, metrics.unavailable, "unavailable");
  kFailures.give_outcome(fn, metrics.unknown, "unknown");
  kFailures.give_outcome(fn, metrics.unconfirmed, "unconfirmed");
  kFailures.give_outcome(fn, metrics.refused, "refused");
  constexpr Family kRetries{"kvstore.remote.retries", Kind::counter, "{retry}",
                            "Times that something was tried again."};
  kRetries.give(fn, metrics.retries);
  constexpr Family kRedirections{"kvstore.remote.redirections", Kind::counter, "{redirection}",
                                 "Redirections to another node."};
  kRedirections.give(fn, metrics.redirections);
  constexpr Family kRefreshes{"kvstore.remote.refreshes", Kind::counter, "{refresh}",
                              "New maps of the cluster, or changes of the endpoint."};
  kRefreshes.give(fn, metrics.refreshes);
  constexpr Family kLogIns{"kvstore.remote.log_ins", Kind::counter, "{log-in}", "Log-ins for a new token."};
  kLogIns.give(fn, metrics.log_ins);
  constexpr Family kConnections{"kvstore.remote.connections", Kind::counter, "{connection}",
                                "Connections, and what became of them."};
  kConnections.give_outcome(fn, metrics.connections_opened, "opened");
  kConnections.give_outcome(fn, metrics.connections_failed, "failed");
  constexpr Family kIdle{"kvstore.remote.connections.idle", Kind::gauge, "{connection}",
                         "Connections that wait for use."};
  kIdle.give(fn, metrics.connections_idle);
}

/// The metrics of several stores on servers in Prometheus' text format. No name is one of those of local
/// stores, so both texts may follow each other on one page. @throws UsageError, ValueError as that of
/// `Metrics`
[[nodiscard]] inline std::string to_prometheus(std::span<const LabelledRemoteMetrics> stores) {
  detail::PrometheusText text;
  for (const LabelledRemoteMetrics& store : stores) text.add(store.metrics, store.labels);
  return text.text();
}

/// The same of one store.
[[nodiscard]] inline std::string to_prometheus(const RemoteMetrics& metrics,
                                               const MetricLabels& labels = {}) {
  const LabelledRemoteMetrics store{metrics, labels};
  return to_prometheus({&store, 1});
}

}}  // namespace kvstore::v1
