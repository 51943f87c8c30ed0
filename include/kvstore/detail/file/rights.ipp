// SPDX-License-Identifier: MIT
#pragma once

// The definitions of rights.hpp.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/detail/file/side_file.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

// The attribute: a version of 4 bytes, then entries of 8 bytes: a tag of 2, permissions of 2, an id of 4
// bytes, all with the lowest byte first. *Source*: linux/posix_acl_xattr.h
enum class AclTag : std::uint8_t { owner = 0x01, group = 0x04, mask = 0x10, other = 0x20 };

/// The place of the permissions of an entry; null if there is no such entry.
inline char* acl_entry(std::string& acl, AclTag tag) noexcept {
  constexpr std::size_t kHeader = 4;
  constexpr std::size_t kEntry = 8;
  for (std::size_t at = kHeader; at + kEntry <= acl.size(); at += kEntry) {
    if (acl[at] == static_cast<char>(tag) && acl[at + 1] == 0) return acl.data() + at + 2;
  }
  return nullptr;
}

inline std::uint32_t acl_bits(const char* entry, std::uint32_t missing) noexcept {
  return entry != nullptr ? static_cast<unsigned char>(*entry) & 07U : missing;
}

inline FileRights rights_from(const FileStatus& status, std::string acl) {
  if (status.kind == FileKind::missing) return {};
  return {true, status.mode, status.owner, status.group, std::move(acl)};
}

KVSTORE_INLINE Result<FileRights> rights_of(FileSystem& files, const std::filesystem::path& name) {
  const auto status = uninterrupted([&] { return files.status(name); });
  if (status.error || status.value.kind == FileKind::missing) return {{}, status.error};
  auto acl = uninterrupted([&] { return files.acl(name); });
  if (acl.error == std::errc::no_such_file_or_directory) return {};
  return {rights_from(status.value, std::move(acl.value)), acl.error};
}

KVSTORE_INLINE Result<FileRights> rights_of(File& file) {
  const auto status = uninterrupted([&] { return file.status(); });
  if (status.error) return {{}, status.error};
  auto acl = uninterrupted([&] { return file.acl(); });
  return {rights_from(status.value, std::move(acl.value)), acl.error};
}

KVSTORE_INLINE FileRights store_rights(FileSystem& files, const std::filesystem::path& path) {
  for (const char* suffix : {"", ".journal", ".journal.next", ".journal.new"}) {
    auto name = path;
    name += suffix;
    auto found = rights_of(files, name);
    if (found.error == std::errc::filename_too_long) continue;
    check_usable(path, found.error, "cannot read the permissions of " + path_text(name));
    if (!found.value.known) continue;
    if (*suffix != '\0') check_side_owner(files, path, name, status_of_name(files, path, name));
    return std::move(found.value);
  }
  return {};
}

KVSTORE_INLINE FileRights rights_to_make(FileSystem& files, const std::filesystem::path& path,
                                         const std::filesystem::path& like) {
  FileRights rights = store_rights(files, path);
  if (rights.known || like.empty()) return rights;
  const FileStatus source = status_of_name(files, path, like);
  const bool is_file = source.kind == FileKind::missing || source.kind == FileKind::regular;
  return is_file ? store_rights(files, like) : FileRights{};
}

KVSTORE_INLINE FileRights side_rights(FileRights rights) {
  constexpr char kReadWrite = 06;
  rights.mode = (rights.mode & 0666U) | 0600U;
  if (char* const owner = acl_entry(rights.acl, AclTag::owner)) *owner = kReadWrite;
  if (char* const mask = acl_entry(rights.acl, AclTag::mask)) *mask = static_cast<char>(*mask & kReadWrite);
  return rights;
}

KVSTORE_INLINE FileRights lock_rights(FileRights rights) {
  rights = side_rights(std::move(rights));
  const std::uint32_t writers = rights.mode & 0222U;
  rights.mode = writers | writers << 1U;
  constexpr std::size_t kHeader = 4;
  constexpr std::size_t kEntry = 8;
  for (std::size_t at = kHeader + 2; at + kEntry <= rights.acl.size() + 2; at += kEntry) {
    rights.acl[at] = (static_cast<unsigned char>(rights.acl[at]) & 02U) != 0 ? '\6' : '\0';
  }
  return rights;
}

