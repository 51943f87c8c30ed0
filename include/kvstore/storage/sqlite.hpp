// SPDX-License-Identifier: MIT
#pragma once

// An SQLite database as a storage, for programs that also want to query the entries of a store. Not part of
// <kvstore/kvstore.hpp>: it needs the component kvstore::sqlite, and with it libsqlite3.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/base/descriptors.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/followed_path.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/file/standing_files.hpp"
#include "kvstore/detail/sqlite/database.hpp"
#include "kvstore/detail/sqlite/entry.hpp"
#include "kvstore/detail/sqlite/form.hpp"
#include "kvstore/detail/sqlite/table.hpp"
#include "kvstore/error.hpp"
#include "kvstore/kvstore_fwd.hpp"  // IWYU pragma: export
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 {

/// The options of `SqliteFile`.
struct SqliteOptions {
  /// The time that a load or save waits while another program keeps the database busy, before it fails.
  std::chrono::milliseconds busy_timeout = std::chrono::seconds{5};

  /// The name of a registered VFS of SQLite, for tests; null = SQLite's own.
  const char* vfs = nullptr;
};

/// Keeps a store in table `entries(key, value)` of an SQLite database: integer keys as INTEGER, others as
/// TEXT, and values as JSON text, so that `select json_extract(value, '$.city') from entries` works. Entries
/// written there by other programs load when the store is next opened. While a store has the file open, other
/// programs should only read it: once they have changed an entry, saves are refused, and none of their
/// changes is overwritten.
///
/// A save is one transaction, in WAL mode with `synchronous=FULL`; only changes are written. After a failed
/// write or sync the connection is given up, and the next save writes everything.
///
/// If a database is refused, it is unchanged, and so is its log. There are two exceptions: the log's index
/// (`-shm`), which SQLite recreates whenever it opens a log, may be new; and a transaction that another
/// program left unfinished in rollback-journal mode is rolled back.
///
/// *Damage*: SQLite keeps no checksums of a database, so a changed bit shows only if it breaks the structure
/// or the JSON of a value. Its log has checksums, and damage in the log is reported, except in the last
/// transaction or two. Damage there cannot be distinguished from the end that a crash leaves, so SQLite's
/// rule applies: these transactions count as never saved.
///
/// *Thread safety*: as documented for `Storage`. *Complexity*: a save costs O(changes * log(entries)).
///
/// ```cpp
/// kvstore::BatchPersistentKeyValueStore<std::string, int> store{
///     std::make_unique<kvstore::SqliteFile>("data.db")};
/// ```
class SqliteFile final : public Storage {
 public:
  /// Names the file, which need not exist; its folder must exist. @throws as `JsonFile`
  explicit SqliteFile(const std::filesystem::path& path, SqliteOptions options = {})
      : options_{options},
        files_{detail::system_file_system()},
        given_{files_, path},
        path_{given_.target()} {}

  /// Passes on every row, as of one moment. An exclusive load takes the file's lock first, and makes the
  /// database if there is none. @throws LockedError if another store has the lock; CorruptionError if the
  /// file is not a database, a row is not an entry, or pages or the log are damaged; StorageError if the
  /// database is another program's, of a newer version, busy, unreadable or (exclusively) not writable, or if
  /// its tables are not as a store makes them. The database is then untouched.
  void load(const LoadRequest& request, LoadSink& sink) override {
    const detail::StandardFiles taken;  // SQLite would open files under these numbers, and keep them
    const bool exclusive = request.purpose == LoadPurpose::exclusive;
    integer_keys_ = request.integer_keys;
    const bool locks = exclusive && !lock_;
    try {
      if (exclusive) acquire();
      if (!exclusive && !lock_ && standing_.first_exchanged()) disconnect();
      if (!connect(exclusive)) {
        sink.missing(path_, request);
        return sink.finish();
      }
      if (const auto status = files_.status(path_); !status.error) sink.expect(status.value.size);
      load_rows(sink, exclusive);
      if (exclusive) begin_to_write();
    } catch (...) {
      disconnect();
      if (locks) release();
      throw;
    }
  }

  /// Nothing has changed if no connection has written since, and the file is the same.
  bool load_changes(LoadSink&) override {
    const detail::StandardFiles taken;
    return database_ != nullptr && !standing_.first_exchanged() &&
           seen_ == detail::sqlite_data_version(*database_);
  }

  [[nodiscard]] SaveScope scope() const noexcept override {
    return rewrite_ || mixed_keys_ ? SaveScope::everything : SaveScope::changes;
  }

  /// @throws StorageError also if the file, its log or its lock file was moved, removed, replaced or
  /// overwritten since it was opened, or if another program has changed an entry. Nothing is written then.
  void save(ChangeSource& source) override {
    const detail::StandardFiles taken;
    acquire();
    check_not_exchanged();
    if (rewrite_) disconnect();  // nothing is assumed about a connection that failed
    if (!database_) connect_to_write();
    detail::SqliteTransaction transaction{*database_, "begin immediate"};
    check_changes_of_others();
    detail::limit_sqlite_log(*database_);
    try {
      write(source);
      transaction.commit();
    } catch (const Error&) {
      if (database_->found_disk_full())
        transaction.roll_back_and_make_room();
      else
        rewrite_ = true;
      throw;
    }
    known_.erase(known_.begin(), known_.end() - (known_.empty() ? 0 : 1));
    stored_version_ = source.schema_version();
    if (source.scope() == SaveScope::everything) rewrite_ = mixed_keys_ = false;
  }

  /// @throws StorageError as `save` does if a file was moved, removed, replaced or overwritten: SQLite cannot
  /// recreate an open file
  [[nodiscard]] bool is_intact() override {
    const detail::StandardFiles taken;
    if (lock_) check_not_exchanged();
    return true;
  }

  void make_like(const std::filesystem::path& source) override { like_ = source; }
  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }
  [[nodiscard]] std::filesystem::path path() const override { return path_; }

 private:
  static constexpr std::int64_t kNothing = -1;  // not a version of data

  // Opening ---------------------------------------------------------------------------------------

  void acquire() {
    if (lock_) return;
    given_.check_not_dangling();
    detail::check_writable_folder(files_, path_);
    lock_.emplace(files_, path_);
  }

  void release() noexcept {
    lock_.reset();
    standing_.forget();
  }

  /// False if there is no database and none is to be made. An existing connection is kept.
  bool connect(bool writes) {
    if (database_) return true;
    detail::check_sqlite_side_files(files_, path_);
    if (options_.vfs == nullptr) detail::check_sqlite_starts(files_, path_);  // another may write otherwise
    const auto found = detail::uninterrupted([&] { return files_.status(path_); });
    detail::check_usable(path_, found.error, "cannot look at it");
    const bool exists = found.value.size != 0;
    if (!exists) detail::check_lone_sqlite_log(files_, path_);
    if (!exists && !writes) return false;
    if (!exists) detail::make_sqlite_file(files_, path_, like_);
    const int flags = writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    auto database =
        std::make_unique<detail::SqliteDatabase>(path_, flags, options_.busy_timeout, options_.vfs);
    database->distrust_schema();
    if (exists) detail::check_sqlite_header(*database);
    if (writes) detail::share_sqlite_rights(files_, path_);
    if (exists && detail::has_sqlite_log(files_, path_)) database->checkpoint_on_close(false);
    const detail::SqliteBound bound{*database, detail::sqlite_bytes(files_, path_)};
    if (writes && !detail::has_sqlite_tables(*database)) detail::make_sqlite_tables(*database);
    standing_.remember(path_);
    database_ = std::move(database);
    return true;
  }

  void disconnect() noexcept {
    put_.reset();
    remove_.reset();
    find_.reset();
    database_.reset();
    seen_ = kNothing;
    log_.forget();
    if (!lock_) standing_.forget();
  }

  void connect_to_write() {
    try {
      connect(true);
      begin_to_write();
      check_not_exchanged();
    } catch (...) {
      disconnect();
      throw;
    }
  }

  /// Call once all checks have passed.
  void begin_to_write() {
    detail::SqliteStatement journal{*database_, "pragma journal_mode=wal"};
    if (!journal.step("cannot set journal_mode=wal") || journal.text(0) != "wal")
      throw StorageError{path_, {}, "its file system does not allow SQLite's WAL mode; use another one"};
    journal.reset();
    database_->run("pragma synchronous=full", "cannot set synchronous=full");
    database_->checkpoint_on_close(true);
    static_cast<void>(detail::sqlite_data_version(*database_));  // reads the log, and so creates it
    log_.forget();
    for (const char* suffix : {"-wal", "-shm"}) {
      auto name = path_;
      log_.remember(name += suffix);
    }
  }

  /// SQLite continues to use the files that it has open. Data written to them are lost once their names refer
  /// to other files.
  void check_not_exchanged() {
    if (lock_) lock_->check_still_held();
    auto name = standing_.first_exchanged();
    if (!name) name = log_.first_exchanged();
    if (!name && database_) detail::check_not_overwritten(*database_);
    if (name) detail::throw_sqlite_exchanged(path_, *name);
  }

  // Reading ---------------------------------------------------------------------------------------

  void load_rows(LoadSink& sink, bool exclusive) {
    if (exclusive) check_not_exchanged();
    mixed_keys_ = false;
    // An exclusive load keeps others from writing already: later saves overwrite exactly the entries loaded.
    detail::SqliteTransaction moment{*database_, exclusive ? "begin immediate" : "begin"};
    detail::check_sqlite_ids(*database_);
    if (exclusive) detail::check_sqlite_log(files_, path_);
    detail::check_sqlite_tables(*database_, files_);
    stored_version_ = detail::read_schema_version(*database_);
    if (stored_version_ != 0) sink.schema_version(stored_version_);
    const detail::EntryDigest digest = read_entries(&sink);
    detail::finish_sqlite_load(sink, path_);
    if (lock_ && !exclusive) return;  // a reload of entries already owned
    known_ = {digest};
    seen_ = detail::sqlite_data_version(*database_);
  }

  /// Reads every row, and passes it to `sink` unless that is null.
  detail::EntryDigest read_entries(LoadSink* sink) {
    const std::uint64_t bytes = detail::sqlite_bytes(files_, path_);
    const detail::SqliteBound bound{*database_, bytes};
    detail::SqliteRowBudget budget{bytes};
    detail::EntryDigest digest = 0;
    detail::SqliteStatement rows{*database_, "select key, value from entries not indexed"};
    while (rows.step("cannot read the entries")) {
      entry_.read(rows);
      budget.spend(*database_, entry_.key().size() + entry_.value().size());
      digest += entry_.digest();
      if (sink != nullptr) put_into(*sink);
    }
    return digest;
  }

  void put_into(LoadSink& sink) {
    // Written by another program, or by a copy without integer keys: the next save corrects the form.
    if (entry_.has_integer_key() != as_integer(entry_.key()).has_value()) mixed_keys_ = true;
    try {
      sink.put(entry_.key(), entry_.value());
    } catch (const ParseError& error) { entry_.throw_damaged(error.what()); }
  }

  /// The number under which a key is stored; none if the key is stored as TEXT.
  [[nodiscard]] std::optional<std::int64_t> as_integer(std::string_view key) const noexcept {
    return integer_keys_ ? detail::sqlite_integer(key) : std::nullopt;
  }

  // Writing ---------------------------------------------------------------------------------------

  void write(ChangeSource& source) {
    const bool everything = source.scope() == SaveScope::everything;
    if (everything) database_->run("delete from entries", "cannot replace the entries");
    const detail::EntryDigest digest = everything ? insert_entries(source) : change_entries(source);
    if (source.schema_version() != stored_version_)
      detail::write_schema_version(*database_, source.schema_version());
    const bool is_known = everything || !known_.empty();
    // Before the commit: a commit that fails may still have happened.
    if (is_known && (known_.empty() || known_.back() != digest)) known_.push_back(digest);
  }

  /// @returns the digest of the resulting entries, as does the next function
  detail::EntryDigest insert_entries(ChangeSource& source) {
    detail::SqliteStatement insert{*database_, "insert into entries(key, value) values(?1, ?2)"};
    detail::EntryDigest digest = 0;
    for (Change change; source.next(change);) {
      put(insert, change);
      digest += detail::digest_of(change.key, *change.value);
    }
    return digest;
  }

  detail::EntryDigest change_entries(ChangeSource& source) {
    prepare();
    detail::EntryDigest digest = known_.empty() ? 0 : known_.front();
    for (Change change; source.next(change);) {
      digest -= stored_digest(change.key);
      put(change.value ? *put_ : *remove_, change);
      if (change.value) digest += detail::digest_of(change.key, *change.value);
    }
    return digest;
  }

  void put(detail::SqliteStatement& statement, const Change& change) const {
    bind_key(statement, change.key);
    if (change.value) statement.bind(2, *change.value);
    statement.step("cannot store an entry");
  }

  void prepare() {
    if (put_) return;
    find_.emplace(*database_, "select value from entries where key = ?1");
    remove_.emplace(*database_, "delete from entries where key = ?1");
    put_.emplace(*database_,
                 "insert into entries(key, value) values(?1, ?2) on conflict(key) do update set value = "
                 "excluded.value");
  }

  void bind_key(detail::SqliteStatement& statement, std::string_view key) const {
    if (const auto number = as_integer(key))
      statement.bind(1, *number);
    else
      statement.bind(1, key);
  }

  // Others who write ------------------------------------------------------------------------------

  /// The digest of the entry stored under a key; 0 if there is none.
  [[nodiscard]] detail::EntryDigest stored_digest(std::string_view key) {
    bind_key(*find_, key);
    if (!find_->step("cannot look for an entry")) return 0;
    entry_.read(key, *find_);
    find_->reset();
    return entry_.digest();
  }

  /// Other connections that, for example, make an index or vacuum change no entry. Entries are compared only
  /// if another connection has written at all, since that takes as long as a load.
  void check_changes_of_others() {
    if (known_.empty()) return;  // nothing was loaded, so nothing is expected
    const std::int64_t version = detail::sqlite_data_version(*database_);
    if (version == seen_) return;
    detail::check_sqlite_tables(*database_, files_);
    const detail::EntryDigest found = read_entries(nullptr);
    if (std::find(known_.begin(), known_.end(), found) == known_.end()) detail::throw_sqlite_changed(path_);
    known_ = {found};
    seen_ = version;
  }

  SqliteOptions options_;
  detail::FileSystem& files_;
  detail::FollowedPath given_;
  std::filesystem::path like_;  // a new database gets the rights of this file
  std::filesystem::path path_;
  std::optional<detail::FileLock> lock_;    // none before the file is locked
  detail::StandingFiles standing_{files_};  // the database
  detail::StandingFiles log_{files_};       // the files that SQLite keeps beside it while it is open
  std::unique_ptr<detail::SqliteDatabase> database_;
  std::optional<detail::SqliteStatement> put_;  // kept, since preparing costs more than a small save
  std::optional<detail::SqliteStatement> remove_;
  std::optional<detail::SqliteStatement> find_;
  bool integer_keys_ = false;
  bool mixed_keys_ = false;  // some keys are not in the form in which they are stored now
  bool rewrite_ = false;     // after a failure: write everything anew, through a new connection
  std::uint32_t stored_version_ = 0;
  std::int64_t seen_ = kNothing;            // sqlite_data_version() of what was loaded
  std::vector<detail::EntryDigest> known_;  // of the last load or save, and of saves of unknown outcome since
  detail::SqliteEntry entry_{path_};        // of the current row
};

}}  // namespace kvstore::v1
