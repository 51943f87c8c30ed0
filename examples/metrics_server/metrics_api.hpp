// SPDX-License-Identifier: MIT
#pragma once

// The store's figures: for Prometheus, and for the page.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <kvstore/metrics.hpp>
#include <kvstore/prometheus.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "exchange.hpp"
#include "history.hpp"
#include "store.hpp"
#include "target.hpp"

namespace metrics_server {

[[nodiscard]] inline double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

[[nodiscard]] inline nlohmann::ordered_json operations_of(const kvstore::Metrics& metrics) {
  nlohmann::ordered_json out;
  for (std::size_t i = 0; i < kvstore::kVerbCount; ++i) {
    const auto verb = static_cast<kvstore::Verb>(i);
    const kvstore::OperationMetrics& count = metrics.of(verb);
    out[std::string{kvstore::name_of(verb)}] = {
        {"done", count.done}, {"refused", count.refused}, {"failed", count.failed}};
  }
  return out;
}

[[nodiscard]] inline nlohmann::ordered_json saves_of(const kvstore::SaveMetrics& saves) {
  const nlohmann::ordered_json error = saves.last_error ? nlohmann::ordered_json(*saves.last_error) : nullptr;
  return {{"succeeded", saves.succeeded},
          {"failed", saves.failed},
          {"bytes", saves.bytes},
          {"last_seconds", seconds(saves.last_duration)},
          {"last_error", error}};
}

class MetricsApi {
 public:
  struct About {
    std::string store;  ///< its file's name
    std::size_t batch_size;
    bool read_only;
  };

  MetricsApi(const Store& store, const History& history, About about)
      : store_{store}, history_{history}, about_{std::move(about)} {}

  void prometheus(Response& response) const {
    response.set_content(kvstore::to_prometheus(store_.metrics(), {{"store", about_.store}}),
                         "text/plain; version=0.0.4; charset=utf-8");
  }

  /// GET /metrics.json?after=NUMBER: everything now, and the samples that came after one.
  void json(const Target& target, Response& response) const {
    target.allow_only({"after"});
    const std::uint64_t after = target.number("after", 0, std::numeric_limits<std::size_t>::max(), 0);
    const kvstore::Metrics metrics = store_.metrics();
    const nlohmann::ordered_json out{{"store", about_.store},
                                     {"started", std::to_string(history_.started())},
                                     {"batch_size", about_.batch_size},
                                     {"read_only", about_.read_only},
                                     {"entries", metrics.entries},
                                     {"segments", metrics.segments},
                                     {"applied", metrics.applied},
                                     {"unsaved", metrics.unsaved},
                                     {"operations", operations_of(metrics)},
                                     {"saves", saves_of(metrics.saves)},
                                     {"journal_bytes", metrics.journal.bytes},
                                     {"load_seconds", seconds(metrics.load_duration)},
                                     {"interval_seconds", History::kInterval.count()},
                                     {"history", history_.after(after)}};
    response.set_content(out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                         "application/json");
  }

 private:
  const Store& store_;
  const History& history_;
  About about_;
};

}  // namespace metrics_server