KVSTORE_INLINE FileRights without_group(FileRights rights) {
  const std::uint32_t others = rights.mode & 07U;
  const char* const mask = acl_entry(rights.acl, AclTag::mask);
  char* const group = acl_entry(rights.acl, AclTag::group);
  const std::uint32_t groups = acl_bits(group, rights.mode >> 3U & 07U) & acl_bits(mask, 07U);
  if (char* const other = acl_entry(rights.acl, AclTag::other)) *other = static_cast<char>(others & groups);
  if (group != nullptr) *group = static_cast<char>(others);
  const std::uint32_t middle = mask != nullptr ? rights.mode & 070U : others << 3U;
  rights.mode = (rights.mode & 0700U) | middle | (others & groups);
  return rights;
}

KVSTORE_INLINE FileRights without_acl(FileRights rights) {
  const char* const group = acl_entry(rights.acl, AclTag::group);
  const std::uint32_t groups =
      acl_bits(group, rights.mode >> 3U & 07U) & acl_bits(acl_entry(rights.acl, AclTag::mask), 07U);
  rights.mode = (rights.mode & 07707U) | groups << 3U;
  rights.acl.clear();
  return rights;
}

/// False if the file could not even be given the group.
inline bool give_owner(File& file, const FileStatus& mine, const FileRights& rights) {
  const bool same_group = mine.group == rights.group;
  if (same_group && mine.owner == rights.owner) return true;
  if (!uninterrupted([&] { return file.set_owner(rights.owner, rights.group); })) return true;
  if (same_group) return true;  // only root may give a file away; that is no reason not to save
  return !uninterrupted([&] { return file.set_owner(mine.owner, rights.group); });
}

/// Whether an error means that a file system has no such lists, or none with these users.
inline bool cannot_keep_acl(const std::error_code& error) {
  return error == std::errc::operation_not_supported || error == std::errc::not_supported ||
         error == std::errc::function_not_supported || error == std::errc::invalid_argument ||
         error == std::errc::operation_not_permitted || error == std::errc::permission_denied;
}

KVSTORE_INLINE std::error_code give_rights(File& file, const FileRights& rights) {
  if (!rights.known) return {};
  const auto mine = rights_of(file);
  if (mine.error) return mine.error;
  if (mine.value == rights) return {};
  const FileStatus before{.owner = mine.value.owner, .group = mine.value.group};
  FileRights wanted = give_owner(file, before, rights) ? rights : without_group(rights);
  // Before the mode: an inherited list would come into force with the mode's group bits.
  if (wanted.acl != mine.value.acl) {
    const auto error = uninterrupted([&] { return file.set_acl(wanted.acl); });
    if (error && (wanted.acl.empty() || !cannot_keep_acl(error))) return error;
    if (error) wanted = without_acl(std::move(wanted));
  }
  if (wanted.acl == mine.value.acl && wanted.mode == mine.value.mode) return {};
  return uninterrupted([&] { return file.set_mode(wanted.mode); });
}

/// Removes a file that was just made. Its folder may have been exchanged, and the name belong to another
/// file.
inline void unmake_file(FileSystem& files, const std::filesystem::path& name, std::unique_ptr<File> made) {
  const auto mine = uninterrupted([&] { return made->status(); });
  const auto named = uninterrupted([&] { return files.status(name); });
  made.reset();
  if (mine.value.inode == named.value.inode && mine.value.device == named.value.device)
    static_cast<void>(files.remove(name));
}

KVSTORE_INLINE Result<std::unique_ptr<File>> make_file(FileSystem& files, const std::filesystem::path& name,
                                                       const FileRights& rights) {
  constexpr std::uint32_t kPrivate = 0600;
  auto made = open_file(files, name, OpenMode::exclusive, rights.known ? kPrivate : kDefaultMode);
  if (made.error) return made;
  try {
    const auto error = give_rights(*made.value, rights);
    if (!error) return made;
    unmake_file(files, name, std::move(made.value));
    return {nullptr, error};
  } catch (...) {  // no memory for the access control list
    unmake_file(files, name, std::move(made.value));
    throw;
  }
}

KVSTORE_INLINE Result<std::unique_ptr<File>> make_lock_file(FileSystem& files,
                                                            const std::filesystem::path& name,
                                                            const FileRights& rights) {
  if (rights.known) return make_file(files, name, lock_rights(rights));
  // The umask decides who may write. Nobody may read before that is known.
  constexpr std::uint32_t kWriters = 0622;
  auto made = open_file(files, name, OpenMode::exclusive, kWriters);
  if (made.error) return made;
  const auto found = rights_of(*made.value);
  if (!found.error) static_cast<void>(give_rights(*made.value, lock_rights(found.value)));
  return made;
}

}}}  // namespace kvstore::v1::detail
