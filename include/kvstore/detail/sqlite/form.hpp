// SPDX-License-Identifier: MIT
#pragma once

// The form of our SQLite databases, and the checks before anything is written to one. Needs the component
// kvstore::sqlite.

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/detail/file/side_file.hpp"
#include "kvstore/detail/sqlite/database.hpp"
#include "kvstore/detail/sqlite/log.hpp"
#include "kvstore/detail/sqlite/table.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr std::uint32_t kSqliteApplication = 0x6B767374;  // "kvst"
inline constexpr std::uint32_t kSqliteFormat = 1;

inline void check_sqlite_ids(const std::filesystem::path& path, std::uint32_t application,
                             std::uint32_t format) {
  if (application != kSqliteApplication) {
    throw StorageError{path, {}, "is another program's SQLite database; name another file"};
  }
  if (format == kSqliteFormat) return;
  throw StorageError{path,
                     {},
                     "has format version " + std::to_string(format) + ", and this library reads version " +
                         std::to_string(kSqliteFormat) + "; open it with a newer release"};
}

/// Whether the header is that of an SQLite database.
[[nodiscard]] inline bool is_sqlite_header(std::string_view header) noexcept {
  return header.starts_with(std::string_view{"SQLite format 3\0", 16});
}

/// Refuses an open file that was overwritten. SQLite would continue with its copy in memory and its log.
inline void check_not_overwritten(const SqliteDatabase& database) {
  std::array<char, 100> header{};
  database.read_start(header);
  if (is_sqlite_header({header.data(), header.size()})) return;
  throw StorageError{database.path(),
                     {},
                     "was overwritten by another program while the store was open, and is no SQLite database "
                     "any more; nothing was written: checkpoint() to another file what is in memory, then "
                     "move this one and its -wal file away"};
}

[[noreturn]] inline void throw_sqlite_exchanged(const std::filesystem::path& path,
                                                const std::filesystem::path& name) {
  throw StorageError{
      path,
      {},
      path_text(name) +
          " was moved, removed or replaced while the store was open; nothing was written: put it "
          "back, or checkpoint() to another file what is in memory"};
}

[[noreturn]] inline void throw_sqlite_changed(const std::filesystem::path& path) {
  throw StorageError{path,
                     {},
                     "another program has changed its entries since they were loaded; nothing was written: "
                     "checkpoint() to another file what is in memory, and open this one again"};
}

/// Checks the file before SQLite does, which would begin to change it.
inline void check_sqlite_header(const SqliteDatabase& database) {
  std::array<char, 100> header{};
  database.read_start(header);
  const std::string_view text{header.data(), header.size()};
  if (!is_sqlite_header(text)) { throw CorruptionError{database.path(), 0, "expected an SQLite database"}; }
  check_sqlite_ids(database.path(), big_endian(text.substr(68)), big_endian(text.substr(60)));
}

[[nodiscard]] inline std::int64_t number_of(SqliteDatabase& database, const char* sql) {
  SqliteStatement row{database, sql};
  return row.step("cannot read the database's form") ? row.integer(0) : 0;
}

/// The same within the open transaction: the log may have a newer header.
inline void check_sqlite_ids(SqliteDatabase& database) {
  check_sqlite_ids(database.path(), static_cast<std::uint32_t>(number_of(database, "pragma application_id")),
                   static_cast<std::uint32_t>(number_of(database, "pragma user_version")));
}

/// Call before WAL mode is set, so that the header that `check_sqlite_header` reads is in the file itself.
inline void make_sqlite_tables(SqliteDatabase& database) {
  SqliteTransaction transaction{database, "begin exclusive"};
  if (number_of(database, "select count(*) from sqlite_master") != 0) check_sqlite_ids(database);
  const std::string sql = "pragma application_id=" + std::to_string(kSqliteApplication) +
                          "; pragma user_version=" + std::to_string(kSqliteFormat) + "; " + kMakeEntries +
                          "; " + kMakeMeta;
  database.run(sql.c_str(), "cannot make the tables");
  transaction.commit();
}

/// False after a crash while the tables were made.
[[nodiscard]] inline bool has_sqlite_tables(SqliteDatabase& database) {
  return number_of(database, "select count(*) from sqlite_master") != 0;
}

[[nodiscard]] inline std::filesystem::path sqlite_log_path(std::filesystem::path path) {
  return path += "-wal";
}

