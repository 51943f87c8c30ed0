// SPDX-License-Identifier: MIT
#pragma once

// The definitions of json_journal.hpp.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/base/failure_mark.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/contract/line_window.hpp"
#include "kvstore/detail/file/checksummed_file.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/detail/journal/base_file.hpp"
#include "kvstore/detail/journal/directory.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/detail/journal/follower.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/stretch.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/detail/json_file/load_and_write.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/json_journal.hpp"

namespace kvstore { inline namespace v1 {

KVSTORE_INLINE JsonJournal::JsonJournal(const std::filesystem::path& path, const Options& options,
                                        detail::FileSystem& files, const detail::JournalSpace& space)
    : files_{files},
      path_{detail::usable_path(files, path)},
      directory_{files_, path_, space},
      follower_{files_, path},
      base_{files_, path_},
      options_{options},
      window_bytes_{space.tail - detail::kTailHead},
      compact_from_{space.compact_from},
      long_from_{space.long_from} {}

KVSTORE_INLINE JsonJournal::~JsonJournal() {
  if (current_ && !failed_ && !home_.is_foreign_by_id()) tidy();
}

KVSTORE_INLINE void JsonJournal::load(const LoadRequest& request, LoadSink& sink) {
  // A temporary follower keeps no file open afterwards: some Windows systems cannot replace an open file.
  if (current_) return detail::JournalFollower{files_, path_}.load(request, sink);
  follower_.follow_links();
  if (request.purpose != LoadPurpose::exclusive) return follower_.load(request, sink);
  acquire();
  const BaseId snapshot = load_snapshot(request.threads, sink);
  sink.finish();
  detail::JournalSet found{files_, path_};
  directory_.check_held(found);
  const detail::JournalThreads threads{request.threads};
  found.survey(threads);
  const auto chain = found.chain(snapshot);
  found.check_tail();
  for (const detail::FoundJournal* journal : chain) detail::replay_journal(*journal, sink, threads);
  detail::keep_torn_ends(files_, path_, found.torn(chain), sink);
  detail::note_recovery(chain, sink);
  found.close();
  if (chain.empty())
    begin(snapshot);
  else
    go_on(chain);
}

KVSTORE_INLINE bool JsonJournal::load_changes(LoadSink& sink) {
  if (current_ || follower_.follow_links()) return false;
  return follower_.load_changes(sink);
}

KVSTORE_INLINE void JsonJournal::save(ChangeSource& source) {
  if (!current_)
    throw UsageError{detail::path_text(path_) + ": load it for LoadPurpose::exclusive before saving"};
  if (source.scope() == SaveScope::everything) return save_everything(source);
  if (records_at_save()) return save_step(source);
  for (Change change; source.next(change);) {
    if (!append({&change, 1})) throw StorageError{path_, {}, "a change is too long for a journal's line"};
  }
  flush();
  sync();
}

KVSTORE_INLINE bool JsonJournal::is_intact() {
  lock_->check_still_held();
  const bool cut_short = records_at_save() && !directory_.is_whole(*current_);
  return !cut_short && directory_.has_name(*current_) && directory_.tail_has_name() &&
         base_.serves(steps_ != 0 || compacting_);
}

KVSTORE_INLINE bool JsonJournal::take_over(const LoadRequest& request, LoadSink& sink) {
  static_cast<void>(load_snapshot(request.threads, sink));
  sink.finish();
  return true;
}

KVSTORE_INLINE bool JsonJournal::append(std::span<const Change> step) {
  // A line must stay readable in bounded memory. A longer one is left to a snapshot.
  if (detail::longest_line(step) > detail::kMaxLine) return false;
  add([step](JsonWriter& out) { detail::write_step(out, step); });
  changes_ += step.size();
  revision_ += step.size();
  return true;
}

KVSTORE_INLINE void JsonJournal::append_clear() {
  add([](JsonWriter& out) { out.raw("[]"); });
  ++revision_;
}

KVSTORE_INLINE void JsonJournal::use(detail::LineWindow& window) noexcept {
  window_ = &window;
  window.set_size(window_bytes_);
}

KVSTORE_INLINE void JsonJournal::append_lines(std::string_view lines, std::uint64_t operations) {
  detail::FailureMark mark{failed_};
  current_->add_lines(lines);
  count(operations);
  mark.passed();
}

KVSTORE_INLINE bool JsonJournal::prepare_window() noexcept {
  // In a folder that took the place of ours, nothing is made.
  return current_->prepare_window([this] { return directory_.has_name(*current_); });
}

KVSTORE_INLINE void JsonJournal::flush() {
  detail::FailureMark mark{failed_};
  fail(current_->flush(), "cannot write");
  count(current_->take_operations());
  mark.passed();
}

KVSTORE_INLINE void JsonJournal::sync() {
  if (previous_) sync(*previous_);  // the current journal must not be safer than the one that it follows
  sync(*current_);
  if (window_ != nullptr) current_->vouch(*window_);
  // Once all of it is on disk, it is not needed: some Windows file systems cannot replace an open file.
  if (std::exchange(joined_, false)) previous_.reset();
}

KVSTORE_INLINE std::uint64_t JsonJournal::bytes() const noexcept {
  return current_ ? current_->end() + previous_bytes_ : 0;
}

KVSTORE_INLINE bool JsonJournal::wants_compaction() const noexcept {
  return interrupted_ || bytes() > std::max({compact_from_, base_.bytes(), retry_at_.load()});
}

KVSTORE_INLINE bool JsonJournal::is_worth_compacting(std::uint64_t entries) noexcept {
  const std::uint64_t journals = bytes();
  const std::uint64_t base = base_.bytes();
  const std::uint64_t line = (current_->end() - measured_from_) / std::max<std::uint64_t>(changes_, 1);
  const std::uint64_t live = entries * line;
  const std::uint64_t outdated = base + journals - std::min(base + journals, live);
  if (interrupted_ || outdated >= live / 2 || journals > std::max(long_from_, 2 * base)) return true;
  retry_at_ = journals + std::max(journals / 4, compact_from_);
  return false;
}

KVSTORE_INLINE void JsonJournal::prepare(bool afresh) {
  base_.give_up();
  successor_.reset();
  lock_->check_still_held();
  afresh_ = afresh;
  interrupted_ = false;
  // A name that may not be on disk cannot be relied upon: the snapshot is written once more.
  if (unfinished_ && (afresh || !directory_.is_unsure())) finish();
  if (compacting_ && !afresh) return;  // continues with the journal begun before
  successor_path_ = detail::JournalSet::name(path_, afresh ? ".new" : ".next");
  successor_ = directory_.make(successor_path_);
}

KVSTORE_INLINE void JsonJournal::rotate() {
  covered_ = successor_ ? 0 : steps_.load();
  if (!successor_) return;
  if (afresh_) {  // operations in the tail count as well
    current_->trim();
    count(current_->take_operations());
  }
  JournalHeader header;
  header.id = successor_->id();
  header.revision = afresh_ ? ++revision_ : revision_;  // what replaces all entries is an operation
  if (!afresh_) {
    header.follows = current_->id();
    header.follows_bytes = current_->end();
  }
  successor_->add([&](JsonWriter& out) { detail::write_header(out, header); });
  previous_bytes_ = afresh_ ? 0 : current_->end();
  previous_ = afresh_ ? nullptr : std::move(current_);
  current_ = std::move(successor_);
  if (!afresh_)
    current_->take_tail();  // a journal that failed keeps it: its last lines may stand there alone
  current_path_ = std::move(successor_path_);  // not copied: nothing may throw here
  compacting_ = true;
  joined_ = false;
  failed_ = false;
  steps_ = 0;
  changes_ = 0;
  measured_from_ = 0;
}

KVSTORE_INLINE void JsonJournal::write_base(ChangeSource& everything) {
  lock_->check_still_held();
  if (previous_) previous_->trim();  // the disk may be full, and the snapshot must fit
  base_.write(everything);
}

KVSTORE_INLINE void JsonJournal::join() {
  add([&](JsonWriter& out) { detail::write_base(out, base_.next_id()); }, 0);
  flush();
  joined_ = true;
}

KVSTORE_INLINE void JsonJournal::replace_base() {
  lock_->check_still_held();
  base_.replace();
  unfinished_ = true;
  finish();
  base_.settle();
  steps_ -= covered_;
  retry_at_ = 0;
}

KVSTORE_INLINE void JsonJournal::abandon() noexcept {
  base_.give_up();
  retry_at_ = bytes() + bytes() / 2 + compact_from_;
}

KVSTORE_INLINE void JsonJournal::acquire() {
  if (lock_) return;
  follower_.check_not_dangling();
  detail::check_writable_folder(files_, path_);
  lock_.emplace(files_, path_);
  home_ = {};
  detail::remove_leftover(files_, path_);
}

KVSTORE_INLINE BaseId JsonJournal::load_snapshot(std::size_t threads, LoadSink& sink) {
  BaseId id;
  detail::FileStatus status;
  if (const auto file = detail::open_if_exists(files_, path_)) {
    const auto found = detail::uninterrupted([&] { return file->status(); });
    detail::check_usable(path_, found.error, "cannot look at it");
    status = found.value;
    detail::ChecksummedFile checksummed{*file};
    detail::load_json_snapshot(checksummed, path_, threads, sink);
    id = {true, checksummed.size(), checksummed.crc()};
  }
  base_.remember(status, id);
  return id;
}

KVSTORE_INLINE void JsonJournal::begin(const BaseId& snapshot) {
  directory_.remove_tail();  // before a journal that it may be labelled for
  for (const char* suffix : {".next", ".new"}) directory_.remove(detail::JournalSet::name(path_, suffix));
  current_path_ = detail::JournalSet::name(path_, "");
  current_ = directory_.make(current_path_);
  current_->take_tail();
  JournalHeader header;
  header.id = current_->id();
  header.base = snapshot;
  try {
    current_->add([&](JsonWriter& out) { detail::write_header(out, header); });
    directory_.check(current_->flush(), "cannot write");
    sync(*current_);
  } catch (...) {  // a journal without a header would look like changes that JsonFile cannot read
    current_.reset();
    static_cast<void>(files_.remove(current_path_));
    throw;
  }
}

KVSTORE_INLINE void JsonJournal::go_on(const std::vector<const detail::FoundJournal*>& chain) {
  const detail::FoundJournal& last = *chain.back();
  current_path_ = last.path;
  current_ = directory_.reopen(last);
  measured_from_ = current_->end();
  steps_ = last.steps;
  revision_ = last.header.revision + last.steps;
  if (chain.size() == 2) {
    previous_ = directory_.reopen(*chain.front());
    previous_bytes_ = previous_->end();
    compacting_ = true;  // still to be done
    interrupted_ = true;
    directory_.remove_tail();
    current_->take_tail();
    directory_.remove(detail::JournalSet::name(path_, ".new"));
    return;
  }
  directory_.remove_tail();
  finish();
}

KVSTORE_INLINE void JsonJournal::fail(std::error_code error, const char* what) const {
  if (!error) return;
  throw StorageError{
      detail::JournalSet::name(path_, ""), error,
      std::string{what} + "; nothing is assumed about the journal now, and the next save writes new files"};
}

KVSTORE_INLINE void JsonJournal::sync(detail::JournalFile& journal) {
  detail::FailureMark mark{failed_};
  fail(journal.sync(), "cannot sync");
  mark.passed();
}

KVSTORE_INLINE void JsonJournal::save_everything(ChangeSource& source) {
  try {
    prepare(true);  // the journal does not lead to these entries
    rotate();
    write_base(source);
    join();
    sync();
    replace_base();
  } catch (...) {
    abandon();
    throw;
  }
}

KVSTORE_INLINE void JsonJournal::save_step(ChangeSource& source) {
  Change change;
  if (!source.next(change)) return;  // an empty step would stand for "all removed"
  std::uint64_t changes = 0;
  current_->add([&](JsonWriter& out) {
    const std::size_t begin = out.size();
    for (bool more = true; more; more = source.next(change)) {
      out.raw(changes++ == 0 ? '[' : ',');
      detail::write_change(out, change);
      if (out.size() - begin >= detail::kMaxLine)
        throw detail::TooLongForLine{path_, {}, "the changes are too long for a journal's line"};
    }
    out.raw(']');
  });
  detail::FailureMark mark{failed_};
  ++steps_;
  changes_ += changes;
  revision_ += changes;
  flush();
  sync();
  mark.passed();
}

KVSTORE_INLINE void JsonJournal::finish() {
  directory_.sync();
  auto main = detail::JournalSet::name(path_, "");
  directory_.give_tail(*current_);
  if (current_path_ != main) {
    directory_.check_other(main);
    auto error = files_.rename(current_path_, main);
    // One that was reported as failed may have been made all the same.
    if (error == std::errc::no_such_file_or_directory && directory_.is_at(main, *current_)) error.clear();
    if (!error) current_path_.swap(main);  // before anything can run out of memory: the old name is gone
    directory_.check(error, "cannot rename a journal to " + detail::path_text(main));
  }
  unfinished_ = false;
  compacting_ = false;
  previous_bytes_ = 0;
  for (const char* suffix : {".next", ".new"}) directory_.remove(detail::JournalSet::name(path_, suffix));
  directory_.sync();
}

KVSTORE_INLINE void JsonJournal::tidy() noexcept {
  try {
    lock_->check_still_held();
    if (current_->flush()) return;  // what operations have written themselves
    count(current_->take_operations());
    if (current_->has_tail()) directory_.drop_tail();  // otherwise a journal that failed needs it
    if (previous_) previous_->trim();
    if (base_.state() == detail::FileState::missing) return current_->trim();  // the journal is the evidence
    detail::remove_leftover(files_, path_);  // from a compaction that failed as it began
    if (!compacting_ && !unfinished_ && steps_ == 0) return directory_.remove_own(current_path_, *current_);
    if (current_->synced() == current_->end()) current_->add([](JsonWriter& out) { out.null(); });
    if (current_->flush()) return;
    static_cast<void>(current_->file().truncate(current_->end()));
  } catch (...) {  // the journal is as good as before
  }
}

}}  // namespace kvstore::v1
