// SPDX-License-Identifier: MIT
#pragma once

// The path of a store's entries: requirements on its file and its folder.

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "kvstore/detail/file/file_system.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Throws for `path` if there is an `error`.
void check_usable(const std::filesystem::path& path, std::error_code error, const std::string& what);

FileStatus status_of_name(FileSystem& files, const std::filesystem::path& path,
                          const std::filesystem::path& name);

/// Throws for `path` if entries cannot be kept in a file of this kind: a folder, or a device or pipe, whose
/// bytes can be read only once and may never end.
void check_kind(const std::filesystem::path& path, FileKind kind);

void check_folder(FileSystem& files, const std::filesystem::path& path, const std::filesystem::path& folder);

/// Whether a stranger may have put the file that was `found` beside `path`: in a sticky folder, such as
/// `/tmp`, it belongs neither to this user nor to the owner of the folder.
[[nodiscard]] bool is_strangers(FileSystem& files, const std::filesystem::path& path,
                                const FileStatus& found);
[[noreturn]] void throw_strangers(const std::filesystem::path& name, const FileStatus& found);

/// Saving the file `path` needs other files in its folder, and a sync of that folder. A stranger's file in a
/// sticky folder is refused: its rights would be those of all that is saved. @throws StorageError
void check_writable_folder(FileSystem& files, const std::filesystem::path& path);

/// The suffixes of the files that a store writes and removes beside its own. `.ours` is not among them, since
/// such a file is as good as a store's own.
inline constexpr std::string_view kSideSuffixes[] = {
    ".tmp",          ".lock",         ".journal", ".journal.next", ".journal.new",
    ".journal.torn", ".journal.tail", "-wal",     "-shm",          "-journal"};

/// Throws for `path` if the file that it leads to, `target`, has a name that the store of a neighbouring file
/// writes and removes.
void check_side_name(FileSystem& files, const std::filesystem::path& path,
                     const std::filesystem::path& target);

/// The file that `path` refers to, after checking that entries may be kept there. @throws StorageError
std::filesystem::path usable_path(FileSystem& files, const std::filesystem::path& path);

/// Opens an existing file for reading; null if there is none. @throws StorageError also if it is not a
/// regular file
std::unique_ptr<File> open_if_exists(FileSystem& files, const std::filesystem::path& path);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/file/data_path.ipp"
#endif
