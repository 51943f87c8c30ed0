// SPDX-License-Identifier: MIT
#pragma once

// A store's metrics in the text format that Prometheus reads.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats (text format, version 0.0.4)

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <charconv>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/metric_points.hpp"
#include "kvstore/metrics.hpp"

namespace kvstore { inline namespace v1 {

/// Names and values that tell one store's metrics from another's, such as `{{"store", "users"}}`. A name
/// consists of letters, digits and `_`, and does not begin with a digit; `le`, `verb`, `outcome` and names
/// that begin with `__` are reserved.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

/// One store's metrics among several.
struct LabelledMetrics {
  Metrics metrics;      ///< the figures of the store
  MetricLabels labels;  ///< labels that name the store
};

namespace detail {

/// Samples of one name, of all stores.
struct PrometheusFamily {
  std::string name;  // in Prometheus' form
  std::string text;
};

class PrometheusText {
 public:
  /// Adds the figures of one store. @throws UsageError for labels that Prometheus would refuse
  template <class AnyMetrics>
  void add(const AnyMetrics& metrics, const MetricLabels& labels) {
    begin(labels);
    for_each_metric(metrics, [this](const MetricPoint& point) { add(point); });
  }

  [[nodiscard]] std::string text() const;

 private:
  void begin(const MetricLabels& labels);
  void add(const MetricPoint& point);

  static std::string name_of(const MetricPoint& point);

  static std::string header(const std::string& name, const MetricPoint& point);

  void add_point(PrometheusFamily& family, const MetricPoint& point) const;

  static void add_histogram(PrometheusFamily& family, const std::string& labels, const Histogram& histogram);

  template <class Number>
  static void add_sample(PrometheusFamily& family, std::string_view suffix, const std::string& labels,
                         Number value) {
    family.text.append(family.name).append(suffix);
    if (!labels.empty()) family.text.append("{").append(labels) += '}';
    family.text.append(" ").append(text_of(value)) += '\n';
  }

  void add_label(const std::string& name, const std::string& value);

  static void append_label(std::string& labels, std::string_view name, std::string_view value);

  template <class Number>
  static std::string text_of(Number number) {
    char digits[32];
    return {digits, std::to_chars(digits, digits + sizeof digits, number).ptr};
  }

  std::string labels_;  // of the store at hand
  std::size_t at_ = 0;  // the family of its last point
  std::vector<PrometheusFamily> families_;
};

}  // namespace detail

/// The metrics of several stores in Prometheus' text format; serve it as `text/plain; version=0.0.4`.
/// @throws UsageError for a label's name that `MetricLabels` does not allow; ValueError for a value that is
/// not UTF-8
[[nodiscard]] std::string to_prometheus(std::span<const LabelledMetrics> stores);

/// The same of one store.
///
/// ```cpp
/// std::string page = kvstore::to_prometheus(store.metrics(), {{"store", "users"}});
/// ```
[[nodiscard]] std::string to_prometheus(const Metrics& metrics, const MetricLabels& labels = {});

}}  // namespace kvstore::v1

#ifndef KVSTORE_COMPILED
#include "kvstore/prometheus.ipp"
#endif
