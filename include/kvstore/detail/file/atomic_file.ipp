// SPDX-License-Identifier: MIT
#pragma once

// The definitions of atomic_file.hpp.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE AtomicFile::AtomicFile(FileSystem& files, std::filesystem::path target,
                                      std::size_t block_bytes, const FileRights& last)
    : files_{files},
      target_{std::move(target)},
      temporary_{temporary_path(target_)},
      folder_{target_.parent_path()},
      block_bytes_{block_bytes},
      block_{std::make_unique_for_overwrite<char[]>(block_bytes)} {
  rights_ = target_rights();
  if (!rights_.known) rights_ = last;
  open_temporary();
}

KVSTORE_INLINE AtomicFile::~AtomicFile() {
  if (renamed_ || home_.is_foreign_by_id()) return;
  const bool mine = has_temporary_name();
  file_.reset();
  if (mine) static_cast<void>(files_.remove(temporary_));
}

KVSTORE_INLINE std::filesystem::path AtomicFile::temporary_path(std::filesystem::path target) {
  return target += ".tmp";
}

KVSTORE_INLINE void AtomicFile::append(std::string_view text) {
  if (text.size() > block_bytes_ - used_ || text.size() >= block_bytes_ / 8) return append_across(text);
  std::copy_n(text.data(), text.size(), block_.get() + used_);  // it may be empty
  used_ += text.size();
}

KVSTORE_INLINE void AtomicFile::commit() {
  seal();
  rename();
  sync_folder();
}

KVSTORE_INLINE void AtomicFile::seal() {
  flush();
  copy_rights();
  check(uninterrupted([&] { return file_->sync(); }), "sync");
  const auto status = uninterrupted([&] { return file_->status(); });
  check(status.error, "read the status of");
  sealed_ = status.value;
  check(file_->close(), "close");
}

KVSTORE_INLINE void AtomicFile::rename() {
  const auto error = files_.rename(temporary_, target_);
  if (error == std::errc::device_or_resource_busy || error == std::errc::cross_device_link) {
    throw StorageError{target_, error,
                       "cannot be replaced, because it is a mount point of its own (a bind-mounted file); "
                       "mount its folder instead"};
  }
  check(error, "rename");
  renamed_ = true;
}

KVSTORE_INLINE void AtomicFile::sync_folder() {
  if (const auto error = uninterrupted([&] { return files_.sync_folder(folder_); })) {
    throw StorageError{target_, error,
                       "the new contents are in place, but power loss may undo that: cannot sync folder " +
                           path_text(folder_)};
  }
}

KVSTORE_INLINE void AtomicFile::open_temporary() {
  auto opened = make_file(files_, temporary_, rights_);
  check(opened.error, "make");
  file_ = std::move(opened.value);
}

KVSTORE_INLINE bool AtomicFile::has_temporary_name() {
  const auto named = uninterrupted([&] { return files_.status(temporary_); });
  if (named.error || named.value.kind == FileKind::missing) return false;
  if (sealed_.kind != FileKind::missing)
    return named.value.device == sealed_.device && named.value.inode == sealed_.inode;
  const auto mine = uninterrupted([&] { return file_->status(); });
  return !mine.error && named.value.device == mine.value.device && named.value.inode == mine.value.inode;
}

KVSTORE_INLINE void AtomicFile::append_across(std::string_view text) {
  flush();
  if (text.size() >= block_bytes_ / 8) return write(text);  // not worth copying
  std::copy_n(text.data(), text.size(), block_.get());
  used_ = text.size();
}

KVSTORE_INLINE void AtomicFile::flush() {
  write({block_.get(), used_});
  used_ = 0;
}

KVSTORE_INLINE void AtomicFile::write(std::string_view text) {
  check(write_all(*file_, written_, text), "write");
  written_ += text.size();
}

KVSTORE_INLINE FileRights AtomicFile::target_rights() {
  auto rights = rights_of(files_, target_);
  if (rights.error) throw StorageError{target_, rights.error, "cannot read the file's permissions"};
  return std::move(rights.value);
}

KVSTORE_INLINE void AtomicFile::copy_rights() {
  auto now = target_rights();
  if (!now.known || now == rights_) return;
  rights_ = std::move(now);
  check(give_rights(*file_, rights_), "set the permissions of");
}

KVSTORE_INLINE void AtomicFile::check(std::error_code error, std::string_view call) const {
  if (!error) return;
  const bool full = error == std::errc::no_space_on_device;
  throw StorageError{target_, error,
                     "not saved, and the previous file is intact" +
                         std::string{full ? "; the disk is full" : ""} + ": cannot " + std::string{call} +
                         " " + path_text(temporary_)};
}

}}}  // namespace kvstore::v1::detail
