// SPDX-License-Identifier: MIT
#pragma once

// The definitions of native.hpp.

#include "kvstore/detail/base/immortal.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/file/posix.hpp"    // IWYU pragma: keep, empty on Windows
#include "kvstore/detail/file/windows.hpp"  // IWYU pragma: keep, empty elsewhere

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE FileSystem& system_file_system() {
#ifdef _WIN32
  static const Immortal<WindowsFileSystem> files;
#else
  static const Immortal<PosixFileSystem> files;
#endif
  return *files;
}

}}}  // namespace kvstore::v1::detail
