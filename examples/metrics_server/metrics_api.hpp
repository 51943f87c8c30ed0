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
#include "follower.hpp"
#include "history.hpp"
#include "problem.hpp"
#include "store.hpp"
#include "target.hpp"
#include "visible.hpp"

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
    const Follower* follower;  ///< of a store that is open for reading only; otherwise none
  };

  MetricsApi(const Store& store, const History& history, About about)
      : store_{store}, history_{history}, about_{std::move(about)} {}

  void prometheus(Response& response) const {
    const kvstore::MetricLabels labels{{"store", about_.store}};
    std::string text = kvstore::to_prometheus(store_.metrics(), labels);
    if (about_.follower != nullptr) add_following(text);
    response.set_content(std::move(text), "text/plain; version=0.0.4; charset=utf-8");
  }

  /// Whether what is served is what is stored.
  void health(Response& response) const {
    const bool follows = about_.follower != nullptr;
    const Follower::State state = follows ? about_.follower->state() : Follower::State{};
    if (!state.is_old()) return response.set_content("ok\n", "text/plain");
    const auto age = static_cast<std::uint64_t>(state.age.count());
    throw Refusal{503, "the store's files were last read " + std::to_string(age) + " s ago: " +
                           (state.trouble.empty() ? "they are still being read" : visible(state.trouble))};
  }

  /// GET /metrics.json?after=NUMBER: everything now, and the samples that came after one.
  void json(const Target& target, Response& response) const {
    target.allow_only({"after"});
    const std::uint64_t after = target.number("after", 0, std::numeric_limits<std::size_t>::max(), 0);
    const kvstore::Metrics metrics = store_.metrics();
    const nlohmann::ordered_json out{{"store", about_.store},
                                     {"started", std::to_string(history_.started())},
                                     {"batch_size", about_.batch_size},
                                     {"read_only", about_.follower != nullptr},
                                     {"refresh", following()},
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
  [[nodiscard]] nlohmann::ordered_json following() const {
    if (about_.follower == nullptr) return nullptr;
    const Follower::State state = about_.follower->state();
    nlohmann::ordered_json error;
    if (!state.trouble.empty()) error = visible(state.trouble);
    return {{"age_seconds", state.age.count()},
            {"old", state.is_old()},
            {"changes", state.changes},
            {"failures", state.failures},
            {"error", error}};
  }

  void add_following(std::string& text) const {
    const Follower::State state = about_.follower->state();
    const std::string name = "\nkvstore_entries";
    std::string quoted = text.substr(text.find(name + "{") + name.size());  // the labels as text has them
    quoted.resize(quoted.find('\n'));
    quoted.resize(quoted.rfind('}') + 1);
    text +=
        "# HELP metrics_server_refresh_age_seconds Time since the store's files were last read.\n"
        "# TYPE metrics_server_refresh_age_seconds gauge\n"
        "metrics_server_refresh_age_seconds" +
        quoted + " " + std::to_string(state.age.count()) +
        "\n# HELP metrics_server_refresh_failures_total Times that the store's files could not be read.\n"
        "# TYPE metrics_server_refresh_failures_total counter\n"
        "metrics_server_refresh_failures_total" +
        quoted + " " + std::to_string(state.failures) + "\n";
  }

  const Store& store_;
  const History& history_;
  About about_;
};

}  // namespace metrics_server