/// The bytes of a database and its log, roughly: both may grow meanwhile.
[[nodiscard]] inline std::uint64_t sqlite_bytes(FileSystem& files, const std::filesystem::path& path) {
  std::uint64_t bytes = 0;
  for (const auto& name : {path, sqlite_log_path(path)}) {
    if (const auto found = files.status(name); !found.error) bytes += found.value.size;
  }
  return bytes;
}

/// Requires the two tables as `make_sqlite_tables` makes them. @throws StorageError, CorruptionError
inline void check_sqlite_tables(SqliteDatabase& database, FileSystem& files) {
  const SqliteBound bound{database, sqlite_bytes(files, database.path())};
  SqliteTableCheck{database}.run();
}

/// Has SQLite move its log into the database once the log is larger than the database, and at the latest at a
/// thousand pages, SQLite's default. A small database would otherwise have a log many times its size. If such
/// a log fills the disk, there is no room left to move it in.
inline void limit_sqlite_log(SqliteDatabase& database) {
  constexpr std::int64_t kMinPages = 64;
  constexpr std::int64_t kMaxPages = 1000;
  const auto pages = std::clamp(number_of(database, "pragma page_count"), kMinPages, kMaxPages);
  database.check(::sqlite3_wal_autocheckpoint(database.get(), static_cast<int>(pages)),
                 "cannot set up the connection");
}

/// A number of this connection that changes when another connection has written.
[[nodiscard]] inline std::int64_t sqlite_data_version(SqliteDatabase& database) {
  return number_of(database, "pragma data_version");
}

/// `ChangeSource::schema_version` of the last save. @throws CorruptionError if the stored value is not such a
/// number
[[nodiscard]] inline std::uint32_t read_schema_version(SqliteDatabase& database) {
  SqliteStatement row{database, "select value from meta where name = 'schema_version'"};
  if (!row.step("cannot read the schema version")) return 0;
  const std::int64_t version = row.integer(0);
  if (row.type(0) == SQLITE_INTEGER && version >= 0 && version <= std::int64_t{UINT32_MAX})
    return static_cast<std::uint32_t>(version);
  throw CorruptionError{database.path(), "table meta", "expected schema_version to be an INTEGER from 0 on"};
}

inline void write_schema_version(SqliteDatabase& database, std::uint32_t version) {
  SqliteStatement put{database, "insert or replace into meta values('schema_version', ?1)"};
  put.bind(1, std::int64_t{version});
  put.step("cannot store the schema version");
}

/// Refuses anything but files of this store's at the names that SQLite uses: it would wait for a pipe, and
/// trust a stranger's log. @throws StorageError
inline void check_sqlite_side_files(FileSystem& files, const std::filesystem::path& path) {
  for (const char* suffix : {"-journal", "-wal", "-shm"}) {
    auto name = path;
    name += suffix;
    if (!uninterrupted([&] { return files.read_link(name); }).error)
      throw StorageError{name, wrong_kind(FileKind::link), "SQLite cannot use it; move it away"};
    const FileStatus found = status_of_name(files, path, name);
    if (found.kind == FileKind::missing) continue;
    if (found.kind != FileKind::regular)
      throw StorageError{name, wrong_kind(found.kind), "SQLite cannot use it; move it away"};
    check_side_owner(files, path, name, found);
    check_sole_name(name, found);
  }
}

inline constexpr std::string_view kSqliteJournalStart{"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"};

inline constexpr std::size_t kSqliteLogHeader = 32;  // bytes

/// The first bytes of a file beside a database, at most those of a log's header. The index must not be
/// opened: closing it would drop SQLite's locks.
[[nodiscard]] inline std::string start_of_sqlite_file(FileSystem& files, const std::filesystem::path& path,
                                                      const char* suffix) {
  auto name = path;
  name += suffix;
  std::string start(kSqliteLogHeader, '\0');
  const auto file = open_if_exists(files, name);
  const auto got = file ? read_full(*file, 0, start) : Result<std::size_t>{};
  check_usable(name, got.error, "cannot read it");
  start.resize(got.value);
  return start;
}

/// Refuses a journal and a log that SQLite has not written: it would remove the one and overwrite the other.
/// Zeros at the start are its own, from before the first bytes or from after they ceased to count. A longer
/// log is judged by its checksums. @throws StorageError
inline void check_sqlite_starts(FileSystem& files, const std::filesystem::path& path) {
  const auto check = [&](const char* suffix, std::size_t most,
                         std::initializer_list<std::string_view> starts) {
    const std::string found = start_of_sqlite_file(files, path, suffix);
    if (found.size() > most) return;
    const bool fits = std::any_of(starts.begin(), starts.end(), [&found](std::string_view start) {
      const std::string_view first = std::string_view{found}.substr(0, start.size());
      return start.starts_with(first) || first.find_first_not_of('\0') == std::string_view::npos;
    });
    if (fits) return;
    auto name = path;
    name += suffix;
    throw StorageError{name,
                       {},
                       "was not written by SQLite, which would remove or overwrite it; it was not touched: "
                       "move it away"};
  };
  check("-journal", kSqliteLogHeader, {kSqliteJournalStart});
  check("-wal", kSqliteLogHeader - 1, {"\x37\x7f\x06\x82", "\x37\x7f\x06\x83"});
}

