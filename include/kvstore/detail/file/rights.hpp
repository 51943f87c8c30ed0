// SPDX-License-Identifier: MIT
#pragma once

// Who may read and write a file: its mode, its owner and its access control list. A file that a store makes
// never lets anyone do more than the file that it belongs to.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "kvstore/detail/file/file_system.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

struct FileRights {
  bool known = false;  ///< otherwise a new file gets the rights of any new file, by the umask
  std::uint32_t mode = 0;
  std::uint32_t owner = 0;
  std::uint32_t group = 0;
  std::string acl{};  ///< the attribute system.posix_acl_access; empty if there is none
  bool operator==(const FileRights&) const = default;
};

/// The rights of a file; unknown ones if there is none.
Result<FileRights> rights_of(FileSystem& files, const std::filesystem::path& name);
Result<FileRights> rights_of(File& file);

/// The rights of the store `path`: those of its file, or, while there is only a journal, of its journal.
/// @throws StorageError
FileRights store_rights(FileSystem& files, const std::filesystem::path& path);

/// The rights for the store `path`, or, if it is new, those of the store `like`, unless that is empty.
/// @throws StorageError
FileRights rights_to_make(FileSystem& files, const std::filesystem::path& path,
                          const std::filesystem::path& like);

/// The same for a file beside the store's own, which is no program and whose owner must be able to open it
/// again.
FileRights side_rights(FileRights rights);

/// Narrows the rights for a lock file: only those may read it who may write it. A reader could take the lock,
/// and keep the store's owner out for ever.
FileRights lock_rights(FileRights rights);

/// Narrows rights for a file that cannot have the wanted group. Its own group then gets what all others had,
/// and all others get what both they and the group had.
FileRights without_group(FileRights rights);

/// Narrows rights for a file that cannot have an access control list: the group's bits of its mode were the
/// most that the list gave anyone, which the group itself may not have had.
FileRights without_acl(FileRights rights);

/// Gives a file the rights, as far as that is allowed, and otherwise fewer.
std::error_code give_rights(File& file, const FileRights& rights);

/// Makes a lock file for a store with these rights, as `make_file` does.
Result<std::unique_ptr<File>> make_lock_file(FileSystem& files, const std::filesystem::path& name,
                                             const FileRights& rights);

/// Makes a file that has the rights from the start: until it has them, only this user may open it. After an
/// error there is no such file. EEXIST if anything has the name.
Result<std::unique_ptr<File>> make_file(FileSystem& files, const std::filesystem::path& name,
                                        const FileRights& rights);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/file/rights.ipp"
#endif
