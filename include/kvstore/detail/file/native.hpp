// SPDX-License-Identifier: MIT
#pragma once

// The files of the operating system that the program is compiled for.

#include "kvstore/detail/base/immortal.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/posix.hpp"    // IWYU pragma: export, empty on Windows
#include "kvstore/detail/file/windows.hpp"  // IWYU pragma: export, empty elsewhere

namespace kvstore { inline namespace v1 { namespace detail {

/// The file system that every store uses unless a test passes its own. Never destroyed: the auto-saver of a
/// store that a program never deletes uses it until the process ends.
inline FileSystem& system_file_system() {
#ifdef _WIN32
  static const Immortal<WindowsFileSystem> files;
#else
  static const Immortal<PosixFileSystem> files;
#endif
  return *files;
}

}}}  // namespace kvstore::v1::detail
