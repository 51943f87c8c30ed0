// SPDX-License-Identifier: MIT
#pragma once

// The definitions of survey.hpp.

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

#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/contract/entry_error.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/side_file.hpp"
#include "kvstore/detail/file/text_place.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/journal/stretch.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/detail/journal/torn_keeper.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/log.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE JournalReader FoundJournal::reader(JournalEnd tail_end) const {
  JournalReader reader{*file, path, 0, tail_end};
  if (tail) reader.use_tail(*tail, tail_path);
  return reader;
}

KVSTORE_INLINE bool FoundJournal::compacted_into(const BaseId& snapshot) const {
  return counts && std::find(bases.begin(), bases.end(), snapshot) != bases.end();
}

KVSTORE_INLINE bool FoundJournal::continues(const BaseId& snapshot) const {
  return compacted_into(snapshot) || (counts && header.base == snapshot);
}

[[noreturn]] KVSTORE_INLINE void throw_second_header() {
  throw ParseError{0, "expected one header, at the start; two journals were joined to one file"};
}

KVSTORE_INLINE void JournalSurvey::check_begun() const {
  if (!found_.counts) throw ParseError{0, "expected a journal's header"};
}

KVSTORE_INLINE void JournalSurvey::count_step() {
  check_begun();
  ++found_.steps;
}

KVSTORE_INLINE void JournalSurvey::on_base(const BaseId& id) {
  check_begun();
  found_.bases.push_back(id);
}

KVSTORE_INLINE void JournalSurvey::on_header(const JournalHeader& header) {
  if (found_.counts) throw_second_header();
  if (header.version == 0) throw ParseError{0, "expected a version of the format from 1 on"};
  if (header.version > kJournalVersion) {
    throw StorageError{found_.path,
                       {},
                       "is a journal of format version " + std::to_string(header.version) +
                           ", and this library reads versions up to " + std::to_string(kJournalVersion) +
                           "; open it with a newer release"};
  }
  if (header.id.empty()) throw ParseError{0, "expected the id of the journal in its header"};
  if (header.may_have_tail() && !is_tail_id(header.id))
    throw ParseError{0, "expected an id of 16 lower-case hex digits"};
  found_.header = header;
  found_.counts = true;
}

KVSTORE_INLINE JournalHandler& SurveyStretches::begin(std::size_t slot) {
  Slot& mine = slots_[slot];
  mine.found = {};
  mine.found.counts = true;  // the header was read before
  return mine.survey.emplace(mine.found);
}

KVSTORE_INLINE void SurveyStretches::take(std::size_t count) {
  for (std::size_t slot = 0; slot < count; ++slot) {
    const FoundJournal& part = slots_[slot].found;
    found_.steps += part.steps;
    found_.bases.insert(found_.bases.end(), part.bases.begin(), part.bases.end());
  }
}

KVSTORE_INLINE void ReplayStretches::reserve(std::size_t slots) {
  while (slots_.size() < slots) slots_.push_back(std::make_unique<Slot>(sink_.change_stage()));
}

KVSTORE_INLINE void ReplayStretches::take(std::size_t count) {
  for (std::size_t slot = count; slot < slots_.size(); ++slot) slots_[slot]->stage().forget();
  if (count == 0) return;
  const std::size_t parts = slots_.front()->stage().parts();
  for_each_index(parts, std::min(threads_, parts), [&](std::size_t part) {
    for (std::size_t slot = 0; slot < count; ++slot) slots_[slot]->stage().apply(part);
  });
  for (std::size_t slot = 0; slot < count; ++slot) slots_[slot]->stage().finish();
}

KVSTORE_INLINE JournalReader read_journal(JournalReader reader, JournalHandler& handler,
                                          StretchTarget* target, const JournalThreads& threads) {
  std::string key;
  const bool alone = threads.count < 2 || target == nullptr;
  std::uint64_t together_from = 0;
  try {
    for (std::string_view body; reader.next(body);) {
      read_body(body, handler, key);
      if (!alone && reader.position() >= together_from)
        together_from = read_stretches(reader, *target, threads);
    }
  } catch (const EntryError& error) {
    throw_placed(reader.file(), {reader.path(),
                                 reader.body_offset() + error.offset(),
                                 error.what(),
                                 {0, 0, KeyText<std::string>::for_message(error.key())}});
  } catch (const ParseError& error) {
    throw_placed(reader.file(), {reader.path(), reader.body_offset() + error.offset(), error.what()});
  } catch (const CorruptionError& error) { throw_placed(reader.file(), error); }
  return reader;
}

