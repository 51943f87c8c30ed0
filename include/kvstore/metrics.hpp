// SPDX-License-Identifier: MIT
#pragma once

// Figures that a store keeps about itself. prometheus.hpp writes them for a monitoring system.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvstore { inline namespace v1 {

/// The name under which an operation is counted. Its throwing and non-throwing forms are one verb.
enum class Verb : std::uint8_t {
  create,
  read,
  update,
  upsert,
  remove,
  visit,
  modify,
  compare_exchange,
  contains,
  size,  ///< `empty` too
  for_each,
  apply,
  clear,
};
/// The number of verbs.
inline constexpr std::size_t kVerbCount = 13;

/// The verb as it is written in code.
[[nodiscard]] constexpr std::string_view name_of(Verb verb) noexcept {
  constexpr std::array<std::string_view, kVerbCount> kNames{
      "create",           "read",     "update", "upsert",   "remove", "visit", "modify",
      "compare_exchange", "contains", "size",   "for_each", "apply",  "clear"};
  return kNames[static_cast<std::size_t>(verb)];
}

/// The outcomes of one verb's operations since the store was opened. Calls of a callback into its own store,
/// which throw `ReentryError`, are not counted.
struct OperationMetrics {
  std::uint64_t done = 0;     ///< succeeded
  std::uint64_t refused = 0;  ///< changed nothing: the key was missing, existed, or held another value
  std::uint64_t failed = 0;   ///< threw anything else: a bad value, a closed store, a save that failed

  /// Whether all figures are equal.
  [[nodiscard]] friend bool operator==(const OperationMetrics&, const OperationMetrics&) = default;
};

/// A histogram of durations. Bucket `i` counts the durations up to 2^i µs that no smaller bucket counts; the
/// last bucket counts those longer than 34 s.
struct Histogram {
  static constexpr std::size_t kBounds = 26;  ///< buckets with an upper bound

  std::array<std::uint64_t, kBounds + 1> buckets{};  ///< the number of durations in each
  std::chrono::nanoseconds sum{0};                   ///< of all durations

  /// The longest duration that bucket `index` counts.
  [[nodiscard]] static constexpr std::chrono::nanoseconds bound(std::size_t index) noexcept {
    return std::chrono::microseconds{std::int64_t{1} << index};
  }
  /// The bucket of a duration.
  [[nodiscard]] static constexpr std::size_t bucket_of(std::chrono::nanoseconds duration) noexcept {
    const auto above = static_cast<std::uint64_t>(duration.count() > 0 ? duration.count() - 1 : 0);
    const auto index = static_cast<std::size_t>(std::bit_width(above / 1000));
    return index < kBounds ? index : kBounds;
  }
  /// The number of durations.
  [[nodiscard]] constexpr std::uint64_t count() const noexcept {
    std::uint64_t total = 0;
    for (const std::uint64_t bucket : buckets) total += bucket;
    return total;
  }

  /// Counts one more duration.
  constexpr void add(std::chrono::nanoseconds duration) noexcept {
    ++buckets[bucket_of(duration)];
    sum += duration;
  }

  /// Whether all figures are equal.
  [[nodiscard]] friend bool operator==(const Histogram&, const Histogram&) = default;
};

/// Saves since the store was opened, whether triggered by count, by time, or by a call.
struct SaveMetrics {
  std::uint64_t succeeded = 0;                ///< saves that succeeded
  std::uint64_t failed = 0;                   ///< saves that threw; a retry that fails counts again
  std::uint64_t bytes = 0;                    ///< of keys and values that were handed to the storage; with a
                                              ///< `JsonJournal` that records at once, of their lines
  std::chrono::nanoseconds last_duration{0};  ///< of the last save, failed or not
  Histogram durations;                        ///< of all of them
  std::optional<std::string> last_error;      ///< the reason why the last one failed; empty if it succeeded
};

/// The journal, of a storage that keeps one.
struct JournalMetrics {
  std::uint64_t bytes = 0;                      ///< its size, which a load must replay
  std::uint64_t compactions = 0;                ///< into a new base file each, since the store was opened
  std::uint64_t failed_compactions = 0;         ///< since the store was opened
  std::chrono::nanoseconds last_compaction{0};  ///< how long that took, failed or not
};

/// The result of `BatchPersistentKeyValueStore::metrics`: a plain copy. While operations run, its figures are
/// from slightly different moments.
struct Metrics {
  std::uint64_t entries = 0;   ///< in memory
  std::uint64_t segments = 0;  ///< tables with a lock of their own
  std::uint64_t applied = 0;   ///< changes since the store was opened; each change of a batch counts
  std::uint64_t unsaved = 0;   ///< changes of these that are not yet on disk
  std::array<OperationMetrics, kVerbCount> operations{};  ///< by `Verb`; see `of`
  SaveMetrics saves;                                      ///< of all causes
  JournalMetrics journal;                                 ///< zeros where the storage keeps none
  Histogram save_waits;  ///< how long operations waited until enough was on disk, where they had to
  Histogram lock_waits;  ///< how long writers waited for the lock of a segment, where it was not free
  std::chrono::nanoseconds load_duration{0};  ///< of the load that opened the store

  /// The outcomes of the operations of `verb`.
  [[nodiscard]] const OperationMetrics& of(Verb verb) const noexcept {
    return operations[static_cast<std::size_t>(verb)];
  }
};

}}  // namespace kvstore::v1
