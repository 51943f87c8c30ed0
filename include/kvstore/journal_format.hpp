// SPDX-License-Identifier: MIT
#pragma once

// What the lines of a journal say, for tools that look into one with `kvstore/journal_lines.hpp`. The
// format's page is tests/format/JOURNAL.md.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 {

/// The version of the format that this library writes, and the only one that it reads.
inline constexpr std::uint64_t kJournalVersion = 1;

/// Which JSON file a journal continues: its size and CRC-32C, or that there was none.
struct BaseId {
  bool exists = false;     ///< false: the journal continues nothing
  std::uint64_t size = 0;  ///< bytes
  std::uint32_t crc = 0;   ///< CRC-32C of all of them

  /// That of a file with this text.
  [[nodiscard]] static BaseId of(std::string_view text) noexcept {
    return {true, text.size(), detail::crc32c(text)};
  }
  /// Whether both are of the same file.
  bool operator==(const BaseId&) const = default;
};

/// The first line of a journal.
struct JournalHeader {
  std::uint64_t version = kJournalVersion;  ///< of the format
  std::string id;                           ///< random, to tell journals apart
  std::optional<BaseId> base;               ///< none if it follows another journal or a failure
  std::string follows;                      ///< id of the journal that it continues; empty if none
  std::uint64_t follows_bytes = 0;          ///< how long that one is
};

/// Takes what a line of a journal says: one call, or one for each change of a step.
class JournalHandler {
 public:
  JournalHandler() = default;
  JournalHandler(const JournalHandler&) = delete;
  JournalHandler& operator=(const JournalHandler&) = delete;
  virtual ~JournalHandler() = default;

  /// Takes the first line.
  virtual void on_header(const JournalHeader& header) = 0;
  /// From here on the journal continues that file as well.
  virtual void on_base(const BaseId& id) = 0;
  /// Takes one change of a step.
  virtual void on_change(const Change& change) = 0;
  /// Every entry was removed.
  virtual void on_clear() = 0;
};

}}  // namespace kvstore::v1
