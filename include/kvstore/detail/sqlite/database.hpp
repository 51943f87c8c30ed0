// SPDX-License-Identifier: MIT
#pragma once

// SQLite's C interface with owners and exceptions. Needs the component kvstore::sqlite.

#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/process.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class SqliteDatabase {
 public:
  /// `busy`: the time to wait for another process. `vfs`: the name of SQLite's interface to the operating
  /// system, or null. @throws StorageError, CorruptionError, as every member
  SqliteDatabase(std::filesystem::path path, int flags, std::chrono::milliseconds busy, const char* vfs)
      : path_{std::move(path)}, busy_{busy} {
    ::sqlite3* raw = nullptr;
    const int result =
        ::sqlite3_open_v2(path_.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
    database_.reset(raw);
    check(result, "cannot open");
    if ((flags & SQLITE_OPEN_READWRITE) != 0) check_writable();
    check(::sqlite3_busy_timeout(raw, milliseconds_to_wait()), "cannot set the time to wait");
  }

  [[nodiscard]] ::sqlite3* get() const noexcept { return database_.get(); }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Whether the connection belongs to a process that this one was forked from.
  [[nodiscard]] bool is_foreign() const noexcept { return database_.get_deleter().home.is_foreign_by_id(); }

  void run(const char* sql, const char* what) {
    check(::sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr), what);
  }

  /// Reads the file's first bytes before SQLite examines them and perhaps begins to change the file. Bytes
  /// beyond the file's end are zeros.
  ///
  /// Uses SQLite's own handle: if a second descriptor of the file were closed, POSIX would drop every lock
  /// that other connections of this process hold on the file.
  void read_start(std::span<char> out) const {
    ::sqlite3_file* file = nullptr;
    check(::sqlite3_file_control(database_.get(), "main", SQLITE_FCNTL_FILE_POINTER, &file), "cannot read");
    const int result = file->pMethods->xRead(file, out.data(), static_cast<int>(out.size()), 0);
    if (result != SQLITE_IOERR_SHORT_READ) check(result, "cannot read");
  }

  /// Has SQLite run nothing that the schema of a database may hold: triggers, views, functions that are not
  /// harmless. Nor may a statement change the schema other than by its own verbs.
  void distrust_schema() {
    for (const auto& [option, value] : {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1},
                                        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                                        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                                        {SQLITE_DBCONFIG_ENABLE_FKEY, 0}})
      check(::sqlite3_db_config(database_.get(), option, value, nullptr), "cannot set up the connection");
  }

  /// From now on statements take at most that many steps together; 0: any number.
  void bound_steps(std::uint64_t steps) noexcept {
    constexpr int kAtOnce = 1000;
    *left_ = steps / kAtOnce;
    ::sqlite3_progress_handler(database_.get(), kAtOnce, steps == 0 ? nullptr : count_steps, left_.get());
  }

  /// Whether the last connection, on closing, moves the write-ahead log into the database and removes it.
  /// SQLite does so by default.
  void checkpoint_on_close(bool does) {
    check(::sqlite3_db_config(database_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, does ? 0 : 1, nullptr),
          "cannot set up the connection");
  }

  /// Moves the write-ahead log into the database and truncates it, as far as this is possible at once:
  /// readers may be active, and the disk may be full.
  void empty_log() noexcept {
    ::sqlite3_busy_timeout(database_.get(), 0);
    ::sqlite3_wal_checkpoint_v2(database_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    ::sqlite3_busy_timeout(database_.get(), milliseconds_to_wait());
  }

  /// Whether the last failure was a write for which the disk had no room.
  [[nodiscard]] bool found_disk_full() const noexcept { return failure_ == SQLITE_FULL; }

  /// Throws the error for `result`, if that is a failure to do `what`.
  void check(int result, const std::string& what) const {
    if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return;
    const std::string message = what + ": SQLite says \"" +
                                (database_ ? ::sqlite3_errmsg(database_.get()) : ::sqlite3_errstr(result)) +
                                '"' + (result == SQLITE_READONLY_ROLLBACK ? kRollBack : "");
    failure_ = result & 0xFF;
    switch (failure_) {
      case SQLITE_NOMEM:
        throw std::bad_alloc{};
      case SQLITE_NOTADB:
      case SQLITE_CORRUPT:
        throw CorruptionError{path_, "the database", message};
      case SQLITE_INTERRUPT:
        throw CorruptionError{path_, "the database",
                              message + ", since it takes more steps than a database of its size can need"};
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        throw StorageError{path_, std::make_error_code(std::errc::device_or_resource_busy),
                           message + "; another program has kept the database busy for " +
                               std::to_string(busy_.count()) + " ms (SqliteOptions::busy_timeout)"};
      default:
        throw StorageError{path_, cause_of(result), message};
    }
  }

 private:
  static constexpr const char* kRollBack =
      "; a program was killed within a transaction: open the database once for writing, which takes it back";

  /// SQLite forbids a forked child to use a connection of its parent in any way, even to close it.
  struct Close {
    void operator()(::sqlite3* database) const noexcept {
      if (home.is_foreign_by_id()) return leave_to_parent(database);
      ::sqlite3_close_v2(database);
    }
    ForkGuard home;
  };

  static int count_steps(void* left) noexcept {
    std::uint64_t& steps = *static_cast<std::uint64_t*>(left);
    return steps == 0 || --steps == 0 ? 1 : 0;
  }

  [[nodiscard]] int milliseconds_to_wait() const noexcept {
    using Wait = std::chrono::milliseconds::rep;
    return static_cast<int>(std::clamp<Wait>(busy_.count(), 0, std::numeric_limits<int>::max()));
  }

  /// SQLite opens a write-protected file for reading, and reports that only on the first write.
  void check_writable() const {
    if (::sqlite3_db_readonly(database_.get(), "main") == 0) return;
    throw StorageError{path_, std::make_error_code(std::errc::permission_denied), "cannot open for writing"};
  }

  [[nodiscard]] std::error_code cause_of(int result) const {
    const int system = database_ ? ::sqlite3_system_errno(database_.get()) : 0;
    switch (result & 0xFF) {
      case SQLITE_FULL:
        return std::make_error_code(std::errc::no_space_on_device);
      case SQLITE_READONLY:
        return std::make_error_code(std::errc::read_only_file_system);
      case SQLITE_PERM:
      case SQLITE_AUTH:
        return std::make_error_code(std::errc::permission_denied);
      case SQLITE_IOERR:
      case SQLITE_CANTOPEN:
        return system != 0 ? std::error_code{system, std::generic_category()}
                           : std::make_error_code(std::errc::io_error);
      default:
        return {};
    }
  }

  std::filesystem::path path_;
  std::chrono::milliseconds busy_;
  mutable int failure_ = SQLITE_OK;                                           // the last one
  std::unique_ptr<std::uint64_t> left_ = std::make_unique<std::uint64_t>(0);  // thousands of steps
  std::unique_ptr<::sqlite3, Close> database_;
};

