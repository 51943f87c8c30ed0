// SPDX-License-Identifier: MIT
#pragma once

// The definitions of known_file.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void KnownFile::remember(const FileStatus& status, std::optional<std::uint32_t> crc) noexcept {
  seen_ = Seen{status, crc};
  expected_.reset();
}

KVSTORE_INLINE FileState KnownFile::compare(FileSystem& files, const std::filesystem::path& path) {
  if (!seen_) return FileState::same;
  const auto now = uninterrupted([&] { return files.status(path); });
  check(path, now.error);
  if (now.value.kind == FileKind::missing)
    return seen_->status.kind == FileKind::missing ? FileState::same : FileState::missing;
  for (const auto& candidate : {expected_, seen_}) {
    if (!candidate || !is_file(candidate->status, now.value)) continue;
    remember(candidate->status, candidate->crc);
    return FileState::same;
  }
  return compare_contents(files, path, now.value.size);
}

KVSTORE_INLINE void KnownFile::check(const std::filesystem::path& path, std::error_code error) {
  if (!error) return;
  throw StorageError{path, error, "nothing was written: cannot tell whether another program has changed it"};
}

KVSTORE_INLINE bool KnownFile::is_file(const FileStatus& seen, const FileStatus& now) noexcept {
  return seen.kind == now.kind && seen.device == now.device && seen.inode == now.inode &&
         seen.size == now.size && seen.modified == now.modified;
}

KVSTORE_INLINE bool KnownFile::may_hold(const std::optional<Seen>& seen, std::uint64_t size) noexcept {
  return seen && seen->status.kind == FileKind::regular && seen->crc && seen->status.size == size;
}

KVSTORE_INLINE FileState KnownFile::compare_contents(FileSystem& files, const std::filesystem::path& path,
                                                     std::uint64_t size) {
  if (!may_hold(expected_, size) && !may_hold(seen_, size)) return FileState::changed;
  const auto opened = open_file(files, path, OpenMode::read);
  if (opened.error == std::errc::permission_denied) return FileState::changed;  // ours could be read
  check(path, opened.error);
  const auto before = uninterrupted([&] { return opened.value->status(); });
  check(path, before.error);
  const std::uint32_t crc = crc_of(*opened.value, path, size);
  const auto after = uninterrupted([&] { return opened.value->status(); });
  check(path, after.error);
  for (const auto& candidate : {expected_, seen_}) {
    if (!may_hold(candidate, after.value.size) || *candidate->crc != crc) continue;
    if (!is_file(before.value, after.value)) return FileState::changed;  // just now
    remember(after.value, crc);
    return FileState::same;
  }
  return FileState::changed;
}

KVSTORE_INLINE std::uint32_t KnownFile::crc_of(File& file, const std::filesystem::path& path,
                                               std::uint64_t size) {
  const auto block = std::make_unique_for_overwrite<char[]>(kReadAtOnce);
  std::uint32_t crc = 0;
  for (std::uint64_t at = 0; at < size;) {
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(kReadAtOnce, size - at));
    const auto got = read_full(file, at, {block.get(), bytes});
    check(path, got.error);
    if (got.value == 0) break;
    crc = crc32c({block.get(), got.value}, crc);
    at += got.value;
  }
  return crc;
}

}}}  // namespace kvstore::v1::detail
