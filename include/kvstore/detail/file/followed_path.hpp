// SPDX-License-Identifier: MIT
#pragma once

// The path of a store as its user gave it, and the file that it refers to now. A reader follows the path
// again each time, since publishers of files switch links. An owner keeps the file that it has locked.

#include <filesystem>
#include <memory>
#include <utility>

#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/side_file.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: none.
class FollowedPath {
 public:
  /// `files` outlives it. @throws StorageError, as `usable_path`
  FollowedPath(FileSystem& files, const std::filesystem::path& path)
      : files_{files}, target_{usable_path(files, path)}, given_{absolute(path)} {}

  /// The file that the path referred to when it was last followed, without links.
  [[nodiscard]] const std::filesystem::path& target() const noexcept { return target_; }

  /// Refuses a link to a file that does not exist. @throws StorageError
  void check_not_dangling() const { detail::check_not_dangling(files_, given_, target_); }

  /// Follows the links again. @returns whether they lead elsewhere now. @throws StorageError, as
  /// `usable_path`
  bool follow_links() {
    auto target = usable_path(files_, given_);
    if (target == target_) return false;
    target_ = std::move(target);
    return true;
  }

 private:
  /// Absolute, so that a relative path keeps its meaning when the process changes its folder.
  [[nodiscard]] std::filesystem::path absolute(const std::filesystem::path& path) const {
    if (path.is_absolute()) return path;
    auto folder = files_.current_folder();
    check_usable(path, folder.error, "cannot ask for the current folder");
    return folder.value / path;
  }

  FileSystem& files_;
  std::filesystem::path target_;
  std::filesystem::path given_;
};

/// The file that a reader has read, kept open. While it is open, no other file can get its inode and be
/// mistaken for it.
class SeenFile {
 public:
  /// Nothing was seen, or nothing was there.
  SeenFile() = default;
  /// `status` is that of `file` before it was read.
  SeenFile(std::shared_ptr<File> file, const FileStatus& status) : status_{status} {
    // Windows never gives a file's number to another, and some of its file systems cannot replace an open
    // file.
#ifndef _WIN32
    file_ = std::move(file);
#else
    static_cast<void>(file);
#endif
  }

  [[nodiscard]] bool exists() const noexcept { return status_.kind != FileKind::missing; }
  [[nodiscard]] const FileStatus& status() const noexcept { return status_; }

 private:
  std::shared_ptr<File> file_;
  FileStatus status_;
};

}}}  // namespace kvstore::v1::detail
