// SPDX-License-Identifier: MIT
#pragma once

// Surveys the journals of a base file when a store opens, and decides which of them count.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/journal/torn_keeper.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/log.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// One journal file as found.
struct FoundJournal {
  std::filesystem::path path;
  std::shared_ptr<File> file = nullptr;  ///< null if there is none
  bool counts = false;                   ///< it exists and has a header
  JournalHeader header;
  std::vector<BaseId> bases;  ///< base files that it continues as well, in order
  std::uint64_t steps = 0;
  std::uint64_t end = 0;         ///< the end of its good lines
  std::uint64_t torn_bytes = 0;  ///< bytes after that end
  bool marked = false;           ///< some line records a sync
  std::uint64_t vouched = 0;     ///< bytes that a line records as synced

  [[nodiscard]] bool compacted_into(const BaseId& snapshot) const {
    return counts && std::find(bases.begin(), bases.end(), snapshot) != bases.end();
  }
  [[nodiscard]] bool continues(const BaseId& snapshot) const {
    return compacted_into(snapshot) || (counts && header.base == snapshot);
  }
};

/// Collects the properties of a journal, without applying it.
class JournalSurvey final : public JournalHandler {
 public:
  explicit JournalSurvey(FoundJournal& found) : found_{found} {}

  void on_header(const JournalHeader& header) override {
    if (header.version != kJournalVersion) {
      throw StorageError{found_.path,
                         {},
                         "is a journal of format version " + std::to_string(header.version) +
                             ", and this library reads version " + std::to_string(kJournalVersion) +
                             "; open it with a newer release"};
    }
    found_.header = header;
    found_.counts = true;
  }
  void on_base(const BaseId& id) override { found_.bases.push_back(id); }
  void on_change(const Change&) override { ++found_.steps; }
  void on_clear() override { ++found_.steps; }

 private:
  FoundJournal& found_;
};

/// Applies a journal.
class JournalReplay final : public JournalHandler {
 public:
  explicit JournalReplay(LoadSink& sink) : sink_{sink} {}
  void on_header(const JournalHeader&) override {}
  void on_base(const BaseId&) override {}
  void on_change(const Change& change) override { sink_.change(change); }
  void on_clear() override { sink_.clear(); }

 private:
  LoadSink& sink_;
};

/// Passes every good line from `reader`, of the journal `path`, to `handler`; returns the reader at the end.
/// @throws CorruptionError, StorageError
inline JournalReader read_journal(JournalReader reader, const std::filesystem::path& path,
                                  JournalHandler& handler) {
  std::string key;
  for (std::string_view body; reader.next(body);) {
    try {
      read_body(body, handler, key);
    } catch (const ParseError& error) {
      throw CorruptionError{path, reader.body_offset() + error.offset(), error.what()};
    }
  }
  return reader;
}

/// No disk writes fewer bytes at once, so a tear leaves them whole or as zeros.
inline constexpr std::size_t kMinSector = 16;

/// Whether a journal without a header may be the result of a power loss before its first line was safe: it is
/// empty, or zeros, or the first bytes of a header. After zeros, sectors that were written may hold anything.
inline bool is_torn_start(File& file, const std::filesystem::path& path) {
  std::vector<char> block(kBlockBytes);
  std::uint64_t at = 0;
  std::size_t header = 0;  // bytes of it that are present
  for (bool first = true;; first = false) {
    const auto got = read_full(file, at, block);
    if (got.error) throw StorageError{path, got.error, "cannot read"};
    std::string_view text{block.data(), got.value};
    if (text.empty()) return true;
    if (first) {
      header = std::min(text.find('\0'), text.size());
      if (!begins_header(text.substr(0, header))) return false;
    }
    const std::size_t other = text.find_first_not_of('\0', first ? header : 0);
    if (other == std::string_view::npos) {
      at += text.size();
      continue;
    }
    // Text with two bytes a character has zeros as well, but earlier.
    return header >= kMinSector || (header == 0 && at + other >= kMinSector);
  }
}

