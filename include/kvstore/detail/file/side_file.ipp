// SPDX-License-Identifier: MIT
#pragma once

// The definitions of side_file.hpp.

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/side_file.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void check_side_owner(FileSystem& files, const std::filesystem::path& path,
                                     const std::filesystem::path& name, const FileStatus& found) {
  if (!is_strangers(files, path, found)) return;
  const FileStatus own = status_of_name(files, path, path);
  if (own.kind == FileKind::missing || found.owner != own.owner) throw_strangers(name, found);
}

KVSTORE_INLINE void check_sole_name(const std::filesystem::path& name, const FileStatus& found) {
  if (found.links <= 1) return;
  throw StorageError{name,
                     {},
                     "has another name as well (a hard link), and writing to it would change that file; it "
                     "was not touched: move it away"};
}

KVSTORE_INLINE std::unique_ptr<File> open_side_file(FileSystem& files, const std::filesystem::path& path,
                                                    const std::filesystem::path& name) {
  auto file = open_if_exists(files, name);
  if (!file) return file;
  const auto status = uninterrupted([&] { return file->status(); });
  check_usable(name, status.error, "cannot look at it");
  check_side_owner(files, path, name, status.value);
  return file;
}

KVSTORE_INLINE void check_not_dangling(FileSystem& files, const std::filesystem::path& path,
                                       const std::filesystem::path& target) {
  if (uninterrupted([&] { return files.read_link(path); }).error) return;
  if (status_of_name(files, path, target).kind != FileKind::missing) return;
  throw StorageError{path,
                     {},
                     "is a symbolic link to " + path_text(target) +
                         ", which does not exist; nothing is made through a link: name that file, or remove "
                         "the link"};
}

}}}  // namespace kvstore::v1::detail
