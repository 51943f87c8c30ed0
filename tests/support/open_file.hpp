// SPDX-License-Identifier: MIT
#pragma once

// Opens and locks a file in one call, for tests that expect to succeed.

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/native.hpp"

namespace support {

inline std::unique_ptr<kvstore::detail::File> opened(kvstore::detail::FileSystem& files,
                                                     const std::filesystem::path& path,
                                                     kvstore::detail::OpenMode mode) {
  auto result = kvstore::detail::open_file(files, path, mode);
  if (result.error) throw std::system_error{result.error};
  return std::move(result.value);
}

/// Returns "taken", or throws the reason why the lock could not be taken.
inline std::string try_lock(const std::filesystem::path& path) {
  const kvstore::detail::FileLock lock{kvstore::detail::system_file_system(), path};
  return "taken";
}

}  // namespace support