KVSTORE_INLINE bool is_torn_start(File& file, const std::filesystem::path& path) {
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

KVSTORE_INLINE void survey_journal(FoundJournal& found, const JournalThreads& threads) {
  if (!found.file) return;
  JournalSurvey survey{found};
  SurveyStretches stretches{found};
  JournalReader reader = read_journal(found.reader(), survey, &stretches, threads);
  if (!found.counts && reader.end() != 0) throw CorruptionError{found.path, 0, "expected a journal's header"};
  if (!found.counts && !is_torn_start(*found.file, found.path)) {
    throw CorruptionError{found.path, 0,
                          "expected a journal's first line as it was written; another program has made, "
                          "converted, compressed or replaced this file"};
  }
  found.end = reader.end();
  found.staged = std::move(reader.staged());
  found.stray = reader.stray();
  found.torn_bytes = reader.torn_bytes();
  found.marked = reader.vouched() != 0;
  found.vouched = std::min(reader.vouched(), reader.end());
}

KVSTORE_INLINE std::uint64_t replay_journal(const FoundJournal& found, LoadSink& sink,
                                            const JournalThreads& threads) {
  JournalReplay replay{sink};
  JournalReader reader = found.reader(JournalEnd::growing);
  if (threads.count < 2 || !sink.change_stage()) return read_journal(std::move(reader), replay).end();
  ReplayStretches stretches{sink, threads.count};
  return read_journal(std::move(reader), replay, &stretches, threads).end();
}

KVSTORE_INLINE void keep_torn_ends(FileSystem& files, const std::filesystem::path& snapshot,
                                   const std::vector<TornEnd>& torn, LoadSink& sink) {
  TornKeeper keeper{files, snapshot};
  const std::string kept = path_text(TornKeeper::path_for(snapshot));
  const auto note = [&](bool all, const std::filesystem::path& file, std::uint64_t from,
                        std::uint64_t bytes) {
    sink.note(LogLevel::warning, all ? "dropped torn tail" : "torn tail not kept",
              {{"file", path_text(file)}, {"kept", kept}, {"offset", from}, {"bytes", bytes}});
  };
  for (const TornEnd& end : torn) {
    const FoundJournal& journal = *end.journal;
    const StagedLines& stray = journal.stray;
    if (end.bytes != 0)
      note(keeper.keep(*journal.file, journal.path, end.from), journal.path, end.from, end.bytes);
    if (!stray.text.empty())
      note(keeper.keep(stray.text, *journal.tail, journal.tail_path, stray.from), journal.tail_path,
           stray.from, stray.text.size());
  }
}

KVSTORE_INLINE void note_recovery(const std::vector<const FoundJournal*>& chain, LoadSink& sink) {
  std::uint64_t records = 0;
  for (const FoundJournal* journal : chain) records += journal->steps;
  if (records != 0) sink.note(LogLevel::info, "recovered", {{"records", records}});
}

KVSTORE_INLINE JournalSet::JournalSet(FileSystem& files, const std::filesystem::path& snapshot)
    : JournalSet{files, snapshot, open_tail(files, snapshot)} {}

KVSTORE_INLINE JournalSet::JournalSet(FileSystem& files, const std::filesystem::path& snapshot,
                                      const std::shared_ptr<File>& tail)
    : main{open(files, snapshot, "", tail)},
      next{open(files, snapshot, ".next", tail)},
      fresh{open(files, snapshot, ".new", tail)},
      head{tail ? read_tail_head(*tail, main.tail_path) : TailHead{}} {}

KVSTORE_INLINE void JournalSet::survey(const JournalThreads& threads) {
  for (FoundJournal* found : {&main, &next, &fresh}) survey_journal(*found, threads);
}

KVSTORE_INLINE void JournalSet::check_tail() const {
  if (head.kind == TailHead::Kind::other) throw StorageError{main.tail_path, {}, kNotOurs};
  if (head.kind == TailHead::Kind::blank) return;
  if (!head.is_whole) {
    throw CorruptionError{
        main.tail_path, head.size,
        "expected as many bytes as this file's second line says; put it back whole, or move it "
        "away to go on without the changes that it has"};
  }
  for (const FoundJournal* found : {&main, &next, &fresh}) {
    if (found->counts && found->header.id == head.id) return;
  }
  throw CorruptionError{
      main.tail_path, kTailMark.size(),
      "expected the id of a journal beside it: this file has the newest changes of a journal "
      "that is not here; put that journal back, or move this file away too, to go on without "
      "its changes"};
}

KVSTORE_INLINE void JournalSet::close() {
  for (FoundJournal* found : {&main, &next, &fresh}) {
    found->tail.reset();
    if (!found->file) continue;
    const auto seen = uninterrupted([&] { return found->file->status(); });
    if (seen.error) throw StorageError{found->path, seen.error, "cannot look at it"};
    found->seen = seen.value;
    found->file.reset();
  }
}

KVSTORE_INLINE std::filesystem::path JournalSet::name(std::filesystem::path snapshot, const char* suffix) {
  return (snapshot += ".journal") += suffix;
}

KVSTORE_INLINE std::vector<const FoundJournal*> JournalSet::chain(const BaseId& snapshot) const {
  // If the folder could not be synced, a journal that `.new` replaced may still exist beside its successor.
  const bool later = fresh.counts && next.counts && next.header.follows == fresh.header.id;
  if (fresh.compacted_into(snapshot) && !(later && next.compacted_into(snapshot))) return {&fresh};
  if (next.compacted_into(snapshot)) {
    if (main.counts && follows_another(next) && !later) check_stranger(main, next);
    check_nothing_between();
    return {&next};
  }
  if (main.continues(snapshot)) return main_and_next();
  check_strangers(snapshot);
  return {};
}

KVSTORE_INLINE std::vector<TornEnd> JournalSet::torn(const std::vector<const FoundJournal*>& chain) const {
  std::vector<TornEnd> dropped;
  for (const FoundJournal* found : {&main, &next, &fresh}) {
    const bool kept = std::find(chain.begin(), chain.end(), found) != chain.end();
    const bool replaced = !chain.empty() && (chain.front() != &main || is_replaced(*found));
    if (kept && (found->torn_bytes != 0 || !found->stray.text.empty()))
      dropped.push_back({found, found->end, found->torn_bytes});
    if (!kept && !replaced && (found->torn_bytes != 0 || found->steps != 0))
      dropped.push_back({found, 0, found->end + found->torn_bytes});
  }
  return dropped;
}

KVSTORE_INLINE FoundJournal JournalSet::open(FileSystem& files, const std::filesystem::path& snapshot,
                                             const char* suffix, const std::shared_ptr<File>& tail) {
  FoundJournal found;
  found.tail = tail;
  found.tail_path = TailFile::path_for(snapshot);
  found.path = name(snapshot, suffix);
  found.file = open_side_file(files, snapshot, found.path);
  return found;
}

KVSTORE_INLINE bool JournalSet::follows_another(const FoundJournal& found) const {
  return found.counts && !found.header.follows.empty() && found.header.follows != main.header.id;
}

KVSTORE_INLINE bool JournalSet::is_replaced(const FoundJournal& found) const {
  return follows_another(found) && !main.header.base && main.header.follows.empty();
}

KVSTORE_INLINE std::vector<const FoundJournal*> JournalSet::main_and_next() const {
  if (!next.counts) return {&main};
  if (follows_another(next) && !is_replaced(next)) check_stranger(next, main);
  if (next.header.follows != main.header.id) return {&main};
  check_nothing_between();
  if (main.end >= next.header.follows_bytes) return {&main, &next};
  // The end of `main` had not been synced when power was lost: the lines after it do not count either.
  if (!next.marked) return {&main};
  throw CorruptionError{main.path, main.end, "expected more lines, which were synced once"};
}

KVSTORE_INLINE void JournalSet::check_nothing_between() const {
  if (!main.counts || next.header.follows != main.header.id || main.end <= next.header.follows_bytes) return;
  throw CorruptionError{main.path, next.header.follows_bytes,
                        "expected the end of the journal, which " + path_text(next.path.filename()) +
                            " continues from here on; put the files of one moment back together"};
}

KVSTORE_INLINE void JournalSet::check_strangers(const BaseId& snapshot) const {
  for (const FoundJournal* found : {&main, &next, &fresh}) {
    if (!found->counts) continue;
    const bool misses_snapshot = !snapshot.exists && found->header.base && found->header.base->exists;
    if (found->steps == 0 && !misses_snapshot) continue;  // nothing in it can be lost
    std::string expected = "this journal, with " + std::to_string(found->steps) + " changes, ";
    expected += snapshot.exists
                    ? "does not belong to the JSON file beside it, which was edited or replaced; put the "
                      "right JSON file back"
                    : "continues a JSON file that is missing; put the JSON file back";
    expected +=
        ", or move all files " + path_text(main.path.filename()) + "* away together, to go on without ";
    expected += snapshot.exists ? "its changes" : "both";
    throw CorruptionError{found->path, 0, expected};
  }
}

KVSTORE_INLINE void JournalSet::check_stranger(const FoundJournal& found, const FoundJournal& other) {
  if (found.steps == 0) return;
  throw CorruptionError{found.path, 0,
                        "this journal, with " + std::to_string(found.steps) +
                            " changes, does not belong to " + path_text(other.path.filename()) +
                            " beside it; put the files of one store back together, or move this journal away "
                            "to go on without its changes"};
}

}}}  // namespace kvstore::v1::detail
