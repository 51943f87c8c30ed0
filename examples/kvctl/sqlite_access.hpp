// SPDX-License-Identifier: MIT
#pragma once

// SQLite databases, where kvctl was built with SQLite: read without a trace, and integer keys kept as such.

#include <filesystem>
#include <kvstore/error.hpp>
#include <kvstore/storage.hpp>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "outcome.hpp"
#if KVCTL_HAS_SQLITE
#include <sys/stat.h>

#include <cerrno>
#include <kvstore/storage/sqlite.hpp>

#include "sqlite_connection.hpp"
#include "sqlite_files.hpp"
#endif

namespace kvctl {

#if KVCTL_HAS_SQLITE

/// SQLite's own VFS, with one difference: it says of every file that nobody changes it. A database in WAL
/// mode is then read as it stands, where SQLite would otherwise make two files beside it, even to read.
class ImmutableVfs {
 public:
  [[nodiscard]] static const char* name() {
    static ImmutableVfs vfs;
    return vfs.vfs_.zName;
  }

 private:
  ImmutableVfs() : vfs_{*::sqlite3_vfs_find(nullptr)} {
    base() = ::sqlite3_vfs_find(nullptr);
    vfs_.zName = "kvctl-immutable";
    vfs_.xOpen = open;
    ::sqlite3_vfs_register(&vfs_, 0);
  }

  static ::sqlite3_vfs*& base() {
    static ::sqlite3_vfs* vfs = nullptr;
    return vfs;
  }

  static int open(::sqlite3_vfs*, const char* path, ::sqlite3_file* file, int flags, int* out_flags) {
    const int result = base()->xOpen(base(), path, file, flags, out_flags);
    if (result != SQLITE_OK || (flags & SQLITE_OPEN_MAIN_DB) == 0) return result;
    static ::sqlite3_io_methods methods;  // kvctl reads one database at a time
    methods = *file->pMethods;
    methods.xDeviceCharacteristics = [](::sqlite3_file*) { return SQLITE_IOCAP_IMMUTABLE; };
    file->pMethods = &methods;
    return SQLITE_OK;
  }

  ::sqlite3_vfs vfs_;
};

/// Whether a database has a log of its own: changes that are not in it yet, or not to stay in it.
[[nodiscard]] inline bool has_log(const std::filesystem::path& path) {
  return std::filesystem::exists(path.string() + "-wal") ||
         std::filesystem::exists(path.string() + "-journal");
}

/// Reads a database that has no log, and sees to it that nobody has written meanwhile.
class UntouchedSqlite final : public kvstore::Storage {
 public:
  explicit UntouchedSqlite(const std::filesystem::path& path)
      : database_{path, {.vfs = ImmutableVfs::name()}}, before_{version()} {}

  void load(const kvstore::LoadRequest& request, kvstore::LoadSink& sink) override {
    try {
      database_.load(request, sink);
    } catch (const kvstore::CorruptionError&) {
      check_unchanged();  // which would explain it
      throw;
    }
    check_unchanged();
  }
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return database_.scope(); }
  void save(kvstore::ChangeSource&) override { throw kvstore::UsageError{"opened to read"}; }
  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }
  [[nodiscard]] std::filesystem::path path() const override { return database_.path(); }

 private:
  /// Which file it is, and when it was changed last.
  struct Version {
    ::dev_t device;
    ::ino_t inode;
    ::off_t size;
    ::time_t seconds;
    long nanoseconds;
    bool operator==(const Version&) const = default;
  };

  [[nodiscard]] Version version() const {
    struct ::stat found{};
    if (::stat(database_.path().c_str(), &found) == 0)
      return {found.st_dev, found.st_ino, found.st_size, found.st_mtim.tv_sec, found.st_mtim.tv_nsec};
    const std::error_code error{errno, std::generic_category()};
    throw kvstore::StorageError{database_.path(), error, "cannot look at it"};
  }

  void check_unchanged() const {
    if (version() == before_ && !has_log(database_.path())) return;
    throw kvstore::StorageError{database_.path(), std::make_error_code(std::errc::device_or_resource_busy),
                                "was changed while it was read; try again"};
  }

  kvstore::SqliteFile database_;
  Version before_;
};

