// SPDX-License-Identifier: MIT
#pragma once

// The definitions of data_path.hpp.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void check_usable(const std::filesystem::path& path, std::error_code error,
                                 const std::string& what) {
  if (error) throw StorageError{path, error, what};
}

KVSTORE_INLINE FileStatus status_of_name(FileSystem& files, const std::filesystem::path& path,
                                         const std::filesystem::path& name) {
  const auto status = uninterrupted([&] { return files.status(name); });
  check_usable(path, status.error, "cannot look at " + path_text(name));
  return status.value;
}

KVSTORE_INLINE void check_kind(const std::filesystem::path& path, FileKind kind) {
  if (kind == FileKind::folder) {
    check_usable(path, std::make_error_code(std::errc::is_a_directory), "name a file, not a folder");
  }
  if (kind == FileKind::other) {
    throw StorageError{path,
                       {},
                       "is neither a regular file nor missing, but a pipe, a socket or a device; copy what "
                       "it gives into a file, and name that"};
  }
}

KVSTORE_INLINE void check_folder(FileSystem& files, const std::filesystem::path& path,
                                 const std::filesystem::path& folder) {
  if (status_of_name(files, path, folder).kind == FileKind::missing) {
    const auto missing = std::make_error_code(std::errc::no_such_file_or_directory);
    check_usable(path, missing, "make folder " + path_text(folder) + " first");
  }
}

KVSTORE_INLINE bool is_strangers(FileSystem& files, const std::filesystem::path& path,
                                 const FileStatus& found) {
  if (found.owner == files.user_id()) return false;
  constexpr std::uint32_t kSticky = 01000;
  const auto parent = path.parent_path();
  const FileStatus folder = status_of_name(files, path, parent.empty() ? "." : parent);
  return (folder.mode & kSticky) != 0 && found.owner != folder.owner;
}

KVSTORE_INLINE void throw_strangers(const std::filesystem::path& name, const FileStatus& found) {
  throw StorageError{name,
                     {},
                     "belongs to another user, number " + std::to_string(found.owner) +
                         ", in a folder where everyone may make files; it was not touched: remove it if the "
                         "store is yours, and keep the store in a folder of its own"};
}

KVSTORE_INLINE void check_writable_folder(FileSystem& files, const std::filesystem::path& path) {
  const FileStatus own = status_of_name(files, path, path);
  if (own.kind != FileKind::missing && is_strangers(files, path, own)) throw_strangers(path, own);
  check_usable(
      path, uninterrupted([&] { return files.check_writable_file(path); }),
      "may not be written by this user: give the user the permission (chmod), or open the store with "
      "Options::read_only");
  const auto folder = path.parent_path();
  check_usable(path, uninterrupted([&] { return files.check_writable(folder); }),
               "saving makes files in folder " + path_text(folder) +
                   ", which is not writable (chmod it, or open the store with Options::read_only)");
  check_usable(path, uninterrupted([&] { return files.check_syncable(folder); }),
               "saving syncs folder " + path_text(folder) +
                   ", which must be readable for that: give this user the permission to read it");
}

KVSTORE_INLINE void check_side_name(FileSystem& files, const std::filesystem::path& path,
                                    const std::filesystem::path& target) {
  const std::string name = path_text(target.filename());
  for (const std::string_view suffix : kSideSuffixes) {
    if (name.size() <= suffix.size() || !name.ends_with(suffix)) continue;
    const auto& text = target.native();  // the suffix is ASCII and has as many units here
    const std::filesystem::path owner{text.substr(0, text.size() - suffix.size())};
    auto lock = owner;
    lock += ".lock";
    auto journal = owner;  // a store has nothing else before its first compaction
    journal += ".journal";
    for (const auto& sign : {owner, lock, journal}) {
      if (sign == target) continue;
      if (status_of_name(files, path, sign).kind != FileKind::regular) continue;
      throw StorageError{
          path,
          {},
          "has a name that the store " + path_text(owner) + " keeps for its own files; name another file"};
    }
  }
}

KVSTORE_INLINE std::filesystem::path usable_path(FileSystem& files, const std::filesystem::path& path) {
  if (path.empty()) throw StorageError{path, {}, "an empty path names no file"};
  if (path.native().find(std::filesystem::path::value_type{}) != std::filesystem::path::string_type::npos)
    throw StorageError{path, {}, "a path that holds a zero byte names no file"};
  constexpr int kAttempts = 10;  // a link may be switched, or a file replaced, between two looks
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    // Links made by the kernel, such as /dev/stdin and /dev/fd/3, may lead to files without a name. The text
    // of such a link names a missing file, or even a different one. So the file that opening would find is
    // checked first.
    const FileStatus found = status_of_name(files, path, path);
    check_kind(path, found.kind);
    auto target = resolve(files, path);
    check_usable(path, target.error, "cannot follow the path");
    check_side_name(files, path, target.value);
    if (found.kind == FileKind::missing) check_folder(files, path, target.value.parent_path());
    const bool is_link = !uninterrupted([&] { return files.read_link(path); }).error;
    if (found.kind == FileKind::missing || !is_link) return std::move(target.value);
    const FileStatus named = status_of_name(files, path, target.value);
    if (found.inode == named.inode && found.device == named.device) return std::move(target.value);
  }
  throw StorageError{
      path, {}, "is an open file that has no name any more, since it was removed or replaced; name a file"};
}

KVSTORE_INLINE std::unique_ptr<File> open_if_exists(FileSystem& files, const std::filesystem::path& path) {
  auto opened = open_file(files, path, OpenMode::read);
  if (opened.error == std::errc::no_such_file_or_directory) return nullptr;
  for (const FileKind kind : {FileKind::folder, FileKind::other}) {
    if (opened.error == wrong_kind(kind)) check_kind(path, kind);
  }
  if (opened.error) throw StorageError{path, opened.error, "cannot open"};
  return std::move(opened.value);
}

}}}  // namespace kvstore::v1::detail
