// SPDX-License-Identifier: MIT
#pragma once

// Replaces a file in one step: after any crash its name refers to the old contents or the new ones, in full.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Writes `<target>.tmp` and, on `commit`, gives it the target's name, permissions and place.
///
/// The temporary name is fixed, so the caller must be the only writer (see `FileLock`) and `target` must not
/// be a symbolic link (see `resolve`). If the temporary name is already taken, its file stays, and opening
/// fails. Access control lists and extended attributes are not copied. *Thread safety*: none.
class AtomicFile {
 public:
  /// `last`: the permissions and owner to restore if the target is missing by now. @throws StorageError, as
  /// every member; until `commit` has renamed, the target is unchanged.
  AtomicFile(FileSystem& files, std::filesystem::path target, std::size_t block_bytes = kBlockBytes,
             const FileStatus& last = {})
      : files_{files},
        target_{std::move(target)},
        temporary_{temporary_path(target_)},
        folder_{target_.parent_path()},
        block_bytes_{block_bytes},
        block_{std::make_unique_for_overwrite<char[]>(block_bytes)} {
    replaced_ = target_status();
    if (replaced_.kind == FileKind::missing) replaced_ = last;
    open_temporary();
  }

  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Leaves nothing behind unless `commit` was called. If a folder was exchanged, the temporary name may
  /// belong to another program's file by now, which is not removed.
  ~AtomicFile() {
    if (renamed_ || home_.is_foreign_by_id()) return;
    const bool mine = has_temporary_name();
    file_.reset();
    if (mine) static_cast<void>(files_.remove(temporary_));
  }

  [[nodiscard]] static std::filesystem::path temporary_path(std::filesystem::path target) {
    return target += ".tmp";
  }

  void append(std::string_view text) {
    if (text.size() > block_bytes_ - used_ || text.size() >= block_bytes_ / 8) return append_across(text);
    std::memcpy(block_.get() + used_, text.data(), text.size());
    used_ += text.size();
  }

  /// Bytes appended so far.
  [[nodiscard]] std::uint64_t size() const noexcept { return written_ + used_; }

  /// Makes the new contents durable under the target's name. If only the last step fails (syncing the
  /// folder), the target already has them. That is still an error: a power loss may take them back.
  void commit() {
    seal();
    rename();
    sync_folder();
  }

  // The steps of `commit`, for callers that must act between them.

  /// Makes the new contents durable under the temporary name.
  void seal() {
    flush();
    copy_permissions();
    check(uninterrupted([&] { return file_->sync(); }), "sync");
    const auto status = uninterrupted([&] { return file_->status(); });
    check(status.error, "read the status of");
    sealed_ = status.value;
    check(file_->close(), "close");
  }

  /// The new file as `seal` left it, which a rename does not change.
  [[nodiscard]] const FileStatus& sealed() const noexcept { return sealed_; }

  /// Chooses another target in the same folder.
  void aim_at(std::filesystem::path target) noexcept { target_ = std::move(target); }

  void rename() {
    const auto error = files_.rename(temporary_, target_);
    if (error == std::errc::device_or_resource_busy || error == std::errc::cross_device_link) {
      throw StorageError{target_, error,
                         "cannot be replaced, because it is a mount point of its own (a bind-mounted file); "
                         "mount its folder instead"};
    }
    check(error, "rename");
    renamed_ = true;
  }

  void sync_folder() {
    if (const auto error = uninterrupted([&] { return files_.sync_folder(folder_); })) {
      throw StorageError{target_, error,
                         "the new contents are in place, but power loss may undo that: cannot sync folder " +
                             path_text(folder_)};
    }
  }

 private:
  void open_temporary() {
    // The replacement of a private file is private from the start; `commit` copies the exact mode.
    const bool replaces = replaced_.kind != FileKind::missing;
    const std::uint32_t permissions = replaces ? 0600 : kDefaultMode;
    auto opened = open_file(files_, temporary_, OpenMode::exclusive, permissions);
    check(opened.error, "make");
    file_ = std::move(opened.value);
  }

  [[nodiscard]] bool has_temporary_name() {
    const auto named = uninterrupted([&] { return files_.status(temporary_); });
    if (named.error || named.value.kind == FileKind::missing) return false;
    if (sealed_.kind != FileKind::missing)
      return named.value.device == sealed_.device && named.value.inode == sealed_.inode;
    const auto mine = uninterrupted([&] { return file_->status(); });
    return !mine.error && named.value.device == mine.value.device && named.value.inode == mine.value.inode;
  }

  void append_across(std::string_view text) {
    flush();
    if (text.size() >= block_bytes_ / 8) return write(text);  // not worth copying
    std::memcpy(block_.get(), text.data(), text.size());
    used_ = text.size();
  }

  void flush() {
    write({block_.get(), used_});
    used_ = 0;
  }

  void write(std::string_view text) {
    check(write_all(*file_, written_, text), "write");
    written_ += text.size();
  }

  FileStatus target_status() {
    const auto status = uninterrupted([&] { return files_.status(target_); });
    if (status.error) throw StorageError{target_, status.error, "cannot read the file's permissions"};
    return status.value;
  }

  void copy_permissions() {
    if (const auto now = target_status(); now.kind != FileKind::missing) replaced_ = now;
    if (replaced_.kind == FileKind::missing) return;
    const auto mine = uninterrupted([&] { return file_->status(); });
    check(mine.error, "read the status of");
    std::uint32_t mode = replaced_.mode;
    if (!give_to_owner(mine.value)) {
      // The file kept our own group. The group gets the rights of all others, so that it does not inherit
      // those of another group.
      mode = (mode & 0707U) | ((mode & 07U) << 3U);
    }
    if (mode == mine.value.mode) return;
    check(uninterrupted([&] { return file_->set_mode(mode); }), "set the permissions of");
  }

  /// False if the file could not even be given the old file's group.
  bool give_to_owner(const FileStatus& mine) {
    const bool same_group = mine.group == replaced_.group;
    if (same_group && mine.owner == replaced_.owner) return true;
    if (!uninterrupted([&] { return file_->set_owner(replaced_.owner, replaced_.group); })) return true;
    if (same_group) return true;  // only root may give a file away; that is no reason not to save
    return !uninterrupted([&] { return file_->set_owner(mine.owner, replaced_.group); });
  }

  void check(std::error_code error, std::string_view call) const {
    if (!error) return;
    const bool full = error == std::errc::no_space_on_device;
    throw StorageError{target_, error,
                       "not saved, and the previous file is intact" +
                           std::string{full ? "; the disk is full" : ""} + ": cannot " + std::string{call} +
                           " " + path_text(temporary_)};
  }

  FileSystem& files_;
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  std::filesystem::path folder_;  // made at the start: once the file is renamed, no step may allocate
  std::unique_ptr<File> file_;
  FileStatus replaced_;
  FileStatus sealed_;
  std::size_t block_bytes_;
  std::unique_ptr<char[]> block_;
  std::size_t used_ = 0;
  std::uint64_t written_ = 0;
  bool renamed_ = false;
  ForkGuard home_;
};

}}}  // namespace kvstore::v1::detail
