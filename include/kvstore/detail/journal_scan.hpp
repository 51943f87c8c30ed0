// SPDX-License-Identifier: MIT
#pragma once

// What stands in the journals beside a snapshot when a store opens, and which of them count.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/file_system.hpp"
#include "kvstore/detail/journal_format.hpp"
#include "kvstore/detail/journal_reader.hpp"
#include "kvstore/detail/json_snapshot.hpp"
#include "kvstore/error.hpp"
#include "kvstore/log.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

/// One journal file as it was found.
struct FoundJournal {
  std::filesystem::path path;
  std::shared_ptr<File> file = nullptr;  ///< null if there is none
  bool counts = false;                   ///< it exists and has a header
  JournalHeader header;
  std::vector<SnapshotId> folds;  ///< snapshots that it came to continue later
  std::uint64_t steps = 0;
  std::uint64_t end = 0;         ///< where its good lines end
  std::uint64_t torn_bytes = 0;  ///< what stands behind that end
  bool marked = false;           ///< a line says that something was synced
  std::uint64_t vouched = 0;     ///< how much of it a line says was synced

  [[nodiscard]] bool folded_into(const SnapshotId& snapshot) const {
    return counts && std::find(folds.begin(), folds.end(), snapshot) != folds.end();
  }
  [[nodiscard]] bool continues(const SnapshotId& snapshot) const {
    return folded_into(snapshot) || (counts && header.snapshot == snapshot);
  }
};

/// Learns what a journal is, without carrying it out.
class JournalSurvey final : public JournalBodyHandler {
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
  void on_fold(const SnapshotId& id) override { found_.folds.push_back(id); }
  void on_change(const Change&) override { ++found_.steps; }
  void on_clear() override { ++found_.steps; }

 private:
  FoundJournal& found_;
};

/// Carries a journal out.
class JournalReplay final : public JournalBodyHandler {
 public:
  explicit JournalReplay(LoadSink& sink) : sink_{sink} {}
  void on_header(const JournalHeader&) override {}
  void on_fold(const SnapshotId&) override {}
  void on_change(const Change& change) override { sink_.change(change); }
  void on_clear() override { sink_.clear(); }

 private:
  LoadSink& sink_;
};

/// Hands every good line that `reader`, of the journal `path`, comes to to `handler`; returns the reader at the
/// end. @throws CorruptionError, StorageError
inline JournalReader read_journal(JournalReader reader, const std::filesystem::path& path,
                                  JournalBodyHandler& handler) {
  for (std::string_view body; reader.next(body);) {
    try {
      read_body(body, handler);
    } catch (const ParseError& error) {
      throw CorruptionError{path, reader.body_offset() + error.offset(), error.what()};
    }
  }
  return reader;
}

/// Looks at a journal. One that broke off before its header was safe does not count: nothing in it was
/// acknowledged.
inline void survey_journal(FoundJournal& found) {
  if (!found.file) return;
  JournalSurvey survey{found};
  const JournalReader reader = read_journal({*found.file, found.path}, found.path, survey);
  if (!found.counts && reader.end() != 0) throw CorruptionError{found.path, 0, "expected a journal's header"};
  found.end = reader.end();
  found.torn_bytes = reader.torn_bytes();
  found.marked = reader.vouched() != 0;
  found.vouched = std::min(reader.vouched(), reader.end());
}

/// Carries a journal out that was surveyed. @returns where it ends, which may be further on than before if
/// somebody writes
inline std::uint64_t replay_journal(const FoundJournal& found, LoadSink& sink) {
  JournalReplay replay{sink};
  return read_journal({*found.file, found.path, 0, JournalTail::growing}, found.path, replay).end();
}

/// Tells the log what the journals of a chain have brought back, and what a crash has torn off.
inline void note_recovery(const std::vector<const FoundJournal*>& chain, LoadSink& sink) {
  std::uint64_t records = 0;
  for (const FoundJournal* journal : chain) {
    records += journal->steps;
    if (const std::uint64_t bytes = journal->torn_bytes; bytes != 0)
      sink.note(LogLevel::warning, "dropped torn tail", {{"offset", journal->end}, {"bytes", bytes}});
  }
  if (records != 0) sink.note(LogLevel::info, "recovered", {{"records", records}});
}

/// The journals that lie beside a snapshot, and the ones of them that continue it.
///
/// Three names are in use. `.journal` continues the snapshot. While it is folded into a new snapshot, changes
/// go to `.journal.next`, which follows it. After a failed write or sync they go to `.journal.new`, which
/// counts only once the new snapshot is in place.
struct JournalSet {
  FoundJournal main, next, fresh;

  /// Opens them.
  JournalSet(FileSystem& files, const std::filesystem::path& snapshot)
      : main{open(files, name(snapshot, ""))},
        next{open(files, name(snapshot, ".next"))},
        fresh{open(files, name(snapshot, ".new"))} {}

  /// Looks at what is in them. @throws CorruptionError, StorageError
  void survey() {
    for (FoundJournal* found : {&main, &next, &fresh}) survey_journal(*found);
  }

  /// Closes them, since an open file is not to be replaced or removed on every system.
  void close() {
    for (FoundJournal* found : {&main, &next, &fresh}) found->file.reset();
  }

  [[nodiscard]] static std::filesystem::path name(std::filesystem::path snapshot, const char* suffix) {
    return (snapshot += ".journal") += suffix;
  }

  /// The journals to carry out after the snapshot, in order; the last is to be gone on with. Empty if there
  /// is none, or none that could matter. @throws CorruptionError if what is there does not belong together
  [[nodiscard]] std::vector<const FoundJournal*> chain(const SnapshotId& snapshot) const {
    if (fresh.folded_into(snapshot)) return {&fresh};
    if (next.folded_into(snapshot)) return {&next};
    if (main.continues(snapshot)) return main_and_next();
    refuse_strangers(snapshot);
    return {};
  }

 private:
  [[nodiscard]] static FoundJournal open(FileSystem& files, std::filesystem::path path) {
    FoundJournal found;
    found.file = open_if_exists(files, path);
    found.path = std::move(path);
    return found;
  }

  [[nodiscard]] std::vector<const FoundJournal*> main_and_next() const {
    if (!next.counts || next.header.follows != main.header.id) return {&main};
    if (main.end >= next.header.follows_bytes) return {&main, &next};
    // The end of `main` had not been synced when power was lost: what came after it does not count either.
    if (!next.marked) return {&main};
    throw CorruptionError{main.path, main.end, "expected more lines, which were synced once"};
  }

  void refuse_strangers(const SnapshotId& snapshot) const {
    for (const FoundJournal* found : {&main, &next, &fresh}) {
      if (!found->counts || found->steps == 0) continue;  // nothing in it can be lost
      const std::string why =
          snapshot.exists ? "this journal does not belong to the snapshot beside it, which was edited or "
                            "replaced; put the "
                            "right snapshot back, or move the journal away to go on without its changes"
                          : "the snapshot that this journal continues is missing; put it back, or move the "
                            "journal away to "
                            "go on without its changes";
      throw CorruptionError{found->path, 0, why};
    }
  }
};

}  // namespace kvstore::inline v0::detail
