// SPDX-License-Identifier: MIT
#pragma once

// Loads any storage. A storage that knows no file gets its path into the errors here.

#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Loads the storage into `sink` and finishes it. @throws CorruptionError, StorageError
inline void load_from(Storage& storage, const LoadRequest& request, LoadSink& sink) {
  try {
    storage.load(request, sink);
    sink.finish();
  } catch (const ParseError& error) {
    throw CorruptionError{storage.path(), error.offset(), error.what()};
  } catch (const DuplicateEntryError& error) { throw CorruptionError{storage.path(), 0, error.what()}; }
}

}}}  // namespace kvstore::v1::detail
