// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace kvstore { inline namespace v1 { namespace detail {

/// The amount of data that has passed to or from a storage.
struct ProgressCount {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;

  /// Counts more. @returns whether a report is due: every 4096 entries
  bool add(std::uint64_t more_entries, std::uint64_t more_bytes) noexcept {
    constexpr std::uint64_t kReportEvery = 4096;
    const std::uint64_t reports = entries / kReportEvery;
    entries += more_entries;
    bytes += more_bytes;
    return entries / kReportEvery != reports;
  }
};

}}}  // namespace kvstore::v1::detail
