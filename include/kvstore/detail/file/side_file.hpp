// SPDX-License-Identifier: MIT
#pragma once

// The files that a store keeps beside its own, such as its lock and its journals. Where strangers can make
// files in the same folder, a file of that name need not be the store's.

#include <filesystem>
#include <memory>

#include "kvstore/detail/file/file_system.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Refuses the file `name`, found beside the store `path`, if a stranger may have put it there: in a sticky
/// folder, such as `/tmp`, it belongs neither to this user, nor to the owner of the store's own file or of
/// the folder. @throws StorageError
void check_side_owner(FileSystem& files, const std::filesystem::path& path, const std::filesystem::path& name,
                      const FileStatus& found);

/// Refuses a side file that is about to be written although it has another name as well (a hard link): the
/// bytes would get into a file of another program. @throws StorageError
void check_sole_name(const std::filesystem::path& name, const FileStatus& found);

/// Opens a file of the store `path` for reading; null if there is none. @throws StorageError, as
/// `open_if_exists` and `check_side_owner`
std::unique_ptr<File> open_side_file(FileSystem& files, const std::filesystem::path& path,
                                     const std::filesystem::path& name);

/// Refuses a symbolic link that leads to no file: nothing is made at the other end of a link. Call before the
/// first file is made for `path`, the path as its user gave it, whose `target` is missing. @throws
/// StorageError
void check_not_dangling(FileSystem& files, const std::filesystem::path& path,
                        const std::filesystem::path& target);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/file/side_file.ipp"
#endif
