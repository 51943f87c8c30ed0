// SPDX-License-Identifier: MIT
#pragma once

// Says in which line and column of a text file damage is: people count so, and editors do.

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Throws `error` with the line and the column of its offset in `file`, or as it is if that cannot be read or
/// is known already. *Complexity*: O(offset), in blocks of 16 KiB.
[[noreturn]] void throw_placed(File& file, const CorruptionError& error);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/file/text_place.ipp"
#endif
