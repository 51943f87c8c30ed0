// SPDX-License-Identifier: MIT
#pragma once

// The definitions of prometheus.hpp.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/text/utf8.hpp"
#include "kvstore/error.hpp"
#include "kvstore/metric_points.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/prometheus.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void PrometheusText::begin(const MetricLabels& labels) {
  labels_.clear();
  for (const auto& [name, value] : labels) add_label(name, value);
  at_ = 0;
}

KVSTORE_INLINE void PrometheusText::add(const MetricPoint& point) {
  const std::string name = name_of(point);
  while (at_ < families_.size() && families_[at_].name != name) ++at_;
  if (at_ == families_.size()) families_.push_back({name, header(name, point)});
  add_point(families_[at_], point);
}

KVSTORE_INLINE std::string PrometheusText::text() const {
  std::string result;
  for (const PrometheusFamily& family : families_) result += family.text;
  return result;
}

KVSTORE_INLINE std::string PrometheusText::name_of(const MetricPoint& point) {
  std::string name{point.name};
  for (char& byte : name) {
    if (byte == '.') byte = '_';
  }
  if (point.unit == "s") name += "_seconds";
  if (point.unit == "By") name += "_bytes";
  if (point.kind == MetricPoint::Kind::counter) name += "_total";
  return name;
}

KVSTORE_INLINE std::string PrometheusText::header(const std::string& name, const MetricPoint& point) {
  using Kind = MetricPoint::Kind;
  const std::string_view kind = point.kind == Kind::counter ? "counter"
                                : point.kind == Kind::gauge ? "gauge"
                                                            : "histogram";
  std::string text = "# HELP " + name + ' ';
  return text.append(point.description).append("\n# TYPE " + name + ' ').append(kind) += '\n';
}

KVSTORE_INLINE void PrometheusText::add_point(PrometheusFamily& family, const MetricPoint& point) const {
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

KVSTORE_INLINE void PrometheusText::add_histogram(PrometheusFamily& family, const std::string& labels,
                                                  const Histogram& histogram) {
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

KVSTORE_INLINE void PrometheusText::add_label(const std::string& name, const std::string& value) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  bool usable = !name.empty() && !name.starts_with("__") && letter(name.front());
  for (const char c : name) usable = usable && (letter(c) || (c >= '0' && c <= '9'));
  if (!usable || name == "le" || name == "verb" || name == "outcome") {
    throw UsageError{"label name \"" + name + "\" is not one that MetricLabels allows"};
  }
  check_utf8(value);
  append_label(labels_, name, value);
}

KVSTORE_INLINE void PrometheusText::append_label(std::string& labels, std::string_view name,
                                                 std::string_view value) {
  if (!labels.empty()) labels += ',';
  labels.append(name).append("=\"");
  for (const char byte : value) {
    if (byte == '\\' || byte == '"') labels += '\\';
    byte == '\n' ? labels.append("\\n") : labels += byte;
  }
  labels += '"';
}

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

KVSTORE_INLINE std::string to_prometheus(std::span<const LabelledMetrics> stores) {
  detail::PrometheusText text;
  for (const LabelledMetrics& store : stores) text.add(store.metrics, store.labels);
  return text.text();
}

KVSTORE_INLINE std::string to_prometheus(const Metrics& metrics, const MetricLabels& labels) {
  const LabelledMetrics store{metrics, labels};
  return to_prometheus({&store, 1});
}

}}  // namespace kvstore::v1
