// SPDX-License-Identifier: MIT
#pragma once

// The definitions of memory_storage.hpp.

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/memory_storage.hpp"

namespace kvstore { inline namespace v1 {

KVSTORE_INLINE std::size_t MemoryStorage::Contents::count_saves() const {
  const std::scoped_lock lock{mutex};
  return saves;
}

KVSTORE_INLINE std::size_t MemoryStorage::Contents::count_entries() const {
  const std::scoped_lock lock{mutex};
  return entries.size();
}

KVSTORE_INLINE MemoryStorage::~MemoryStorage() {
  if (acquired_) contents_->owned = false;
}

KVSTORE_INLINE void MemoryStorage::load(const LoadRequest& request, LoadSink& sink) {
  if (request.purpose == LoadPurpose::exclusive) acquire();
  const std::scoped_lock lock{contents_->mutex};
  if (!contents_->saved && contents_->entries.empty()) sink.missing(path(), request);
  sink.schema_version(contents_->schema_version);
  for (const auto& [key, value] : contents_->entries) sink.put(key, value);
}

KVSTORE_INLINE bool MemoryStorage::takes_changes() const noexcept {
  return contents_->wanted == SaveScope::changes;
}

KVSTORE_INLINE void MemoryStorage::save(ChangeSource& source) {
  acquire();
  contents_->on_save();
  std::map<std::string, std::string> next;
  if (source.scope() == SaveScope::changes) next = contents_->entries;
  std::size_t count = 0;
  for (Change change; source.next(change); contents_->on_change(count)) {
    ++count;
    if (change.value)
      next[std::string{change.key}] = *change.value;
    else
      next.erase(std::string{change.key});
  }
  const std::scoped_lock lock{contents_->mutex};
  ++contents_->saves;
  contents_->handed_over = count;
  if (contents_->fail) throw StorageError{path(), std::make_error_code(std::errc::io_error), "cannot save"};
  contents_->entries = std::move(next);
  contents_->schema_version = source.schema_version();
  contents_->saved = true;
}

KVSTORE_INLINE void MemoryStorage::acquire() {
  if (acquired_) return;
  if (contents_->owned.exchange(true)) throw LockedError{path(), detail::system_file_system().process_id()};
  acquired_ = true;
}

}}  // namespace kvstore::v1
