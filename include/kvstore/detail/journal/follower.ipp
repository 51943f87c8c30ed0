// SPDX-License-Identifier: MIT
#pragma once

// The definitions of follower.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/checksummed_file.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/followed_path.hpp"
#include "kvstore/detail/file/side_file.hpp"
#include "kvstore/detail/journal/follower.hpp"
#include "kvstore/detail/journal/overlay.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/journal/stretch.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/detail/json/object_cursor.hpp"
#include "kvstore/detail/json_file/entry_reader.hpp"
#include "kvstore/detail/json_file/load_and_write.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void JournalFollower::check_not_dangling() const {
  for (const char* suffix : {"", ".next", ".new"}) {
    const auto name = JournalSet::name(path(), suffix);
    const auto found = uninterrupted([&] { return files_.status(name); });
    if (!found.error && found.value.kind != FileKind::missing) return;
  }
  path_.check_not_dangling();
}

KVSTORE_INLINE bool JournalFollower::follow_links() {
  if (!path_.follow_links()) return false;
  following_.reset();
  return true;
}

KVSTORE_INLINE void JournalFollower::load(const LoadRequest& request, LoadSink& sink) {
  following_.reset();
  View view = open({request.threads});
  if (view.is_missing()) sink.missing(path(), request);
  const auto chain = view.journals.chain(view.id);
  if (request.purpose == LoadPurpose::copy) return copy(view, chain, sink);
  load_snapshot(view, request.threads, sink);
  std::uint64_t end = 0;
  for (const FoundJournal* journal : chain) end = replay_journal(*journal, sink, {request.threads});
  if (!chain.empty())
    following_ = Following{chain.back()->file, chain.back()->path, chain.back()->header.id,
                           chain.back()->header.may_have_tail(), end};
}

KVSTORE_INLINE bool JournalFollower::load_changes(LoadSink& sink) {
  if (!following_) return is_unchanged();
  if (seen_.exists() && is_at(nullptr, path())) return false;
  while (true) {
    const bool current = is_last(*following_);  // checked first: later lines belong to a later call
    const std::uint64_t before = following_->end;
    retrying(bytes_from(*following_->file, before), [&] { read_on(sink); });
    if (following_->end != before && !same_version()) return false;
    // A writer whose journal failed may have replaced it meanwhile, and the tail with its last lines.
    if (current && is_last(*following_)) return !has_rival();
    if (following_->end != before) continue;
    const Successor successor = go_to_successor();
    if (successor != Successor::followed) return successor == Successor::unwritten;
  }
}

KVSTORE_INLINE bool JournalFollower::has_rival() {
  const auto fresh = JournalSet::name(path(), ".new");
  return !is_at(nullptr, fresh) && !is_at(following_->file.get(), fresh);
}

KVSTORE_INLINE bool JournalFollower::View::is_missing() const noexcept {
  return !snapshot && !journals.main.file && !journals.next.file && !journals.fresh.file;
}

KVSTORE_INLINE auto JournalFollower::open(const JournalThreads& threads) -> View {
  return retrying(bytes(), [&] {
    View view = open_together();
    if (view.snapshot) identify(view);
    view.journals.survey(threads);
    static_cast<void>(view.journals.chain(view.id));
    view.journals.check_tail();
    return view;
  });
}

KVSTORE_INLINE std::uint64_t JournalFollower::bytes() const {
  std::uint64_t sum = uninterrupted([&] { return files_.status(path()); }).value.size;
  for (const char* suffix : {"", ".next", ".new"}) {
    sum += uninterrupted([&] { return files_.status(JournalSet::name(path(), suffix)); }).value.size;
  }
  return sum;
}

KVSTORE_INLINE std::uint64_t JournalFollower::bytes_from(File& file, std::uint64_t offset) {
  const auto found = uninterrupted([&] { return file.status(); });
  return found.value.size - std::min(found.value.size, offset);
}

KVSTORE_INLINE auto JournalFollower::open_together() -> View {
  for (std::uint64_t attempt = 1; attempt <= kAttempts; ++attempt) {
    auto snapshot = open_if_exists(files_, path());
    View view{std::move(snapshot), {}, JournalSet{files_, path()}, {}};
    if (view.snapshot) view.status = status_of(*view.snapshot);
    if (has_names(view)) return view;
    std::this_thread::sleep_for(kPause);
  }
  throw StorageError{path(), {}, "is replaced faster than it can be opened; try again"};
}

KVSTORE_INLINE bool JournalFollower::has_names(const View& view) {
  if (!is_at(view.snapshot.get(), path())) return false;
  for (const FoundJournal* found : {&view.journals.main, &view.journals.next, &view.journals.fresh}) {
    if (!is_at(found->file.get(), found->path)) return false;
  }
  return true;
}

