// SPDX-License-Identifier: MIT
#pragma once

// The definitions of error.hpp.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/base/printable.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 {

KVSTORE_INLINE Error::Error(const std::string& message)
    : std::runtime_error{detail::printable_line(message)} {}

KVSTORE_INLINE DuplicateEntryError::DuplicateEntryError(std::string key)
    : Error{"duplicate key " + detail::printable(key, "\"")}, key_{std::move(key)} {}

KVSTORE_INLINE DuplicateKeyError::DuplicateKeyError(std::string key)
    : Error{"key " + key + " already exists; use update() or upsert() to replace its value"},
      key_{std::move(key)} {}

KVSTORE_INLINE StorageError::StorageError(std::filesystem::path path, std::error_code code,
                                          const std::string& what)
    : Error{detail::path_text(path) + ": " + what + (code ? ": " + code.message() : std::string{})},
      path_{std::move(path)},
      code_{code} {}

KVSTORE_INLINE StorageError StorageError::not_on_disk(std::filesystem::path path, std::error_code code,
                                                      const std::string& reason) {
  // The reason mostly names the same file.
  const std::string named = detail::printable_line(detail::path_text(path)) + ": ";
  StorageError error{std::move(path),
                     {},
                     "the operation is applied in memory and not yet on disk, because saving failed (" +
                         (reason.starts_with(named) ? reason.substr(named.size()) : reason) +
                         "); it is retried, or call save()"};
  error.code_ = code;
  return error;
}

KVSTORE_INLINE StorageError StorageError::owned_by_another(std::filesystem::path path,
                                                           const std::string& reason) {
  return {std::move(path),
          {},
          "the operation is applied in memory only, because another program owns the data by now (" + reason +
              "), and this store can save nothing any more; end it, and open a new one"};
}

KVSTORE_INLINE ConflictError::ConflictError(const std::filesystem::path& path, std::filesystem::path ours)
    : StorageError{path,
                   {},
                   "another program has changed this file while the store was open; it stays as it is, and "
                   "the "
                   "store's entries were saved as " +
                       detail::path_text(ours.filename()) + " beside it: move " +
                       detail::path_text(path.filename()) +
                       " away or remove it to let the store's entries win at the next save, or take the "
                       "other's by load_from() of this file"},
      ours_{std::move(ours)} {}

KVSTORE_INLINE CorruptionError::CorruptionError(std::filesystem::path path, std::uint64_t offset,
                                                std::string expected)
    : CorruptionError{std::move(path), offset, std::move(expected), Place{}} {}

KVSTORE_INLINE CorruptionError::CorruptionError(std::filesystem::path path, std::uint64_t offset,
                                                std::string expected, Place place)
    : Error{detail::path_text(path) + ": byte " + std::to_string(offset) +
            (place.line == 0 ? std::string{}
                             : " (line " + std::to_string(place.line) + ", column " +
                                   std::to_string(place.column) + ")") +
            (place.key.empty() ? std::string{} : ", entry " + place.key) + ": " + expected +
            "; the file was not changed: mend it, move it away, or save what can be read by `kvctl repair`"},
      path_{std::move(path)},
      offset_{offset},
      expected_{std::move(expected)},
      place_{std::move(place)} {}

KVSTORE_INLINE CorruptionError::CorruptionError(std::filesystem::path path, const std::string& where,
                                                std::string expected)
    : Error{detail::path_text(path) + ": " + where + ": " + expected +
            "; nothing was changed: mend it or move it away"},
      path_{std::move(path)},
      offset_{0},
      expected_{std::move(expected)} {}

KVSTORE_INLINE LockedError::LockedError(std::filesystem::path path, long holder)
    : Error{detail::path_text(path) + ": already open for writing" +
            (holder > 0 ? " by process " + std::to_string(holder) : std::string{" by another process"}) +
            "; close that store first, or use another file"},
      path_{std::move(path)},
      holder_{holder} {}

KVSTORE_INLINE LockedError LockedError::by_this_process(std::filesystem::path path, long self) {
  return by(std::move(path), self, "by this process itself (process " + std::to_string(self) + ")");
}

KVSTORE_INLINE LockedError LockedError::by(std::filesystem::path path, long holder, const std::string& how) {
  LockedError error{std::move(path), how};
  error.holder_ = holder;
  return error;
}

KVSTORE_INLINE LockedError::LockedError(std::filesystem::path path, const std::string& how)
    : Error{detail::path_text(path) + ": already open for writing " + how +
            "; end that store first, or use another file"},
      path_{std::move(path)},
      holder_{0} {}

KVSTORE_INLINE SchemaVersionError::SchemaVersionError(const std::filesystem::path& path, std::uint32_t stored,
                                                      std::uint32_t known)
    : Error{detail::path_text(path) + ": its values have schema version " + std::to_string(stored) +
            (stored > known ? ", and this program knows versions up to " + std::to_string(known) +
                                  "; open it with a newer program (Options::schema_version)"
                            : ", and this program wants version " + std::to_string(known) +
                                  "; set Options::upgrade, which brings them there")},
      stored_{stored},
      known_{known} {}

KVSTORE_INLINE ReplicationError::ReplicationError(const std::string& server, std::size_t wanted,
                                                  std::size_t confirmed)
    : Error{server + ": the write was carried out, but only " + std::to_string(confirmed) + " of " +
            std::to_string(wanted) +
            " replicas confirmed it in time, so a failover may lose it; see that the replicas run"},
      wanted_{wanted},
      confirmed_{confirmed} {}

}}  // namespace kvstore::v1
