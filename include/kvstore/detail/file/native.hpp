// SPDX-License-Identifier: MIT
#pragma once

// The files of the operating system that the program is compiled for.

#include "kvstore/detail/file/file_system.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The file system that every store uses unless a test passes its own. Never destroyed: the auto-saver of a
/// store that a program never deletes uses it until the process ends.
FileSystem& system_file_system();

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/file/native.ipp"
#endif