/// Surveys a journal. A journal that broke off before its header was safe does not count: nothing in it was
/// acknowledged. @throws CorruptionError for any other file without a header; StorageError
inline void survey_journal(FoundJournal& found) {
  if (!found.file) return;
  JournalSurvey survey{found};
  const JournalReader reader = read_journal({*found.file, found.path}, found.path, survey);
  if (!found.counts && reader.end() != 0) throw CorruptionError{found.path, 0, "expected a journal's header"};
  if (!found.counts && !is_torn_start(*found.file, found.path)) {
    throw CorruptionError{found.path, 0,
                          "expected a journal's first line as it was written; another program has made, "
                          "converted, compressed or replaced this file"};
  }
  found.end = reader.end();
  found.torn_bytes = reader.torn_bytes();
  found.marked = reader.vouched() != 0;
  found.vouched = std::min(reader.vouched(), reader.end());
}

/// Applies a journal that was surveyed. @returns its end, which may be further on than before if another
/// process writes
inline std::uint64_t replay_journal(const FoundJournal& found, LoadSink& sink) {
  JournalReplay replay{sink};
  return read_journal({*found.file, found.path, 0, JournalTail::growing}, found.path, replay).end();
}

/// The part of a journal that opening drops: bytes from some offset on that are not all zeros.
struct TornEnd {
  const FoundJournal* journal;
  std::uint64_t from;
  std::uint64_t bytes;
};

/// Keeps the dropped bytes beside the base file, durably, and logs that. @throws StorageError
inline void keep_torn_ends(FileSystem& files, const std::filesystem::path& snapshot,
                           const std::vector<TornEnd>& torn, LoadSink& sink) {
  TornKeeper keeper{files, snapshot};
  const std::string kept = path_text(TornKeeper::path_for(snapshot));
  for (const TornEnd& end : torn) {
    const bool all = keeper.keep(*end.journal->file, end.journal->path, end.from);
    const std::string file = path_text(end.journal->path);
    sink.note(LogLevel::warning, all ? "dropped torn tail" : "torn tail not kept",
              {{"file", file}, {"kept", kept}, {"offset", end.from}, {"bytes", end.bytes}});
  }
}

/// Logs how many records the journals of a chain have restored.
inline void note_recovery(const std::vector<const FoundJournal*>& chain, LoadSink& sink) {
  std::uint64_t records = 0;
  for (const FoundJournal* journal : chain) records += journal->steps;
  if (records != 0) sink.note(LogLevel::info, "recovered", {{"records", records}});
}

/// The journals beside a base file; `chain` selects those that continue it.
///
/// Three names are in use. `.journal` continues the base file. While it is compacted into a new base file,
/// changes go to `.journal.next`, which follows it. After a failed write or sync they go to `.journal.new`,
/// which counts only once the new base file is in place.
struct JournalSet {
  FoundJournal main, next, fresh;

  /// Opens the journals.
  JournalSet(FileSystem& files, const std::filesystem::path& snapshot)
      : main{open(files, name(snapshot, ""))},
        next{open(files, name(snapshot, ".next"))},
        fresh{open(files, name(snapshot, ".new"))} {}

  /// Surveys the contents. @throws CorruptionError, StorageError
  void survey() {
    for (FoundJournal* found : {&main, &next, &fresh}) survey_journal(*found);
  }

  /// Closes the journals, since not every system can replace or remove an open file.
  void close() {
    for (FoundJournal* found : {&main, &next, &fresh}) found->file.reset();
  }

  [[nodiscard]] static std::filesystem::path name(std::filesystem::path snapshot, const char* suffix) {
    return (snapshot += ".journal") += suffix;
  }

