// SPDX-License-Identifier: MIT
#pragma once

// An SQLite database as storage, for those who also want to query what a store keeps. Not part of
// <kvstore/kvstore.hpp>: it needs the component kvstore::sqlite, and with it libsqlite3.

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/codec.hpp"
#include "kvstore/detail/file_lock.hpp"
#include "kvstore/detail/file_system.hpp"
#include "kvstore/detail/json_snapshot.hpp"
#include "kvstore/detail/json_writer.hpp"
#include "kvstore/detail/sqlite_database.hpp"
#include "kvstore/detail/system_file_system.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0 {

/// How `Sqlite` behaves.
struct SqliteOptions {
  /// How long a load or save waits while another program keeps the database busy, before it fails.
  std::chrono::milliseconds busy_timeout = std::chrono::seconds{5};

  /// The name of a registered VFS of SQLite, for tests; null = SQLite's own.
  const char* vfs = nullptr;
};

/// Keeps a store in table `entries(key, value)` of an SQLite database: integer keys as INTEGER, others as
/// TEXT, and values as JSON text, so that `select json_extract(value, '$.city') from entries` works. What
/// other programs write there loads when the store is opened next; while a store has the file open, others
/// should only read it.
///
/// A save is one transaction, in WAL mode with `synchronous=FULL`; only what changed is written. After a
/// failed write or sync the connection is given up, and the next save writes everything.
///
/// *Thread safety*: as `Storage` says. *Complexity*: a save costs O(changes * log(entries)).
///
/// ```cpp
/// kvstore::BatchPersistentKeyValueStore<std::string, int>
/// store{std::make_unique<kvstore::Sqlite>("data.db")};
/// ```
class Sqlite final : public Storage {
 public:
  /// Names the file, which need not exist, in a folder, which must. @throws as `JsonFile`
  explicit Sqlite(const std::filesystem::path& path, SqliteOptions options = {})
      : options_{options}, files_{detail::system_file_system()}, path_{detail::usable_path(files_, path)} {}

  /// Hands over every row, as of one moment. To own it, takes the file's lock first, and makes the database
  /// if there is none. @throws LockedError if another store has it; CorruptionError if it is no database or a
  /// row is no entry; StorageError if it is another program's, of a newer version, busy, or cannot be read:
  /// it is untouched.
  void load(LoadSink& sink) override {
    const bool owns = sink.request().purpose == LoadPurpose::own;
    integer_keys_ = sink.request().integer_keys;
    if (owns) own();
    if (!lock_ && was_replaced()) disconnect();
    if (!connect(owns)) {
      sink.missing(path_);
      return sink.finish();
    }
    if (const auto status = files_.status(path_); !status.error) sink.expect(status.value.size);
    mixed_keys_ = false;
    detail::SqliteTransaction moment{*database_, "begin"};
    stored_version_ = read_version();
    if (stored_version_ != 0) sink.schema_version(stored_version_);
    read_entries(sink);
    seen_ = data_version();
  }

  /// There is nothing to hand over if nobody has written since.
  bool load_changes(LoadSink&) override {
    return database_ != nullptr && !was_replaced() && seen_ == data_version();
  }

  [[nodiscard]] SaveScope scope() const noexcept override {
    return rewrite_ || mixed_keys_ ? SaveScope::everything : SaveScope::changes;
  }

