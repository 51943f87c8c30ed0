// SPDX-License-Identifier: MIT
#pragma once

// The definitions of directory.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/base/random_bits.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/detail/file/side_file.hpp"
#include "kvstore/detail/journal/directory.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void JournalDirectory::check_held(const JournalSet& found) const {
  for (const FoundJournal* journal : {&found.main, &found.next, &found.fresh}) {
    if (!journal->file) continue;
    const auto error = uninterrupted([&] { return journal->file->check_no_writer(); });
    if (error == std::errc::operation_would_block) throw_written(journal->path);
  }
}

KVSTORE_INLINE std::shared_ptr<JournalFile> JournalDirectory::make(const std::filesystem::path& name) const {
  const FileRights rights = side_rights(rights_to_make(files_, path_, like_));
  remove(name);
  auto opened = make_file(files_, name, rights);
  check(opened.error, "cannot make " + path_text(name));
  try {
    sync();
  } catch (...) {
    static_cast<void>(files_.remove(name));  // an empty one would look like changes that JsonFile cannot read
    throw;
  }
  take_lock(*opened.value, name);
  tail_->renew_rights();
  return std::make_shared<JournalFile>(std::move(opened.value), random_id(), 0, 0, space_, tail_);
}

KVSTORE_INLINE std::shared_ptr<JournalFile> JournalDirectory::reopen(const FoundJournal& found) const {
  auto opened = open_file(files_, found.path, OpenMode::update);
  check(opened.error, "cannot open for writing");
  auto file = std::move(opened.value);
  take_lock(*file, found.path);
  check_same(*file, found);
  narrow(*file);
  for (const StagedLines& lines : found.staged)
    check(write_all(*file, lines.from, lines.text), "cannot write lines from its tail");
  if (found.torn_bytes != 0)
    check(uninterrupted([&] { return file->truncate(found.end); }), "cannot drop the torn end");
  rewrite(*file, found.vouched, found.end);
  // Lines left by a killed process may not be on disk yet. Until they are, nothing that relies on them may
  // be added.
  check(uninterrupted([&] { return file->sync(); }), "cannot sync");
  auto tail = found.header.may_have_tail() ? tail_ : nullptr;
  return std::make_shared<JournalFile>(std::move(file), found.header.id, found.end, found.end, space_,
                                       std::move(tail));
}

KVSTORE_INLINE void JournalDirectory::check_same(File& journal, const FoundJournal& found) const {
  const auto now = uninterrupted([&] { return journal.status(); });
  check(now.error, "cannot look at it");
  if (now.value.inode == found.seen.inode && now.value.device == found.seen.device &&
      now.value.size == found.seen.size)
    return;
  throw StorageError{found.path, std::make_error_code(std::errc::device_or_resource_busy),
                     "was exchanged or written while it was opened, and was left alone; try again"};
}

KVSTORE_INLINE void JournalDirectory::narrow(File& journal) const {
  const auto base = rights_of(files_, path_);
  // Only the owner may; a store that others may share goes on as before.
  if (!base.error && base.value.known) static_cast<void>(give_rights(journal, side_rights(base.value)));
}

KVSTORE_INLINE bool JournalDirectory::is_whole(JournalFile& journal) const {
  const auto mine = uninterrupted([&] { return journal.file().identity(); });
  check(mine.error, "cannot look at it");
  return mine.value.size >= journal.end();
}

KVSTORE_INLINE bool JournalDirectory::has_name(JournalFile& journal) const {
  for (const char* suffix : {"", ".next", ".new", ""}) {
    if (is_at(JournalSet::name(path_, suffix), journal)) return true;
  }
  return false;
}

KVSTORE_INLINE bool JournalDirectory::is_at(const std::filesystem::path& name, JournalFile& journal) const {
  const auto mine = uninterrupted([&] { return journal.file().identity(); });
  check(mine.error, "cannot look at it");
  const auto named = uninterrupted([&] { return files_.identity(name); });
  if (named.error || named.value.inode != mine.value.inode) return false;
  // Windows may not report the volume of a file that was renamed while it was open.
  return named.value.device == mine.value.device || mine.value.device == 0;
}

KVSTORE_INLINE void JournalDirectory::remove_tail() const {
  if (remove_found_tail()) sync();
}

KVSTORE_INLINE void JournalDirectory::drop_tail(std::string_view but_of) const {
  const auto lock = tail_->hold();
  if (!tail_->may_exist() || tail_->is_for(but_of)) return;
  const bool is_ours = tail_->has_name() || is_copy(tail_->label());
  tail_->unmap();
  if (is_ours) {
    remove_found_tail();
    sync();  // even if there was none: a removal that was reported as failed may have been made all the same
  }
  tail_->forget();
}