  /// The journals to apply after the base file, in order; the last one is to be continued. Empty if there is
  /// none, or none with anything in it. @throws CorruptionError if the files do not belong together
  [[nodiscard]] std::vector<const FoundJournal*> chain(const BaseId& snapshot) const {
    // If the folder could not be synced, a journal that `.new` replaced may still exist beside its successor.
    const bool later = fresh.counts && next.counts && next.header.follows == fresh.header.id;
    if (fresh.compacted_into(snapshot) && !(later && next.compacted_into(snapshot))) return {&fresh};
    if (next.compacted_into(snapshot)) {
      if (main.counts && follows_another(next) && !later) check_stranger(main, next);
      return {&next};
    }
    if (main.continues(snapshot)) return main_and_next();
    check_strangers(snapshot);
    return {};
  }

  /// The parts that are dropped if `chain` is continued. Journals that the base file has replaced do not
  /// count.
  [[nodiscard]] std::vector<TornEnd> torn(const std::vector<const FoundJournal*>& chain) const {
    std::vector<TornEnd> dropped;
    for (const FoundJournal* found : {&main, &next, &fresh}) {
      const bool kept = std::find(chain.begin(), chain.end(), found) != chain.end();
      const bool replaced = !chain.empty() && (chain.front() != &main || is_replaced(*found));
      if (kept && found->torn_bytes != 0) dropped.push_back({found, found->end, found->torn_bytes});
      if (!kept && !replaced && (found->torn_bytes != 0 || found->steps != 0))
        dropped.push_back({found, 0, found->end + found->torn_bytes});
    }
    return dropped;
  }

 private:
  [[nodiscard]] static FoundJournal open(FileSystem& files, std::filesystem::path path) {
    FoundJournal found;
    found.file = open_if_exists(files, path);
    found.path = std::move(path);
    return found;
  }

  /// Whether `.next` follows a journal other than `main`. A journal begun after a failure follows none.
  [[nodiscard]] bool follows_another(const FoundJournal& found) const {
    return found.counts && !found.header.follows.empty() && found.header.follows != main.header.id;
  }
  /// Whether the journal dates from before a failure after which `main` was begun.
  [[nodiscard]] bool is_replaced(const FoundJournal& found) const {
    return follows_another(found) && !main.header.base && main.header.follows.empty();
  }

  [[nodiscard]] std::vector<const FoundJournal*> main_and_next() const {
    if (!next.counts) return {&main};
    if (follows_another(next) && !is_replaced(next)) check_stranger(next, main);
    if (next.header.follows != main.header.id) return {&main};
    if (main.end >= next.header.follows_bytes) return {&main, &next};
    // The end of `main` had not been synced when power was lost: the lines after it do not count either.
    if (!next.marked) return {&main};
    throw CorruptionError{main.path, main.end, "expected more lines, which were synced once"};
  }

  void check_strangers(const BaseId& snapshot) const {
    for (const FoundJournal* found : {&main, &next, &fresh}) {
      if (!found->counts) continue;
      const bool misses_snapshot = !snapshot.exists && found->header.base && found->header.base->exists;
      if (found->steps == 0 && !misses_snapshot) continue;  // nothing in it can be lost
      const std::string with = "this journal, with " + std::to_string(found->steps) + " changes, ";
      throw CorruptionError{
          found->path, 0,
          with + (snapshot.exists
                      ? "does not belong to the JSON file beside it, which was edited or replaced; put the "
                        "right JSON file back, or move the journal away to go on without its changes"
                      : "continues a JSON file that is missing; put the JSON file back, or move the journal "
                        "away to go on without both")};
    }
  }

  /// Ignores a journal without steps: nothing is lost with it.
  static void check_stranger(const FoundJournal& found, const FoundJournal& other) {
    if (found.steps == 0) return;
    throw CorruptionError{
        found.path, 0,
        "this journal, with " + std::to_string(found.steps) + " changes, does not belong to " +
            path_text(other.path.filename()) +
            " beside it; put the files of one store back together, or move this journal away "
            "to go on without its changes"};
  }
};

}}}  // namespace kvstore::v1::detail