  void save(ChangeSource& source) override {
    own();
    connect(true);
    const bool everything = source.scope() == SaveScope::everything;
    detail::SqliteTransaction transaction{*database_, "begin immediate"};
    try {
      if (everything) database_->run("delete from entries", "cannot replace the entries");
      write_entries(source, everything);
      if (source.schema_version() != stored_version_) write_version(source.schema_version());
      transaction.commit();
    } catch (const StorageError& error) {
      if (error.code() != std::errc::no_space_on_device) rewrite_ = true;
      throw;
    }
    stored_version_ = source.schema_version();
    if (everything) rewrite_ = mixed_keys_ = false;
  }

  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }
  [[nodiscard]] std::filesystem::path path() const override { return path_; }

 private:
  static constexpr std::uint32_t kApplication = 0x6B767374;  // "kvst"
  static constexpr std::uint32_t kFormat = 1;

  // Opening
  // --------------------------------------------------------------------------------------------------

  void own() {
    if (lock_) return;
    detail::check_writable_folder(files_, path_);
    lock_.emplace(files_, path_);
  }

  /// False if there is no database and none is to be made.
  bool connect(bool writes) {
    if (rewrite_) disconnect();  // nothing is assumed about a connection that failed
    if (database_) return true;
    const auto status = files_.status(path_);
    const bool exists = check_header();
    if (!exists && !writes) return false;
    const int flags = writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    auto database =
        std::make_unique<detail::SqliteDatabase>(path_, flags, options_.busy_timeout, options_.vfs);
    database->run("pragma trusted_schema=off", "cannot set up the connection");
    if (writes && !has_tables(*database)) make_tables(*database);
    if (writes) {
      detail::SqliteStatement journal{*database, "pragma journal_mode=wal"};
      if (!journal.step("cannot set journal_mode=wal") || journal.text(0) != "wal")
        throw StorageError{path_, {}, "its file system does not allow SQLite's WAL mode; use another one"};
      database->run("pragma synchronous=full", "cannot set synchronous=full");
    }
    database_ = std::move(database);
    connected_to_ = status.value;
    return true;
  }

  void disconnect() {
    put_.reset();
    remove_.reset();
    database_.reset();
  }

  /// Whether the path stands no longer for the file of a reader's connection, which keeps the old one open.
  [[nodiscard]] bool was_replaced() {
    const auto now = files_.status(path_);
    return now.error || now.value.inode != connected_to_.inode || now.value.device != connected_to_.device;
  }

  /// Looks at the file before SQLite does, which would begin to change it. False if it is missing or empty.
  [[nodiscard]] bool check_header() {
    const auto file = detail::open_if_exists(files_, path_);
    if (!file) return false;
    std::array<char, 100> header{};
    const auto got = detail::read_full(*file, 0, header);
    if (got.error) throw StorageError{path_, got.error, "cannot read"};
    if (got.value == 0) return false;
    const std::string_view text{header.data(), got.value};
    if (got.value < header.size() || !text.starts_with(std::string_view{"SQLite format 3\0", 16})) {
      throw CorruptionError{path_, 0, "expected an SQLite database"};
    }
    if (big_endian(text.substr(68)) != kApplication) {
      throw StorageError{path_, {}, "is another program's SQLite database; name another file"};
    }
    if (const std::uint32_t format = big_endian(text.substr(60)); format != kFormat) {
      throw StorageError{path_,
                         {},
                         "has format version " + std::to_string(format) +
                             ", and this library reads version " + std::to_string(kFormat) +
                             "; open it with a newer release"};
    }
    return true;
  }

  [[nodiscard]] static std::uint32_t big_endian(std::string_view bytes) noexcept {
    std::uint32_t number = 0;
    for (const char byte : bytes.substr(0, 4)) number = number << 8 | static_cast<unsigned char>(byte);
    return number;
  }

  /// A crash while they were made leaves a database without them.
  [[nodiscard]] static bool has_tables(detail::SqliteDatabase& database) {
    return detail::SqliteStatement{database, "select 1 from sqlite_master where name = 'entries'"}.step(
        "cannot look for the tables");
  }

  /// Before WAL mode: so the header that `check_header` looks at is in the file itself.
  static void make_tables(detail::SqliteDatabase& database) {
    detail::SqliteTransaction transaction{database, "begin exclusive"};
    const std::string sql = "pragma application_id=" + std::to_string(kApplication) +
                            "; pragma user_version=" + std::to_string(kFormat) +
                            "; create table entries(key not null primary key, value not null) without rowid;"
                            "create table meta(name text not null primary key, value) without rowid";
    database.run(sql.c_str(), "cannot make the tables");
    transaction.commit();
  }

  // Reading
  // --------------------------------------------------------------------------------------------------

  void read_entries(LoadSink& sink) {
    detail::SqliteStatement rows{*database_, "select key, value from entries"};
    while (rows.step("cannot read the entries")) {
      read_key(rows);
      read_value(rows);
      try {
        sink.put(key_, value_);
      } catch (const ParseError& error) { refuse(error.what()); }
    }
    try {
      sink.finish();
    } catch (const DuplicateEntryError& error) {
      throw CorruptionError{path_, "table entries",
                            "expected each key once, found a " + std::string{error.what()}};
    }
  }

  void read_key(const detail::SqliteStatement& row) {
    const int type = row.type(0);
    if (type == SQLITE_INTEGER) {
      key_ = std::to_string(row.integer(0));
    } else if (type == SQLITE_TEXT) {
      key_ = row.text(0);
    } else {
      throw CorruptionError{path_, "table entries", "expected each key to be INTEGER or TEXT"};
    }
    // What another program wrote, or a copy that did not know of integers: the next save puts it right.
    if ((type == SQLITE_INTEGER) != as_integer(key_).has_value()) mixed_keys_ = true;
  }

  void read_value(const detail::SqliteStatement& row) {
    switch (row.type(1)) {
      case SQLITE_TEXT:
        value_ = row.text(1);
        return;
      case SQLITE_INTEGER:
        value_ = std::to_string(row.integer(1));
        return;
      case SQLITE_FLOAT: {
        JsonWriter text;
        try {
          Codec<double>::encode(row.real(1), text);
        } catch (const ValueError& error) { refuse(error.what()); }
        value_ = text.text();
        return;
      }
      default:
        refuse("expected JSON text as value, found a BLOB or NULL");
    }
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw CorruptionError{path_, "entry " + KeyText<std::string>::for_message(key_), why};
  }

  /// The number that a key is to be stored as; none if it is to be TEXT.
  [[nodiscard]] std::optional<std::int64_t> as_integer(std::string_view key) const noexcept {
    if (!integer_keys_) return std::nullopt;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
    if (error != std::errc{} || end != key.data() + key.size()) return std::nullopt;  // above 2^63 - 1
    return number;
  }

  /// Changes when somebody else has written.
  [[nodiscard]] std::int64_t data_version() {
    detail::SqliteStatement row{*database_, "pragma data_version"};
    return row.step("cannot ask for changes") ? row.integer(0) : 0;
  }

  [[nodiscard]] std::uint32_t read_version() {
    detail::SqliteStatement row{*database_, "select value from meta where name = 'schema_version'"};
    if (!row.step("cannot read the schema version")) return 0;
    const std::int64_t version = row.integer(0);
    if (row.type(0) == SQLITE_INTEGER && version >= 0 && version <= std::int64_t{UINT32_MAX})
      return static_cast<std::uint32_t>(version);
    throw CorruptionError{path_, "table meta", "expected schema_version to be an INTEGER from 0 on"};
  }

  // Writing
  // --------------------------------------------------------------------------------------------------

  void write_entries(ChangeSource& source, bool everything) {
    if (!put_) {
      put_.emplace(
          *database_,
          "insert into entries values(?1, ?2) on conflict(key) do update set value = excluded.value");
      remove_.emplace(*database_, "delete from entries where key = ?1");
    }
    std::optional<detail::SqliteStatement> insert;
    if (everything) insert.emplace(*database_, "insert into entries values(?1, ?2)");
    for (Change change; source.next(change);) {
      auto& statement = !change.value ? *remove_ : everything ? *insert : *put_;
      if (const auto number = as_integer(change.key))
        statement.bind(1, *number);
      else
        statement.bind(1, change.key);
      if (change.value) statement.bind(2, *change.value);
      statement.step("cannot store an entry");
    }
  }

  void write_version(std::uint32_t version) {
    detail::SqliteStatement put{*database_, "insert or replace into meta values('schema_version', ?1)"};
    put.bind(1, std::int64_t{version});
    put.step("cannot store the schema version");
  }

  SqliteOptions options_;
  detail::FileSystem& files_;
  std::filesystem::path path_;
  std::optional<detail::FileLock> lock_;  // none before it is owned
  std::unique_ptr<detail::SqliteDatabase> database_;
  detail::FileStatus connected_to_;             // the file, as a reader found it
  std::optional<detail::SqliteStatement> put_;  // kept, since preparing costs more than a small save
  std::optional<detail::SqliteStatement> remove_;
  bool integer_keys_ = false;
  bool mixed_keys_ = false;  // some keys are not stored as they would be now
  bool rewrite_ = false;     // after a failure: everything is to be written anew, through a new connection
  std::uint32_t stored_version_ = 0;
  std::int64_t seen_ = 0;  // data_version() of what was loaded
  std::string key_;        // of the row at hand
  std::string value_;
};

}  // namespace kvstore::inline v0