[[nodiscard]] inline std::unique_ptr<kvstore::Storage> open_sqlite_to_read(
    const std::filesystem::path& path) {
  SqliteFiles{path}.check();
  if (has_log(path)) return std::make_unique<kvstore::SqliteFile>(path);
  return std::make_unique<UntouchedSqlite>(path);
}
[[nodiscard]] inline std::unique_ptr<kvstore::Storage> open_sqlite_to_write(
    const std::filesystem::path& path) {
  SqliteFiles{path}.check();
  return std::make_unique<kvstore::SqliteFile>(path);
}

/// A connection of our own, once a storage has none. A log that SQLite has not written counts for nothing.
[[nodiscard]] inline SqliteConnection connect_to_read(const std::filesystem::path& path) {
  const SqliteFiles files{path};
  files.check_but_log();
  const bool untouched = !has_log(path) || !files.has_log_start();
  SqliteConnection database{path, SQLITE_OPEN_READONLY, untouched ? ImmutableVfs::name() : nullptr};
  database.bound_reading();
  return database;
}

/// What `pragma integrity_check` is to look at: everything where only the store's tables are there. Tables
/// beside them are other programs' and may compute their columns, which the check would do.
[[nodiscard]] inline std::vector<std::string> tables_to_check(SqliteConnection& database) {
  constexpr int kChecksOneTable = 3033000;
  SqliteRows others{database,
                    "select count(*) from sqlite_master where lower(tbl_name) not in ('entries', 'meta')"};
  const bool all = !others.next("cannot read the schema") || others.integer(0) == 0;
  if (all || ::sqlite3_libversion_number() < kChecksOneTable) return {"1"};
  return {"entries", "meta"};
}

/// Has SQLite check its own structures. @throws kvstore::CorruptionError
inline void check_integrity(const std::filesystem::path& path) {
  auto database = connect_to_read(path);
  for (const std::string& tables : tables_to_check(database)) {
    SqliteRows answer{database, ("pragma integrity_check(" + tables + ")").c_str()};
    if (!answer.next("cannot check the database") || answer.text(0) == "ok") continue;
    throw kvstore::CorruptionError{path, "the database",
                                   "SQLite says \"" + std::string{answer.text(0)} + '"'};
  }
}

/// Gives back the room of what was removed. The caller holds the store's lock.
inline void vacuum(const std::filesystem::path& path) {
  SqliteFiles{path}.check_names();
  SqliteConnection database{path, SQLITE_OPEN_READWRITE, nullptr};
  database.run("vacuum", "cannot compact");
  database.run("pragma wal_checkpoint(truncate)", "cannot end the write-ahead log");
}

#else

inline void check_integrity(const std::filesystem::path&) {}
inline void vacuum(const std::filesystem::path&) {}

[[nodiscard]] inline std::unique_ptr<kvstore::Storage> open_sqlite_to_read(
    const std::filesystem::path& path) {
  throw Failure{kFailed, path.string() + ": is an SQLite database, and this kvctl was built without SQLite"};
}
[[nodiscard]] inline std::unique_ptr<kvstore::Storage> open_sqlite_to_write(
    const std::filesystem::path& path) {
  return open_sqlite_to_read(path);
}

#endif

/// A storage whose keys are integers, said to whoever loads it: SQLite keeps them as INTEGER then.
class WithIntegerKeys final : public kvstore::Storage {
 public:
  explicit WithIntegerKeys(std::unique_ptr<kvstore::Storage> storage) : storage_{std::move(storage)} {}
  void load(const kvstore::LoadRequest& request, kvstore::LoadSink& sink) override {
    kvstore::LoadRequest with_integer_keys = request;
    with_integer_keys.integer_keys = true;
    storage_->load(with_integer_keys, sink);
  }
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return storage_->scope(); }
  void save(kvstore::ChangeSource& source) override { storage_->save(source); }
  void make_like(const std::filesystem::path& source) override { storage_->make_like(source); }
  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }
  [[nodiscard]] std::filesystem::path path() const override { return storage_->path(); }

 private:
  std::unique_ptr<kvstore::Storage> storage_;
};

}  // namespace kvctl
