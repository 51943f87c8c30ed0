// SPDX-License-Identifier: MIT
#pragma once

// What stands in the journals beside a snapshot when a store opens, and which of them count.

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

/// One journal file as it was found.
struct FoundJournal {
  std::filesystem::path path;
  std::shared_ptr<File> file = nullptr;  ///< null if there is none
  bool counts = false;                   ///< it exists and has a header
  JournalHeader header;
  std::vector<BaseId> bases;  ///< snapshots that it came to continue later
  std::uint64_t steps = 0;
  std::uint64_t end = 0;         ///< where its good lines end
  std::uint64_t torn_bytes = 0;  ///< what stands behind that end
  bool marked = false;           ///< a line says that something was synced
  std::uint64_t vouched = 0;     ///< how much of it a line says was synced

  [[nodiscard]] bool compacted_into(const BaseId& snapshot) const {
    return counts && std::find(bases.begin(), bases.end(), snapshot) != bases.end();
  }
  [[nodiscard]] bool continues(const BaseId& snapshot) const {
    return compacted_into(snapshot) || (counts && header.base == snapshot);
  }
};

/// Learns what a journal is, without carrying it out.
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

/// Carries a journal out.
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

/// Hands every good line that `reader`, of the journal `path`, comes to to `handler`; returns the reader at
/// the end. @throws CorruptionError, StorageError
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

/// No disk writes less than that at once, so a tear leaves it whole or as zeros.
inline constexpr std::size_t kMinSector = 16;

/// Whether a journal without a header is what power loss leaves of a first line that was not safe yet:
/// nothing, zeros, or some first bytes of a header; behind zeros, what sectors that came through happen to
/// hold.
inline bool is_torn_start(File& file, const std::filesystem::path& path) {
  std::vector<char> block(kBlockBytes);
  std::uint64_t at = 0;
  std::size_t header = 0;  // bytes of it that are there
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
    // Text of two bytes a character has zeros as well, but sooner.
    return header >= kMinSector || (header == 0 && at + other >= kMinSector);
  }
}

/// Looks at a journal. One that broke off before its header was safe does not count: nothing in it was
/// acknowledged. @throws CorruptionError for anything else without a header; StorageError
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

/// Carries a journal out that was surveyed. @returns where it ends, which may be further on than before if
/// somebody writes
inline std::uint64_t replay_journal(const FoundJournal& found, LoadSink& sink) {
  JournalReplay replay{sink};
  return read_journal({*found.file, found.path, 0, JournalTail::growing}, found.path, replay).end();
}

/// What opening drops of a journal: bytes that are not only zeros, from some place on.
struct TornEnd {
  const FoundJournal* journal;
  std::uint64_t from;
  std::uint64_t bytes;
};

/// Keeps what is dropped beside the snapshot, durably, and tells the log of it. @throws StorageError
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

/// Tells the log what the journals of a chain have brought back.
inline void note_recovery(const std::vector<const FoundJournal*>& chain, LoadSink& sink) {
  std::uint64_t records = 0;
  for (const FoundJournal* journal : chain) records += journal->steps;
  if (records != 0) sink.note(LogLevel::info, "recovered", {{"records", records}});
}

/// The journals that lie beside a snapshot, and the ones of them that continue it.
///
/// Three names are in use. `.journal` continues the snapshot. While it is compacted into a new base file,
/// changes go to `.journal.next`, which follows it. After a failed write or sync they go to `.journal.new`,
/// which counts only once the new snapshot is in place.
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
  [[nodiscard]] std::vector<const FoundJournal*> chain(const BaseId& snapshot) const {
    // Where the folder could not be synced, what `.new` replaced may still lie beside what came after it.
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

  /// What is dropped of them when `chain` is gone on with. What the snapshot has replaced is not among that.
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

  /// Whether `.next` follows a journal other than `main`. One that was begun after a failure follows none.
  [[nodiscard]] bool follows_another(const FoundJournal& found) const {
    return found.counts && !found.header.follows.empty() && found.header.follows != main.header.id;
  }
  /// Whether it is left from before a failure that `main` was begun after.
  [[nodiscard]] bool is_replaced(const FoundJournal& found) const {
    return follows_another(found) && !main.header.base && main.header.follows.empty();
  }

  [[nodiscard]] std::vector<const FoundJournal*> main_and_next() const {
    if (!next.counts) return {&main};
    if (follows_another(next) && !is_replaced(next)) check_stranger(next, main);
    if (next.header.follows != main.header.id) return {&main};
    if (main.end >= next.header.follows_bytes) return {&main, &next};
    // The end of `main` had not been synced when power was lost: what came after it does not count either.
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

  /// Nothing is lost with a journal that holds no steps.
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