KVSTORE_INLINE bool JournalDirectory::is_copy(std::optional<std::uint64_t> label) const {
  const auto file = label ? open_tail(files_, path_) : nullptr;
  if (!file) return false;
  const TailHead head = read_tail_head(*file, TailFile::path_for(path_));
  return head.kind == TailHead::Kind::labelled && number_of_id(head.id) == label;
}

KVSTORE_INLINE void JournalDirectory::give_tail(JournalFile& journal) const {
  drop_tail(journal.has_tail() ? std::string_view{journal.id()} : std::string_view{});
  journal.take_tail();
}

KVSTORE_INLINE bool JournalDirectory::remove_found_tail() const {
  const auto name = TailFile::path_for(path_);
  auto file = open_tail(files_, path_);
  if (!file && !unsure_) return false;
  if (file && read_tail_head(*file, name).kind == TailHead::Kind::other)
    throw StorageError{name, {}, kNotOurs};
  file.reset();
  remove_name(name);
  return true;
}

KVSTORE_INLINE void JournalDirectory::remove_own(const std::filesystem::path& name,
                                                 JournalFile& journal) const {
  if (is_at(name, journal)) remove(name);
}

KVSTORE_INLINE void JournalDirectory::check_other(const std::filesystem::path& name) const {
  const auto link = uninterrupted([&] { return files_.read_link(name); });
  if (link.error == std::errc::no_such_file_or_directory) return;
  if (!link.error) throw StorageError{name, {}, kNotOurs};
  const auto file = open_side_file(files_, path_, name);
  if (!file) return;
  if (!is_journal(*file, name) && !is_torn_start(*file, name)) throw StorageError{name, {}, kNotOurs};
}

KVSTORE_INLINE void JournalDirectory::remove(const std::filesystem::path& name) const {
  check_other(name);
  remove_name(name);
}

KVSTORE_INLINE void JournalDirectory::remove_name(const std::filesystem::path& name) const {
  auto error = uninterrupted([&] { return files_.remove(name); });
  if (error == std::errc::no_such_file_or_directory) {
    if (!unsure_) return;
    const auto made = open_file(files_, name, OpenMode::exclusive);  // it may still be on the disk
    check(made.error, "cannot make " + path_text(name));
    error = uninterrupted([&] { return files_.remove(name); });
  }
  check(error, "cannot remove " + path_text(name));
}

KVSTORE_INLINE void JournalDirectory::sync() const {
  const auto error = uninterrupted([&] { return files_.sync_folder(path_.parent_path()); });
  unsure_ = unsure_ || error;
  check(error, "cannot sync its folder");
}

KVSTORE_INLINE void JournalDirectory::check(std::error_code error, const std::string& what) const {
  if (error) throw StorageError{JournalSet::name(path_, ""), error, what};
}

KVSTORE_INLINE bool JournalDirectory::is_journal(File& file, const std::filesystem::path& name) {
  FoundJournal found;
  found.path = name;
  JournalSurvey survey{found};
  try {
    JournalReader reader{file, name};
    std::string key;
    if (std::string_view body; reader.next(body)) read_body(body, survey, key);
  } catch (const CorruptionError&) { return false; } catch (const ParseError&) {
    return false;
  }
  return found.counts;
}

KVSTORE_INLINE void JournalDirectory::take_lock(File& journal, const std::filesystem::path& name) const {
  const auto error = uninterrupted([&] { return journal.try_lock_to_write(); });
  if (error == std::errc::operation_would_block) throw_written(name);
}

KVSTORE_INLINE void JournalDirectory::throw_written(const std::filesystem::path& name) const {
  throw LockedError{
      path_, "by a store whose lock file was removed, and which still adds to " + path_text(name.filename())};
}

KVSTORE_INLINE void JournalDirectory::rewrite(File& file, std::uint64_t from, std::uint64_t to) const {
  std::vector<char> block(static_cast<std::size_t>(std::min<std::uint64_t>(to - from, kBlockBytes)));
  while (from < to) {
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(to - from, block.size()));
    const auto got = read_full(file, from, {block.data(), bytes});
    check(got.error, "cannot read");
    if (got.value != bytes) throw StorageError{path_, {}, "its journal became shorter while it was opened"};
    check(write_all(file, from, {block.data(), bytes}), "cannot write");
    from += bytes;
  }
}

KVSTORE_INLINE std::string JournalDirectory::random_id() {
  const std::uint64_t bits = random_bits();
  const auto high = crc_digits(static_cast<std::uint32_t>(bits >> 32U));
  const auto low = crc_digits(static_cast<std::uint32_t>(bits));
  return std::string{high.data(), high.size()}.append(low.data(), low.size());
}

}}}  // namespace kvstore::v1::detail
