// SPDX-License-Identifier: MIT
#pragma once

// Figures that a store keeps about itself.

#include <chrono>
#include <cstdint>

namespace kvstore::inline v0 {

/// Saves since the store was opened.
struct SaveMetrics {
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::chrono::nanoseconds last_duration{0};  ///< of the last save, failed or not
};

/// What `BatchPersistentKeyValueStore::metrics` returns: one consistent struct, a moment after another.
struct Metrics {
  std::uint64_t entries = 0;   ///< in memory
  std::uint64_t segments = 0;  ///< tables with a lock of their own
  std::uint64_t applied = 0;   ///< operations since the store was opened
  std::uint64_t unsaved = 0;   ///< of these, not yet on disk
  SaveMetrics saves;
  std::chrono::nanoseconds load_duration{0};
};

}  // namespace kvstore::inline v0
