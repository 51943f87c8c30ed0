// SPDX-License-Identifier: MIT
#pragma once

// Reads everything, as strictly as the strictest program would, and says where a file stops making sense.

#include <algorithm>
#include <cstdint>
#include <kvstore/journal_lines.hpp>
#include <optional>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "entries.hpp"
#include "lock_holder.hpp"
#include "output.hpp"
#include "places.hpp"
#include "regular_file.hpp"

namespace kvctl {

/// What to say of the file that a save would be written to.
[[nodiscard]] inline std::string remark_on_leftover(const fs::path& path, const fs::path& leftover) {
  try {
    kvstore::JsonFile::check_leftover(path);
  } catch (const kvstore::StorageError& error) {
    return std::string{error.what()} + "; until then the store does not open for writing";
  }
  return leftover.string() + " is left of a save that was cut short; it does not count";
}

/// What is no damage, and yet worth a word.
[[nodiscard]] inline std::vector<std::string> remarks_on(const Place& place) {
  std::vector<std::string> remarks;
  const auto holder = find_lock_holder(place.path);
  const bool held = holder && holder->holds;
  if (held) remarks.push_back("process " + std::to_string(holder->process) + " has it open for writing");
  if (holder && !held) {
    remarks.push_back("process " + std::to_string(holder->process) +
                      " ended without closing it; the next to open it takes over");
  }
  const fs::path leftover = beside(place.path, ".tmp");
  if (!held && fs::exists(fs::symlink_status(leftover)))
    remarks.push_back(remark_on_leftover(place.path, leftover));
  if (const fs::path kept = beside(place.path, ".journal.torn"); fs::exists(kept)) {
    remarks.push_back(kept.string() +
                      " keeps what was dropped of a journal as torn; look whether something is missing, and "
                      "remove it then");
  }
  if (held || place.kind != Kind::journal) return remarks;
  for (const char* suffix : kJournals) {
    const fs::path journal = beside(fs::absolute(place.path), suffix);
    kvstore::JournalLines lines{journal};
    while (lines.next()) continue;
    const std::uint64_t bytes = lines.torn_bytes() + lines.torn_tail_bytes();
    if (bytes == 0) continue;
    remarks.push_back(
        journal.string() + ": byte " + std::to_string(lines.end()) + ": what follows, " +
        std::to_string(bytes) + " bytes" + (lines.torn_tail_bytes() != 0 ? " here and in its tail" : "") +
        ", was torn by a crash, or was damaged. After a power loss nothing of it had been promised; without "
        "one, changes are missing. The next to open it drops it, and keeps a copy in " +
        beside(place.path, ".journal.torn").string());
  }
  return remarks;
}

/// The line of the damage, counted from 1.
[[nodiscard]] inline std::uint64_t line_at(const kvstore::CorruptionError& error) {
  if (error.line() != 0) return error.line();
  std::uint64_t offset = error.offset();
  RegularFile file{error.path()};
  std::uint64_t line = 1;
  std::string block(std::size_t{64} << 10, '\0');
  while (offset != 0) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(offset, block.size()));
    const std::size_t got = file.read({block.data(), wanted});
    if (got == 0) break;
    line += static_cast<std::uint64_t>(
        std::count(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(got), '\n'));
    offset -= got;
  }
  return line;
}

/// A database is no sequence of bytes to its reader.
[[nodiscard]] inline bool has_offset(const Place& place) { return place.kind != Kind::sqlite; }

inline void report_damage(const Place& place, const kvstore::CorruptionError& error, bool json, Output& out) {
  const std::string line = has_offset(place) ? std::to_string(line_at(error)) : "";
  if (!json) {
    throw Failure{kDamaged, error.what(),
                  "  `kvctl repair " + place.path.string() + " NEW` saves what can be saved into NEW"};
  }
  std::string text = "{\"path\": " + to_json(readable(place.path.string())) + ", \"storage\": \"" +
                     name_of(place.kind) +
                     "\", \"sound\": false, \"file\": " + to_json(readable(error.path().string()));
  if (!line.empty()) text += ", \"offset\": " + std::to_string(error.offset()) + ", \"line\": " + line;
  text += ", \"expected\": " + to_json(visible(line.empty() ? error.what() : error.expected())) + "}";
  out.append_json(text);
  out.append("\n");
}

/// What `verify` has checked.
[[nodiscard]] inline std::string checks_of(Kind kind) {
  const std::string entries =
      "every value as JSON, every text as UTF-8, that no key is there twice, and that numbers fit a double";
  switch (kind) {
    case Kind::sqlite:
      return entries +
             "; the tables, and SQLite's own structures (SQLite has no checksums: a changed letter of "
             "a value goes unnoticed)";
    case Kind::journal:
      return entries +
             "; the checksum and the place of every line of the journal, and that it continues this "
             "file";
    case Kind::json:
      break;
  }
  return entries + " (a JSON file has no checksums: a changed letter of a value goes unnoticed)";
}

inline void report_soundness(const Place& place, std::size_t entries, const std::vector<std::string>& remarks,
                             bool json, Output& out) {
  if (!json) {
    out.append_message(place.path.string() + ": sound, " + std::to_string(entries) +
                       (entries == 1 ? " entry" : " entries"));
    out.append_message("  checked: " + checks_of(place.kind));
    out.append_message("  not checked: whether the values are of the types that your program wants");
    for (const std::string& remark : remarks) out.append_message("  " + remark);
    return;
  }
  std::string text = "{\"path\": " + to_json(readable(place.path.string())) + ", \"storage\": \"" +
                     name_of(place.kind) + "\", \"sound\": true, \"entries\": " + std::to_string(entries) +
                     ", \"checked\": " + to_json(checks_of(place.kind)) + ", \"remarks\": [";
  for (std::size_t i = 0; i < remarks.size(); ++i)
    text += (i == 0 ? "" : ", ") + to_json(readable(remarks[i]));
  out.append_json(text + "]}");
  out.append("\n");
}

inline Status verify(const Arguments& arguments, Output& out) {
  const Place place = find_existing(arguments.path, arguments.storage);
  NoSink none;
  CheckedSink checked{none, check_strictly};
  std::vector<std::string> remarks;
  try {
    load_for_a_person(*open_to_read(place), {.purpose = kvstore::LoadPurpose::read_only}, checked);
    if (place.kind == Kind::sqlite) check_integrity(place.path);
    remarks = remarks_on(place);
  } catch (const kvstore::CorruptionError& error) {
    report_damage(place, error, arguments.json, out);
    return kDamaged;
  }
  report_soundness(place, checked.entries(), remarks, arguments.json, out);
  return kDone;
}

}  // namespace kvctl
