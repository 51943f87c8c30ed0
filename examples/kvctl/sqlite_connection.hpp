// SPDX-License-Identifier: MIT
#pragma once

// A connection to an SQLite database, besides the one that a storage keeps. Failures are kvstore's.

#include <sqlite3.h>

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
    const int result = ::sqlite3_open_v2(path_.c_str(), &raw, flags | SQLITE_OPEN_EXRESCODE, vfs);
    database_.reset(raw);
    check(result, "cannot open");
    ::sqlite3_busy_timeout(raw, 5000);
  }

  void run(const char* sql, const char* what) {
    check(::sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr), what);
  }

  /// Throws what `result` means, if that is a failure to do `what`.
  void check(int result, const std::string& what) const {
    if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return;
    const char* const said = database_ ? ::sqlite3_errmsg(database_.get()) : ::sqlite3_errstr(result);
    const std::string words = what + ": SQLite says \"" + said + '"';
    switch (result & 0xFF) {
      case SQLITE_NOMEM:
        throw std::bad_alloc{};
      case SQLITE_NOTADB:
      case SQLITE_CORRUPT:
        throw kvstore::CorruptionError{path_, "the database", words};
      default:
        throw kvstore::StorageError{path_, {}, words};
    }
  }

  [[nodiscard]] ::sqlite3* get() const noexcept { return database_.get(); }

 private:
  struct Close {
    void operator()(::sqlite3* database) const noexcept { ::sqlite3_close_v2(database); }
  };

  std::filesystem::path path_;
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
  /// Lives until the next row.
  [[nodiscard]] std::string_view text(int column) const {
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
