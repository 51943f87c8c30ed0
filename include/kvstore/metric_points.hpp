// SPDX-License-Identifier: MIT
#pragma once

// A store's metrics one by one, each with its name, unit and meaning: for code that exports them to a
// monitoring system.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "kvstore/metrics.hpp"

namespace kvstore { inline namespace v1 {

/// One figure, as OpenTelemetry describes one: points of the same name differ in their attributes and follow
/// each other. The views are valid only during the call that passes the point.
struct MetricPoint {
  /// Whether a figure only grows, goes up and down, or is a `Histogram` of durations.
  enum class Kind : std::uint8_t { counter, gauge, histogram };
  /// Distinguishes the points of one name.
  struct Attribute {
    std::string_view name;   ///< such as "verb"
    std::string_view value;  ///< such as "create"
  };

  std::string_view name;         ///< such as "kvstore.save.duration"
  Kind kind;                     ///< a counter only grows while the store is open
  std::string_view unit;         ///< in UCUM notation: "s", "By" (bytes), or the thing counted, "{operation}"
  std::string_view description;  ///< one sentence
  std::span<const Attribute> attributes;                        ///< none if the name has only one point
  std::variant<std::uint64_t, double, const Histogram*> value;  ///< a duration is in seconds
};

namespace detail {

/// The properties that all points of one name share.
struct MetricFamily {
  std::string_view name;
  MetricPoint::Kind kind;
  std::string_view unit;
  std::string_view description;

  template <class Fn, class Value>
  void give(Fn& fn, Value value, std::span<const MetricPoint::Attribute> attributes = {}) const {
    fn(MetricPoint{name, kind, unit, description, attributes, value});
  }
  template <class Fn, class Value>
  void give_outcome(Fn& fn, Value value, std::string_view outcome) const {
    give(fn, value, std::array{MetricPoint::Attribute{"outcome", outcome}});
  }
};

[[nodiscard]] inline double seconds_of(std::chrono::nanoseconds duration) noexcept {
  return std::chrono::duration<double>(duration).count();
}

template <class Fn>
void give_operations(const Metrics& metrics, Fn& fn) {
  constexpr MetricFamily kOperations{"kvstore.operations", MetricPoint::Kind::counter, "{operation}",
                                     "Operations by verb, and what became of them."};
  for (std::size_t i = 0; i < kVerbCount; ++i) {
    const auto verb = static_cast<Verb>(i);
    const OperationMetrics& of = metrics.of(verb);
    const auto give = [&](std::string_view outcome, std::uint64_t value) {
      const std::array<MetricPoint::Attribute, 2> attributes{{{"verb", name_of(verb)}, {"outcome", outcome}}};
      kOperations.give(fn, value, attributes);
    };
    give("done", of.done);
    give("refused", of.refused);
    give("failed", of.failed);
  }
}

template <class Fn>
void give_saves(const SaveMetrics& saves, Fn& fn) {
  using Kind = MetricPoint::Kind;
  constexpr MetricFamily kSaves{"kvstore.saves", Kind::counter, "{save}", "Saves, and what became of them."};
  kSaves.give_outcome(fn, saves.succeeded, "succeeded");
  kSaves.give_outcome(fn, saves.failed, "failed");
  constexpr MetricFamily kFailing{"kvstore.save.failing", Kind::gauge, "1",
                                  "1 if the last save failed, else 0."};
  kFailing.give(fn, std::uint64_t{saves.last_error.has_value()});
  constexpr MetricFamily kBytes{"kvstore.save.size", Kind::counter, "By",
                                "Bytes of keys and values that were handed to the storage."};
  kBytes.give(fn, saves.bytes);
  constexpr MetricFamily kDuration{"kvstore.save.duration", Kind::histogram, "s", "How long saves took."};
  kDuration.give(fn, &saves.durations);
  constexpr MetricFamily kLast{"kvstore.save.last.duration", Kind::gauge, "s",
                               "How long the last save took."};
  kLast.give(fn, seconds_of(saves.last_duration));
}

template <class Fn>
void give_journal(const JournalMetrics& journal, Fn& fn) {
  using Kind = MetricPoint::Kind;
  constexpr MetricFamily kSize{"kvstore.journal.size", Kind::gauge, "By", "Size of the journal."};
  kSize.give(fn, journal.bytes);
  constexpr MetricFamily kCompactions{"kvstore.journal.compactions", Kind::counter, "{compaction}",
                                      "Times that the journal was compacted into a new base file."};
  kCompactions.give_outcome(fn, journal.compactions, "succeeded");
  kCompactions.give_outcome(fn, journal.failed_compactions, "failed");
  constexpr MetricFamily kLast{"kvstore.journal.last.compaction.duration", Kind::gauge, "s",
                               "How long the last compaction took."};
  kLast.give(fn, seconds_of(journal.last_compaction));
}

}  // namespace detail

/// Calls `fn(const MetricPoint&)` for every figure; figures of the same name follow each other.
///
/// ```cpp
/// kvstore::for_each_metric(store.metrics(), [](const kvstore::MetricPoint& point) {
///   std::cout << point.name << " [" << point.unit << "]: " << point.description << '\n';
/// });
/// ```
template <class Fn>
void for_each_metric(const Metrics& metrics, Fn&& fn) {
  using Kind = MetricPoint::Kind;
  using Family = detail::MetricFamily;
  constexpr Family kEntries{"kvstore.entries", Kind::gauge, "{entry}", "Entries in memory."};
  kEntries.give(fn, metrics.entries);
  constexpr Family kSegments{"kvstore.segments", Kind::gauge, "{segment}",
                             "Tables with a lock of their own."};
  kSegments.give(fn, metrics.segments);
  detail::give_operations(metrics, fn);
  constexpr Family kApplied{"kvstore.changes", Kind::counter, "{change}",
                            "Changes applied; each of a batch counts."};
  kApplied.give(fn, metrics.applied);
  constexpr Family kUnsaved{"kvstore.unsaved", Kind::gauge, "{change}", "Changes that are not yet on disk."};
  kUnsaved.give(fn, metrics.unsaved);
  detail::give_saves(metrics.saves, fn);
  detail::give_journal(metrics.journal, fn);
  constexpr Family kSaveWaits{"kvstore.save.wait.duration", Kind::histogram, "s",
                              "How long operations waited until enough was on disk, where they had to."};
  kSaveWaits.give(fn, &metrics.save_waits);
  constexpr Family kLockWaits{"kvstore.lock.wait.duration", Kind::histogram, "s",
                              "How long writers waited for the lock of a segment, where it was not free."};
  kLockWaits.give(fn, &metrics.lock_waits);
  constexpr Family kLoad{"kvstore.load.duration", Kind::gauge, "s", "How long opening took to load."};
  kLoad.give(fn, detail::seconds_of(metrics.load_duration));
}

}}  // namespace kvstore::v1