/// Makes an empty file for a new database that is to have the rights of the store `like`; otherwise SQLite
/// makes the file.
inline void make_sqlite_file(FileSystem& files, const std::filesystem::path& path,
                             const std::filesystem::path& like) {
  const FileRights rights = side_rights(rights_to_make(files, path, like));  // its owner must write it
  if (!rights.known || status_of_name(files, path, path).kind != FileKind::missing) return;
  check_usable(path, make_file(files, path, rights).error, "cannot make it");
}

/// SQLite gives the files beside a database its mode and owner, but not its access control list: the group
/// would get the most that the list gives anyone. So these files are made before SQLite does it.
inline void share_sqlite_rights(FileSystem& files, const std::filesystem::path& path) {
  const auto rights = rights_of(files, path);
  check_usable(path, rights.error, "cannot read its permissions");
  if (!rights.value.known) return;
  const FileRights wanted = side_rights(rights.value);
  for (const char* suffix : {"-wal", "-shm"}) {
    auto name = path;
    name += suffix;
    const bool is_new = status_of_name(files, path, name).kind == FileKind::missing;
    if (is_new && !wanted.acl.empty()) static_cast<void>(make_file(files, name, wanted));
    // A log that exists may be older than the permissions. The index has no entries, and must not be opened:
    // closing it would drop SQLite's locks.
    if (is_new || name != sqlite_log_path(path)) continue;
    const auto log = open_file(files, name, OpenMode::update);
    if (!log.error) static_cast<void>(give_rights(*log.value, wanted));
  }
}

/// Whether there is a non-empty write-ahead log.
[[nodiscard]] inline bool has_sqlite_log(FileSystem& files, const std::filesystem::path& path) {
  const auto name = sqlite_log_path(path);
  const auto found = uninterrupted([&] { return files.status(name); });
  check_usable(path, found.error, "cannot look at " + path_text(name));
  return found.value.kind != FileKind::missing && found.value.size != 0;
}

/// Whether there is a journal that takes back a transaction on a database that had pages before. Their number
/// stands at byte 16; it is 0 while a database is made.
[[nodiscard]] inline bool has_sqlite_journal(FileSystem& files, const std::filesystem::path& path) {
  constexpr std::size_t kPages = 16;
  const std::string start = start_of_sqlite_file(files, path, "-journal");
  return start.starts_with(kSqliteJournalStart) && start.size() >= kPages + 4 &&
         start.substr(kPages, 4) != std::string(4, '\0');
}

/// Refuses a log or a journal beside a missing or empty database: SQLite would delete it.
inline void check_lone_sqlite_log(FileSystem& files, const std::filesystem::path& path) {
  const auto refuse = [&path](const char* suffix) {
    auto name = path;
    name += suffix;
    throw StorageError{path,
                       {},
                       "is missing or empty, and " + path_text(name) +
                           " has changes of it; put the database back beside it, or move that file away"};
  };
  if (has_sqlite_log(files, path)) refuse("-wal");
  if (has_sqlite_journal(files, path)) refuse("-journal");
}

/// Call while no other connection can write. @throws CorruptionError if SQLite would silently forget part of
/// the log
inline void check_sqlite_log(FileSystem& files, const std::filesystem::path& path) {
  const auto name = sqlite_log_path(path);
  const auto log =
      open_if_exists(files, name);  // SQLite locks other files, so a second descriptor is no harm
  if (!log) return;
  if (const auto offset = SqliteLog{*log, name}.find_damage()) {
    throw CorruptionError{
        name, *offset,
        "expected what was written there; SQLite would silently forget this and all that was "
        "saved after it"};
  }
}

inline void finish_sqlite_load(LoadSink& sink, const std::filesystem::path& path) {
  try {
    sink.finish();
  } catch (const DuplicateEntryError& error) {
    throw CorruptionError{path, "table entries",
                          "expected each key once, found a " + std::string{error.what()}};
  }
}

}}}  // namespace kvstore::v1::detail
