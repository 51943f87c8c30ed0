// SPDX-License-Identifier: MIT
#pragma once

// The definitions of json_file.hpp.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/checksummed_file.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/followed_path.hpp"
#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/detail/file/set_aside.hpp"
#include "kvstore/detail/json_file/load_and_write.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/json_file.hpp"

namespace kvstore { inline namespace v1 {

KVSTORE_INLINE JsonFile::JsonFile(const std::filesystem::path& path, detail::FileSystem& files,
                                  std::size_t block_bytes)
    : files_{files}, path_{files, path}, block_bytes_{block_bytes} {}

KVSTORE_INLINE void JsonFile::load(const LoadRequest& request, LoadSink& sink) {
  if (!lock_) path_.follow_links();
  if (request.purpose == LoadPurpose::exclusive) return load_exclusive(request, sink);
  check_no_journal();
  std::shared_ptr<detail::File> file = detail::open_if_exists(files_, path());
  if (!file) {
    sink.missing(path(), request);
    seen_ = {};
    return sink.finish();
  }
  const detail::FileStatus status = status_of(*file);
  detail::load_json_snapshot(*file, path(), request.threads, sink, block_bytes_);
  if (!lock_) seen_ = {std::move(file), status};
}

KVSTORE_INLINE bool JsonFile::load_changes(LoadSink&) {
  if (!lock_ && path_.follow_links()) return false;
  check_no_journal();
  const auto status = detail::uninterrupted([&] { return files_.status(path()); });
  return !status.error && status.value == seen_.status();
}

KVSTORE_INLINE void JsonFile::save(ChangeSource& source) {
  acquire();
  lock_->check_still_held();
  if (!known_.is_known()) know_what_is_there();
  detail::remove_leftover(files_, path());
  detail::AtomicFile file{files_, path(), block_bytes_, rights_};
  const std::uint32_t crc = detail::write_json_snapshot(file, source);
  file.seal();
  const auto state = known_.compare(files_, path());
  lock_->check_still_held();
  if (state == detail::FileState::changed) aside_->put(file, crc);
  known_.expect(file.sealed(), crc);
  rights_ = file.rights();
  file.rename();
  known_.remember(file.sealed(), crc);
  file.sync_folder();
  aside_->drop();
}

KVSTORE_INLINE bool JsonFile::is_intact() {
  return known_.compare(files_, path()) != detail::FileState::missing;
}

KVSTORE_INLINE bool JsonFile::take_over(const LoadRequest& request, LoadSink& sink) {
  load_exclusive(request, sink);
  return true;
}

KVSTORE_INLINE void JsonFile::check_leftover(const std::filesystem::path& file) {
  detail::check_leftover(detail::system_file_system(), file);
}

KVSTORE_INLINE void JsonFile::load_exclusive(const LoadRequest& request, LoadSink& sink) {
  acquire();
  const auto file = detail::open_if_exists(files_, path());
  if (!file) {
    sink.missing(path(), request);
    sink.finish();
    return known_.remember({});
  }
  const detail::FileStatus status = status_of(*file);
  detail::ChecksummedFile checksummed{*file};
  detail::load_json_snapshot(checksummed, path(), request.threads, sink, block_bytes_);
  known_.remember(status, checksummed.crc());
}

KVSTORE_INLINE detail::FileStatus JsonFile::status_of(detail::File& file) const {
  const auto status = detail::uninterrupted([&] { return file.status(); });
  detail::check_usable(path(), status.error, "cannot look at it");
  return status.value;
}

KVSTORE_INLINE void JsonFile::know_what_is_there() {
  const auto status = detail::uninterrupted([&] { return files_.status(path()); });
  detail::check_usable(path(), status.error, "cannot look at it");
  known_.remember(status.value);
}

KVSTORE_INLINE void JsonFile::acquire() {
  if (lock_) return;
  path_.check_not_dangling();
  detail::check_writable_folder(files_, path());
  rights_ = detail::rights_to_make(files_, path(), like_);
  lock_.emplace(files_, path());
  aside_.emplace(files_, path());
  try {
    check_no_journal();
    detail::remove_leftover(files_, path());
    settle_name();
  } catch (...) {
    lock_.reset();
    throw;
  }
}

KVSTORE_INLINE void JsonFile::settle_name() {
  const auto error = detail::uninterrupted([&] { return files_.sync_folder(path().parent_path()); });
  if (error) throw StorageError{path(), error, "cannot sync its folder"};
}

KVSTORE_INLINE void JsonFile::check_no_journal() const {
  for (const char* suffix : {".journal", ".journal.next", ".journal.new", ".journal.tail"}) {
    auto name = path();
    name += suffix;
    const auto status = detail::uninterrupted([&] { return files_.status(name); });
    if (status.error == std::errc::filename_too_long) continue;  // so it does not exist
    if (status.error)
      throw StorageError{path(), status.error, "cannot look for a journal, " + detail::path_text(name)};
    if (status.value.kind == detail::FileKind::missing) continue;
    throw StorageError{
        path(),
        {},
        "has changes in " + detail::path_text(name) +
            ", which JsonFile does not read; open it with JsonJournal; to have the JSON file only, run "
            "`kvctl compact FILE` on it, or let that store call compact() and then close()"};
  }
}

}}  // namespace kvstore::v1
