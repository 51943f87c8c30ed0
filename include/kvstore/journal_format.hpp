// SPDX-License-Identifier: MIT
#pragma once

// The contents of a journal's lines, for tools that read a journal with `kvstore/journal_lines.hpp`. The
// format's page is tests/format/JOURNAL.md.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 {

/// The version of the format that this library writes. It reads all versions up to this one.
inline constexpr std::uint64_t kJournalVersion = 2;

/// Identifies the JSON file that a journal continues: by size and CRC-32C, or as missing.
struct BaseId {
  bool exists = false;     ///< false: the journal continues nothing
  std::uint64_t size = 0;  ///< bytes
  std::uint32_t crc = 0;   ///< CRC-32C of all bytes

  /// The identity of a file with this text.
  [[nodiscard]] static BaseId of(std::string_view text) noexcept {
    return {true, text.size(), detail::crc32c(text)};
  }
  /// Whether both identify the same file.
  bool operator==(const BaseId&) const = default;
};

/// The first line of a journal.
struct JournalHeader {
  std::uint64_t version = kJournalVersion;  ///< of the format
  std::string id;                           ///< random, to distinguish journals
  std::uint64_t revision = 0;               ///< of the store before the first step of this journal
  std::optional<BaseId> base;               ///< none if it follows another journal or a failure
  std::string follows;                      ///< id of the journal that it continues; empty if none
  std::uint64_t follows_bytes = 0;          ///< the length of that journal

  /// Whether its newest lines may stand in `<file>.journal.tail`.
  [[nodiscard]] bool may_have_tail() const noexcept { return version >= 2; }
};

/// Receives the contents of a journal's line: one call, or one for each change of a step.
class JournalHandler {
 public:
  JournalHandler() = default;
  JournalHandler(const JournalHandler&) = delete;
  JournalHandler& operator=(const JournalHandler&) = delete;
  virtual ~JournalHandler() = default;

  /// Takes the first line.
  virtual void on_header(const JournalHeader& header) = 0;
  /// Called if from here on the journal continues that file as well.
  virtual void on_base(const BaseId& id) = 0;
  /// Takes one change of a step.
  virtual void on_change(const Change& change) = 0;
  /// Called if every entry was removed.
  virtual void on_clear() = 0;
  /// Called for a line that only records how much was synced.
  virtual void on_mark() {}
};

}}  // namespace kvstore::v1
