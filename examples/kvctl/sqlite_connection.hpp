// SPDX-License-Identifier: MIT
#pragma once

// A connection to an SQLite database, besides the one that a storage keeps. Failures are kvstore's. A
// stranger may have made the database, so nothing that its schema holds is run, and reading it ends.

#include <sqlite3.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <kvstore/error.hpp>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace kvctl {

class SqliteConnection {
 public:
  /// `vfs`: SQLite's name of how it meets the operating system, or null.
  /// @throws kvstore::StorageError, kvstore::CorruptionError, as every member
  SqliteConnection(std::filesystem::path path, int flags, const char* vfs) : path_{std::move(path)} {
    ::sqlite3* raw = nullptr;
    // Absolute, since SQLite has meanings of its own for ":memory:" and "file:".
    const int result =
        ::sqlite3_open_v2(std::filesystem::absolute(path_).c_str(), &raw, flags | SQLITE_OPEN_EXRESCODE, vfs);
    database_.reset(raw);
    check(result, "cannot open");
    ::sqlite3_busy_timeout(raw, 5000);
    for (const auto& [option, value] : {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1},
                                        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                                        {SQLITE_DBCONFIG_ENABLE_VIEW, 0}})
      check(::sqlite3_db_config(raw, option, value, nullptr), "cannot set up the connection");
  }

  /// The bytes of the database and its log.
  [[nodiscard]] std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const char* suffix : {"", "-wal"}) {
      std::error_code error;
      const auto size = std::filesystem::file_size(path_.string() + suffix, error);
      if (!error) sum += size;
    }
    return sum;
  }

  /// From now on a statement that takes more steps than reading this database can need is ended: damaged
  /// pages can refer to each other so often that it never would. Values longer than the file are none of its.
  void bound_reading() {
    constexpr std::uint64_t kStepsPerByte = 64;
    constexpr int kAtOnce = 1000;
    const std::uint64_t size = bytes();
    *left_ = kStepsPerByte * size / kAtOnce + kAtOnce;
    const auto count = [](void* left) {
      auto& steps = *static_cast<std::uint64_t*>(left);
      return steps == 0 || --steps == 0 ? 1 : 0;
    };
    ::sqlite3_progress_handler(database_.get(), kAtOnce, count, left_.get());
    constexpr std::uint64_t kLeast = std::uint64_t{1} << 20;
    constexpr std::uint64_t kMost = 1'000'000'000;  // SQLite's own limit
    ::sqlite3_limit(database_.get(), SQLITE_LIMIT_LENGTH,
                    static_cast<int>(std::clamp(2 * size, kLeast, kMost)));
  }

  void run(const char* sql, const char* what) {
    check(::sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr), what);
  }

  /// Throws what `result` means, if that is a failure to do `what`.
  void check(int result, const std::string& what) const {
    if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return;
    const char* const said = database_ ? ::sqlite3_errmsg(database_.get()) : ::sqlite3_errstr(result);
    const std::string words =
        what + ": SQLite says \"" + said + '"' + (result == SQLITE_READONLY_ROLLBACK ? kRollBack : "");
    switch (result & 0xFF) {
      case SQLITE_NOMEM:
        throw std::bad_alloc{};
      case SQLITE_NOTADB:
      case SQLITE_CORRUPT:
      case SQLITE_INTERRUPT:
        throw kvstore::CorruptionError{path_, "the database", words};
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        throw kvstore::StorageError{path_, std::make_error_code(std::errc::device_or_resource_busy), words};
      default:
        throw kvstore::StorageError{path_, {}, words};
    }
  }

  [[nodiscard]] ::sqlite3* get() const noexcept { return database_.get(); }

 private:
  static constexpr const char* kRollBack =
      "; a program was killed within a transaction: open the database once for writing, which takes it back";

  struct Close {
    void operator()(::sqlite3* database) const noexcept { ::sqlite3_close_v2(database); }
  };

  std::filesystem::path path_;
  std::unique_ptr<std::uint64_t> left_ = std::make_unique<std::uint64_t>(0);  // thousands of steps
  std::unique_ptr<::sqlite3, Close> database_;
};

class SqliteRows {
 public:
  SqliteRows(SqliteConnection& connection, const char* sql) : connection_{connection} {
    ::sqlite3_stmt* raw = nullptr;
    const int result = ::sqlite3_prepare_v2(connection.get(), sql, -1, &raw, nullptr);
    statement_.reset(raw);
    connection.check(result, "cannot prepare a statement");
  }

  /// Whether there is another row; `what` names the attempt.
  bool next(const char* what) {
    const int result = ::sqlite3_step(statement_.get());
    if (result != SQLITE_ROW) ::sqlite3_reset(statement_.get());
    connection_.check(result, what);
    return result == SQLITE_ROW;
  }

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
  /// Lives until the next row. Empty for NULL. The type of a BLOB or number is unknown afterwards.
  [[nodiscard]] std::string_view text(int column) const {
    if (type(column) == SQLITE_NULL) return {};
    const auto* const data = ::sqlite3_column_text(statement_.get(), column);
    const int bytes = ::sqlite3_column_bytes(statement_.get(), column);
    if (data == nullptr) throw std::bad_alloc{};
    return {reinterpret_cast<const char*>(data), static_cast<std::size_t>(bytes)};
  }

 private:
  struct Finalize {
    void operator()(::sqlite3_stmt* statement) const noexcept { ::sqlite3_finalize(statement); }
  };

  SqliteConnection& connection_;
  std::unique_ptr<::sqlite3_stmt, Finalize> statement_;
};

}  // namespace kvctl
