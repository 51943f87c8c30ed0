// SPDX-License-Identifier: MIT
#pragma once

// Every error that the library throws. Messages name the key and the file, and say what to do.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace kvstore { inline namespace v1 {

/// The base of every error that this library throws deliberately. `what()` is one line: control characters
/// and bytes that are no UTF-8, as a hostile file or server may hold them, appear as `\xNN`.
class Error : public std::runtime_error {
 public:
  /// `message` says what happened, and what to do.
  explicit Error(const std::string& message);
};

/// `create` (alone or in a `WriteBatch`) met a key that exists already. Nothing was changed.
class DuplicateKeyError : public Error {
 public:
  /// `key` is what `KeyText::for_message` makes of the key.
  explicit DuplicateKeyError(std::string key);

  /// The key as text, as it would stand in the JSON file, shortened to about 64 bytes.
  [[nodiscard]] const std::string& key() const noexcept { return key_; }

 private:
  std::string key_;
};

/// `read`, `update` or `remove` (alone or in a `WriteBatch`) met a key that does not exist. Nothing was
/// changed.
class KeyNotFoundError : public Error {
 public:
  /// `key` is what `KeyText::for_message` makes of the key.
  explicit KeyNotFoundError(std::string key)
      : Error{"key " + key + " does not exist; use create() or upsert() to add it"}, key_{std::move(key)} {}

  /// The key as text, as it would stand in the JSON file, shortened to about 64 bytes.
  [[nodiscard]] const std::string& key() const noexcept { return key_; }

 private:
  std::string key_;
};

/// A key or value could not be read back from its JSON text (NaN, infinity, invalid UTF-8, nested too deep).
/// It is refused when written, so that everything accepted can be loaded again. Nothing was changed.
class ValueError : public Error {
 public:
  using Error::Error;
};

/// A callback of `visit`, `modify` or `for_each` called the store that is running it. The call is refused
/// because it would deadlock; the store is unchanged by it.
class ReentryError : public Error {
 public:
  using Error::Error;
};

/// The operating system refused a request. Thrown by an operation that changes an entry, it means: the change
/// is applied in memory and not yet on disk.
class StorageError : public Error {
 public:
  /// `what` says in words what failed at `path`; `code` is the operating system's reason, if it gave one.
  StorageError(std::filesystem::path path, std::error_code code, const std::string& what);

  /// The error that a verb throws when the save that it waited for failed.
  [[nodiscard]] static StorageError not_on_disk(std::filesystem::path path, std::error_code code,
                                                const std::string& reason);

  /// The same where another program owns the data by now, so that no further save can succeed.
  [[nodiscard]] static StorageError owned_by_another(std::filesystem::path path, const std::string& reason);

  /// The file or folder concerned.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// The operating system's reason; empty if the failure did not come from the operating system.
  [[nodiscard]] const std::error_code& code() const noexcept { return code_; }

 private:
  std::filesystem::path path_;
  std::error_code code_;
};

/// Another program has edited, replaced or created the store's file while the store was open. That file was
/// left unchanged, and the store's entries were saved, durably, in a file next to it. Every further save does
/// the same until the other file is moved away or removed (the store's entries win), or is taken over by
/// `load_from(path())` or by opening the store again.
class ConflictError : public StorageError {
 public:
  /// The store of the file `path` has saved its entries as `ours` instead.
  ConflictError(const std::filesystem::path& path, std::filesystem::path ours);

  /// The file that holds the store's entries.
  [[nodiscard]] const std::filesystem::path& ours() const noexcept { return ours_; }

 private:
  std::filesystem::path ours_;
};

/// A stored file is not one that this library could have written or can read. The file is left unchanged.
class CorruptionError : public Error {
 public:
  /// `expected` says in words what is wrong at a byte offset of the file.
  CorruptionError(std::filesystem::path path, std::uint64_t offset, std::string expected);

  /// The place of an offset as people count.
  struct Place {
    std::uint64_t line = 0;    ///< counted from 1; 0 = unknown
    std::uint64_t column = 0;  ///< in characters, counted from 1; 0 = unknown
    std::string key;           ///< what `KeyText::for_message` makes of the entry's key; empty = unknown
  };

  /// The same where more is known of the place.
  CorruptionError(std::filesystem::path path, std::uint64_t offset, std::string expected, Place place);

  /// For data that its reader does not see as a sequence of bytes, such as a database or a server: `where`
  /// says in words where the damage is.
  CorruptionError(std::filesystem::path path, const std::string& where, std::string expected);

