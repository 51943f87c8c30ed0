// SPDX-License-Identifier: MIT
#pragma once

// Saves the rows of a damaged database: in the order of keys until SQLite meets damage, and then from the
// other end.

#include <string>

#include "entries.hpp"
#include "salvage.hpp"
#include "sqlite_access.hpp"
#include "text.hpp"

namespace kvctl {

#if KVCTL_HAS_SQLITE

class RowSalvage {
 public:
  RowSalvage(const fs::path& path, Salvage& result)
      : path_{path}, result_{result}, database_{connect_to_read(path)} {}

  void run() {
    read_version();
    if (read_rows("select key, value from entries order by key", true)) return;
    read_rows("select key, value from entries order by key desc", false);
    if (!first_.empty() || !last_.empty()) {
      result_.lose(path_.string() + ": rows between the keys " + shown(last_) + " and " + shown(first_) +
                   " may be lost, in the order of SQLite");
    }
  }

 private:
  /// False if damage ended it.
  bool read_rows(const char* sql, bool forward) {
    try {
      SqliteRows rows{database_, sql};
      while (rows.next("cannot read the entries")) {
        result_.integer_keys = result_.integer_keys || rows.type(0) == SQLITE_INTEGER;
        const std::string key{rows.text(0)};
        if (!forward && key == last_) return true;  // they met
        take(key, rows);
        (forward ? last_ : first_) = key;
      }
      return true;
    } catch (const kvstore::CorruptionError& error) {
      result_.lose(error.what());
      return false;
    }
  }

  void take(const std::string& key, const SqliteRows& row) {
    if (row.type(1) == SQLITE_BLOB || row.type(1) == SQLITE_NULL)
      return result_.lose(path_.string() + ": entry " + shown(key) + " is lost: expected JSON text as value");
    try {
      const std::string value = on_one_line(row.text(1));
      if (!is_utf8(key)) throw kvstore::ParseError{0, "expected a key of valid UTF-8"};
      check_strictly(value);
      result_.table.set(key, value);
    } catch (const kvstore::ParseError& error) {
      result_.lose(path_.string() + ": entry " + shown(key) + " is lost: " + error.what());
    }
  }

  void read_version() {
    try {
      SqliteRows row{database_, "select value from meta where name = 'schema_version'"};
      if (row.next("cannot read the schema version"))
        result_.table.version = static_cast<std::uint32_t>(row.integer(0));
    } catch (const kvstore::Error& error) { result_.lose(error.what()); }
  }

  const fs::path& path_;
  Salvage& result_;
  SqliteConnection database_;
  std::string last_;   // key read from the start
  std::string first_;  // from the end
};

inline void salvage_rows(const fs::path& path, Salvage& result) { RowSalvage{path, result}.run(); }

#else

inline void salvage_rows(const fs::path& path, Salvage&) { static_cast<void>(open_sqlite_to_read(path)); }

#endif

}  // namespace kvctl
