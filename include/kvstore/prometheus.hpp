// SPDX-License-Identifier: MIT
#pragma once

// A store's metrics in the text format that Prometheus reads.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats (text format, version 0.0.4)

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "kvstore/detail/text/utf8.hpp"
#include "kvstore/error.hpp"
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
  /// @throws UsageError for labels that Prometheus would refuse
  void add(const LabelledMetrics& store) {
    labels_.clear();
    for (const auto& [name, value] : store.labels) add_label(name, value);
    std::size_t at = 0;
    for_each_metric(store.metrics, [&](const MetricPoint& point) {
      const std::string name = name_of(point);
      while (at < families_.size() && families_[at].name != name) ++at;
      if (at == families_.size()) families_.push_back({name, header(name, point)});
      add_point(families_[at], point);
    });
  }

  [[nodiscard]] std::string text() const {
    std::string result;
    for (const PrometheusFamily& family : families_) result += family.text;
    return result;
  }

 private:
  static std::string name_of(const MetricPoint& point) {
    std::string name{point.name};
    for (char& byte : name) {
      if (byte == '.') byte = '_';
    }
    if (point.unit == "s") name += "_seconds";
    if (point.unit == "By") name += "_bytes";
    if (point.kind == MetricPoint::Kind::counter) name += "_total";
    return name;
  }

  static std::string header(const std::string& name, const MetricPoint& point) {
    using Kind = MetricPoint::Kind;
    const std::string_view kind = point.kind == Kind::counter ? "counter"
                                  : point.kind == Kind::gauge ? "gauge"
                                                              : "histogram";
    std::string text = "# HELP " + name + ' ';
    return text.append(point.description).append("\n# TYPE " + name + ' ').append(kind) += '\n';
  }

  void add_point(PrometheusFamily& family, const MetricPoint& point) const {
    std::string labels = labels_;
    for (const auto& [name, value] : point.attributes) append_label(labels, name, value);
    const auto add = [&]<class Value>(Value value) {
      if constexpr (std::same_as<Value, const Histogram*>)
        add_histogram(family, labels, *value);
      else
        add_sample(family, "", labels, value);
    };
    std::visit(add, point.value);
  }

  static void add_histogram(PrometheusFamily& family, const std::string& labels, const Histogram& histogram) {
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < histogram.buckets.size(); ++i) {
      const bool bounded = i < Histogram::kBounds;
      std::string with_bound = labels;
      append_label(with_bound, "le", bounded ? text_of(seconds_of(Histogram::bound(i))) : "+Inf");
      add_sample(family, "_bucket", with_bound, below += histogram.buckets[i]);
    }
    add_sample(family, "_sum", labels, seconds_of(histogram.sum));
    add_sample(family, "_count", labels, below);
  }

  template <class Number>
  static void add_sample(PrometheusFamily& family, std::string_view suffix, const std::string& labels,
                         Number value) {
    family.text.append(family.name).append(suffix);
    if (!labels.empty()) family.text.append("{").append(labels) += '}';
    family.text.append(" ").append(text_of(value)) += '\n';
  }

  void add_label(const std::string& name, const std::string& value) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    bool usable = !name.empty() && !name.starts_with("__") && letter(name.front());
    for (const char c : name) usable = usable && (letter(c) || (c >= '0' && c <= '9'));
    if (!usable || name == "le" || name == "verb" || name == "outcome") {
      throw UsageError{"label name \"" + name + "\" is not one that MetricLabels allows"};
    }
    check_utf8(value);
    append_label(labels_, name, value);
  }

  static void append_label(std::string& labels, std::string_view name, std::string_view value) {
    if (!labels.empty()) labels += ',';
    labels.append(name).append("=\"");
    for (const char byte : value) {
      if (byte == '\\' || byte == '"') labels += '\\';
      byte == '\n' ? labels.append("\\n") : labels += byte;
    }
    labels += '"';
  }

  template <class Number>
  static std::string text_of(Number number) {
    char digits[32];
    return {digits, std::to_chars(digits, digits + sizeof digits, number).ptr};
  }

  std::string labels_;  // of the store at hand
  std::vector<PrometheusFamily> families_;
};

}  // namespace detail

/// The metrics of several stores in Prometheus' text format; serve it as `text/plain; version=0.0.4`.
/// @throws UsageError for a label's name that `MetricLabels` does not allow; ValueError for a value that is
/// not UTF-8
[[nodiscard]] inline std::string to_prometheus(std::span<const LabelledMetrics> stores) {
  detail::PrometheusText text;
  for (const LabelledMetrics& store : stores) text.add(store);
  return text.text();
}

/// The same of one store.
///
/// ```cpp
/// std::string page = kvstore::to_prometheus(store.metrics(), {{"store", "users"}});
/// ```
[[nodiscard]] inline std::string to_prometheus(const Metrics& metrics, const MetricLabels& labels = {}) {
  const LabelledMetrics store{metrics, labels};
  return to_prometheus({&store, 1});
}

}}  // namespace kvstore::v1