/// A prepared statement. Text that is bound must outlive the next `step`.
class SqliteStatement {
 public:
  SqliteStatement(SqliteDatabase& database, const char* sql) : database_{database} {
    ::sqlite3_stmt* raw = nullptr;
    const int result = ::sqlite3_prepare_v2(database.get(), sql, -1, &raw, nullptr);
    statement_.reset(raw);
    database.check(result, "cannot prepare a statement");
  }

  void bind(int column, std::int64_t number) {
    database_.check(::sqlite3_bind_int64(statement_.get(), column, number), "cannot bind a number");
  }
  void bind(int column, std::string_view text) {
    // An empty view may have a null pointer, which would mean NULL.
    const char* const data = text.empty() ? "" : text.data();
    database_.check(
        ::sqlite3_bind_text64(statement_.get(), column, data, text.size(), SQLITE_STATIC, SQLITE_UTF8),
        "cannot bind a text of " + std::to_string(text.size()) + " bytes");
  }

  /// Whether there is a row; `what` describes the attempt.
  bool step(const char* what) {
    const int result = ::sqlite3_step(statement_.get());
    if (result != SQLITE_ROW) ::sqlite3_reset(statement_.get());
    database_.check(result, what);
    return result == SQLITE_ROW;
  }
  void reset() noexcept { ::sqlite3_reset(statement_.get()); }

  /// `SQLITE_INTEGER`, `SQLITE_FLOAT`, `SQLITE_TEXT`, `SQLITE_BLOB` or `SQLITE_NULL`.
  [[nodiscard]] int type(int column) const noexcept {
    return ::sqlite3_column_type(statement_.get(), column);
  }
  [[nodiscard]] std::int64_t integer(int column) const noexcept {
    return ::sqlite3_column_int64(statement_.get(), column);
  }
  [[nodiscard]] double real(int column) const noexcept {
    return ::sqlite3_column_double(statement_.get(), column);
  }
  /// The view lives until the next step.
  [[nodiscard]] std::string_view text(int column) const {
    const auto* const data = ::sqlite3_column_text(statement_.get(), column);
    const auto bytes = static_cast<std::size_t>(::sqlite3_column_bytes(statement_.get(), column));
    if (data == nullptr) throw std::bad_alloc{};
    return {reinterpret_cast<const char*>(data), bytes};
  }

 private:
  struct Finalize {
    void operator()(::sqlite3_stmt* statement) const noexcept {
      if (home.is_foreign_by_id()) return leave_to_parent(statement);
      ::sqlite3_finalize(statement);
    }
    ForkGuard home;
  };

  SqliteDatabase& database_;
  std::unique_ptr<::sqlite3_stmt, Finalize> statement_;
};

/// A transaction that is rolled back unless it is committed.
class SqliteTransaction {
 public:
  SqliteTransaction(SqliteDatabase& database, const char* begin) : database_{database} {
    database.run(begin, "cannot begin a transaction");
  }
  SqliteTransaction(const SqliteTransaction&) = delete;
  SqliteTransaction& operator=(const SqliteTransaction&) = delete;
  ~SqliteTransaction() { roll_back(); }

  void commit() {
    database_.run("commit", "cannot commit");
    ended_ = true;
  }
  /// SQLite moves its log into the database only after a commit, so never while a log that has filled the
  /// disk leaves no room for a commit. This makes room for the next transaction.
  void roll_back_and_make_room() noexcept {
    roll_back();
    database_.empty_log();
  }
  /// Does nothing if the transaction has ended.
  void roll_back() noexcept {
    if (!std::exchange(ended_, true) && !database_.is_foreign())
      ::sqlite3_exec(database_.get(), "rollback", nullptr, nullptr, nullptr);
  }

 private:
  SqliteDatabase& database_;
  bool ended_ = false;
};

}}}  // namespace kvstore::v1::detail