KVSTORE_INLINE bool JournalFollower::is_at(File* file, const std::filesystem::path& name) {
  const auto named = uninterrupted([&] { return files_.status(name); });
  if (named.error) throw StorageError{path(), named.error, "cannot look at " + path_text(name)};
  if (file == nullptr) return named.value.kind == FileKind::missing;
  const FileStatus mine = status_of(*file);
  return mine.inode == named.value.inode && mine.device == named.value.device;
}

KVSTORE_INLINE FileStatus JournalFollower::status_of(File& file) const {
  const auto status = uninterrupted([&] { return file.status(); });
  if (status.error) throw StorageError{path(), status.error, "cannot look at it"};
  return status.value;
}

KVSTORE_INLINE void JournalFollower::identify(View& view) {
  ChecksummedFile checksummed{*view.snapshot};
  std::vector<char> block(kBlockBytes);
  while (true) {
    const auto got = read_full(checksummed, checksummed.size(), block);
    if (got.error) throw StorageError{view.journals.main.path, got.error, "cannot read its snapshot"};
    if (got.value == 0) break;
  }
  view.id = {true, checksummed.size(), checksummed.crc()};
}

KVSTORE_INLINE void JournalFollower::load_snapshot(View& view, std::size_t threads, LoadSink& sink) {
  if (view.snapshot) load_json_snapshot(*view.snapshot, path(), threads, sink);
  sink.finish();
  seen_ = {view.snapshot, view.status};
  version_ = view.snapshot ? version_of(*view.snapshot) : 0;
}

KVSTORE_INLINE void JournalFollower::copy(View& view, const std::vector<const FoundJournal*>& chain,
                                          LoadSink& sink) {
  JournalOverlay overlay;
  for (const FoundJournal* journal : chain) replay_journal(*journal, overlay);
  OverlaidSink overlaid{sink, overlay};
  if (view.snapshot) return load_json_snapshot(*view.snapshot, path(), 1, overlaid);
  overlaid.finish();
}

KVSTORE_INLINE void JournalFollower::read_on(LoadSink& sink) {
  JournalReplay replay{sink, following_->end != 0};
  JournalReader reader{*following_->file, following_->path, following_->end, JournalEnd::growing,
                       kFirstBlock};
  const auto tail = TailFile::path_for(path());
  const auto file = following_->may_have_tail ? open_tail(files_, path()) : nullptr;
  if (file) reader.use_tail(*file, tail, following_->id);
  following_->end = read_journal(std::move(reader), replay).end();
}

KVSTORE_INLINE bool JournalFollower::is_last(const Following& following) {
  const auto next = JournalSet::name(path(), ".next");
  return is_at(following.file.get(), next) ||
         (is_at(following.file.get(), JournalSet::name(path(), "")) && is_at(nullptr, next));
}

KVSTORE_INLINE bool JournalFollower::is_unchanged() {
  const auto named = uninterrupted([&] { return files_.status(path()); });
  return !named.error && named.value == seen_.status() && is_at(nullptr, JournalSet::name(path(), ""));
}

KVSTORE_INLINE auto JournalFollower::go_to_successor() -> Successor {
  Successor otherwise = Successor::unknown;
  for (const char* suffix : {".next", ""}) {
    const auto name = JournalSet::name(path(), suffix);
    const std::shared_ptr<File> file = open_side_file(files_, path(), name);
    FoundJournal found = retrying(file ? bytes_from(*file, 0) : 0, [&] {
      FoundJournal attempt;  // a new one each time: an attempt may fail behind the header
      attempt.path = name;
      attempt.file = file;
      survey_journal(attempt);
      return attempt;
    });
    // A journal has lines before its base file replaces the old one, so until then the old journal is
    // complete.
    const bool begun = found.file && !found.counts && found.end == 0;
    if (begun && is_at(following_->file.get(), JournalSet::name(path(), "")))
      otherwise = Successor::unwritten;
    if (!found.counts || found.header.follows != following_->id) continue;
    if (found.header.follows_bytes != following_->end) return Successor::unknown;
    following_ =
        Following{std::move(found.file), found.path, found.header.id, found.header.may_have_tail(), 0};
    return Successor::followed;
  }
  return otherwise;
}

KVSTORE_INLINE bool JournalFollower::same_version() {
  std::shared_ptr<File> file = open_if_exists(files_, path());
  if (!file) return !seen_.exists();
  const FileStatus status = status_of(*file);
  const bool same = status.inode == seen_.status().inode && status.device == seen_.status().device;
  if (!same && version_of(*file) != version_) return false;
  seen_ = {std::move(file), status};
  return true;
}

KVSTORE_INLINE std::uint32_t JournalFollower::version_of(File& file) const {
  JsonEntryReader reader{file, path()};
  JsonEntry entry;
  return reader.next(entry) && entry.key == kSchemaVersionKey ? read_schema_version(entry) : 0;
}

}}}  // namespace kvstore::v1::detail