  /// The file, database or server concerned.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Byte offset in the file at which the damage was noticed, counted from 0; 0 if there is no such offset.
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
  /// What was wrong there, in words.
  [[nodiscard]] const std::string& expected() const noexcept { return expected_; }
  /// The line of the offset in a text file, counted from 1; 0 if unknown.
  [[nodiscard]] std::uint64_t line() const noexcept { return place_.line; }
  /// The column of the offset, in characters, counted from 1; 0 if unknown.
  [[nodiscard]] std::uint64_t column() const noexcept { return place_.column; }
  /// The key of the entry concerned, as text, shortened to about 64 bytes; empty if unknown.
  [[nodiscard]] const std::string& key() const noexcept { return place_.key; }

 private:
  std::filesystem::path path_;
  std::uint64_t offset_;
  std::string expected_;
  Place place_;
};

/// Another store, in this process or another, has the file open.
class LockedError : public Error {
 public:
  /// `holder` is the id of the process that has `path` open; 0 if unknown.
  LockedError(std::filesystem::path path, long holder);
  /// Another store of this process, whose id is `self`, has `path` open.
  [[nodiscard]] static LockedError by_this_process(std::filesystem::path path, long self);
  /// The store of process `holder` has `path` open; `how` says so.
  [[nodiscard]] static LockedError by(std::filesystem::path path, long holder, const std::string& how);
  /// A store without a lock file of its own has `path` open; `how` says in which way.
  LockedError(std::filesystem::path path, const std::string& how);

  /// The file concerned.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Process id of the holder; 0 if unknown.
  [[nodiscard]] long holder() const noexcept { return holder_; }

 private:
  std::filesystem::path path_;
  long holder_;
};

/// The stored values have a schema version that this program cannot read. Nothing was changed.
class SchemaVersionError : public Error {
 public:
  /// The values stored at `path` have version `stored`; the program knows version `known`.
  SchemaVersionError(const std::filesystem::path& path, std::uint32_t stored, std::uint32_t known);

  /// The version of the stored values.
  [[nodiscard]] std::uint32_t stored() const noexcept { return stored_; }
  /// The `Options::schema_version` of this program.
  [[nodiscard]] std::uint32_t known() const noexcept { return known_; }

 private:
  std::uint32_t stored_;
  std::uint32_t known_;
};

/// A piece of JSON text is not what was expected. A `Codec` or a `LoadSink` throws it to a storage, which
/// knows the file and turns it into a `CorruptionError`.
class ParseError : public Error {
 public:
  /// `expected` says in words what is wrong at a byte offset of the text.
  ParseError(std::size_t offset, const std::string& expected) : Error{expected}, offset_{offset} {}
  /// Byte offset in the text that was passed in, counted from 0.
  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }

 private:
  std::size_t offset_;
};

/// Two stored entries have the same key. A `LoadSink` throws it to a storage, which knows the file.
class DuplicateEntryError : public Error {
 public:
  /// `key` is the text of the key that two entries have.
  explicit DuplicateEntryError(std::string key);
  /// The key's text, unquoted.
  [[nodiscard]] const std::string& key() const noexcept { return key_; }

 private:
  std::string key_;
};

/// No server that can carry out the request answered before its deadline. Nothing was changed, unless a batch
/// goes to several servers: then the message says how far it got.
class UnavailableError : public Error {
 public:
  using Error::Error;
};

/// A server refused a request: wrong password, missing permission, out of memory, a key that holds another
/// program's type. Nothing was changed by that request. The message names the server and quotes it.
class ServerError : public Error {
 public:
  using Error::Error;
};

/// A write was sent and no answer came. The write may have been carried out, may be carried out later, or
/// never. It is not retried automatically, since a retry could undo a later write by another client: read,
/// then decide.
class OutcomeUnknownError : public Error {
 public:
  using Error::Error;
};

/// A write was carried out, but fewer replicas than requested confirmed it in time. It may be lost if its
/// leader is lost. If that is not acceptable, write again.
class ReplicationError : public Error {
 public:
  /// Of the `wanted` replicas, `confirmed` have the write; `server` is their leader.
  ReplicationError(const std::string& server, std::size_t wanted, std::size_t confirmed);

  /// The number of replicas that the options ask for.
  [[nodiscard]] std::size_t wanted() const noexcept { return wanted_; }
  /// The number of replicas that confirmed the write in time.
  [[nodiscard]] std::size_t confirmed() const noexcept { return confirmed_; }

 private:
  std::size_t wanted_;
  std::size_t confirmed_;
};

/// An option or a call that cannot be honoured, such as a negative interval, or writing to a store that is
/// closed or read-only.
class UsageError : public Error {
 public:
  using Error::Error;
};

}}  // namespace kvstore::v1

#ifndef KVSTORE_COMPILED
#include "kvstore/error.ipp"
#endif

#ifdef KVSTORE_COMPILED
#include "kvstore/detail/base/compiled_part.hpp"  // IWYU pragma: keep
#endif
