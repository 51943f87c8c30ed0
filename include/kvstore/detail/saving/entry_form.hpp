// SPDX-License-Identifier: MIT
#pragma once

// The form in which a storage takes an operation.

#include <cstdint>

namespace kvstore { inline namespace v1 { namespace detail {

enum class EntryForm : std::uint8_t {
  none,     ///< not at all: every save is one of everything
  mark,     ///< the entry is marked, and a save takes it
  changes,  ///< its changes, logged as text
  line,     ///< the line of a journal, which the operation writes itself
};

}}}  // namespace kvstore::v1::detail
