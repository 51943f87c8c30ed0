// SPDX-License-Identifier: MIT
#pragma once

// The entries of a save as lines of a JSON file, for storages that write such a file.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <cstdint>
#include <string_view>

namespace kvstore { inline namespace v1 {

/// Some entries in the form of a JSON file: `,\n"key": value` each.
struct EntryLines {
  std::string_view text;      ///< lives until the next call on the source
  std::uint64_t entries = 0;  ///< at least one
};

/// Passes the entries of a save to a storage by the hundred. A store's own source encodes them by several
/// threads. See `ChangeSource::lines`.
class LineSource {
 public:
  LineSource() = default;
  LineSource(const LineSource&) = delete;
  LineSource& operator=(const LineSource&) = delete;

  /// Fetches the next lines; false when there are no more. Call this from one thread until it returns false,
  /// or abandon the save by throwing.
  virtual bool next_lines(EntryLines& lines) = 0;

 protected:
  ~LineSource() = default;
};

}}  // namespace kvstore::v1
