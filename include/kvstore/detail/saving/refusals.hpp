// SPDX-License-Identifier: MIT
#pragma once

// The refusals of a `SaveDriver`, with their messages.

#include <filesystem>

#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

[[noreturn]] inline void throw_closed() { throw UsageError{"the store is closed; open another one"}; }

[[noreturn]] inline void throw_read_only(const std::filesystem::path& path) {
  throw UsageError{path_text(path) +
                   ": the store was opened read-only; open it without Options::read_only to write"};
}

[[noreturn]] inline void throw_foreign(const std::filesystem::path& path) {
  throw UsageError{
      path_text(path) +
      ": the store was opened before this process was forked, and belongs to the parent; open another one, "
      "after the fork"};
}

/// @throws UsageError without a storage
[[nodiscard]] inline std::filesystem::path path_of(const Storage* storage) {
  if (storage == nullptr) throw UsageError{"a persistent store needs a storage, not a null pointer"};
  return storage->path();
}

}}}  // namespace kvstore::v1::detail
