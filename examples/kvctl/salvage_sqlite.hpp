// SPDX-License-Identifier: MIT
#pragma once

// Saves the rows of a damaged database: in the order of keys until SQLite meets damage, and then from the
// other end.

#include <cstddef>
#include <cstdint>
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
    if (const auto damage = SqliteFiles{path_}.log_damage()) {
      result_.lose(std::string{damage->what()} + "; what was saved from there on is lost");
    }
    if (!is_table("entries")) {
      return result_.lose(path_.string() +
                          ": table entries is missing, or a view, or computes its columns; nothing is saved");
    }
    read_version();
    if (read_rows("select key, value from entries order by key", true)) return;
    read_rows("select key, value from entries order by key desc", false);
    if (!first_.empty() || !last_.empty()) {
      result_.lose(path_.string() + ": rows between the keys " + shown(last_) + " and " + shown(first_) +
                   " may be lost, in the order of SQLite");
    }
  }

 private:
  /// Whether it is an ordinary table, whose columns are stored.
  [[nodiscard]] bool is_table(const std::string& name) {
    const std::string quoted = "'" + name + "'";
    SqliteRows tables{database_, ("select count(*) from sqlite_master where lower(name) = " + quoted +
                                  " and type = 'table' and rootpage <> 0")
                                     .c_str()};
    if (!tables.next("cannot read the schema") || tables.integer(0) != 1) return false;
    SqliteRows columns{database_, ("pragma table_xinfo(" + quoted + ")").c_str()};
    constexpr int kHidden = 6;
    while (columns.next("cannot read the schema")) {
      if (columns.integer(kHidden) != 0) return false;
    }
    return true;
  }

  struct Types {
    int key;
    int value;
  };

  /// Counts a row against the bytes of the file. @throws kvstore::CorruptionError
  void spend(std::size_t text_bytes) {
    const std::uint64_t cost = std::uint64_t{text_bytes} + kRow;
    if (cost > left_)
      throw kvstore::CorruptionError{path_, "table entries", "more rows than its pages can hold"};
    left_ -= cost;
  }

  /// False if damage ended it.
  bool read_rows(const char* sql, bool forward) {
    left_ = 4 * database_.bytes() + kMore;
    try {
      SqliteRows rows{database_, sql};
      while (rows.next("cannot read the entries")) {
        const Types types{rows.type(0), rows.type(1)};  // a look at the text changes them
        result_.integer_keys = result_.integer_keys || types.key == SQLITE_INTEGER;
        const std::string key{rows.text(0)};
        spend(key.size() + rows.text(1).size());
        if (!forward && key == last_) return true;  // they met
        take(key, rows, types);
        (forward ? last_ : first_) = key;
      }
      return true;
    } catch (const kvstore::CorruptionError& error) {
      if (error.what() != damage_) result_.lose(error.what());  // from the other end it may be the same
      damage_ = error.what();
      return false;
    }
  }

  void take(const std::string& key, const SqliteRows& row, Types types) {
    const auto lose = [&](const std::string& why) {
      result_.lose(path_.string() + ": entry " + shown(key) + " is lost: " + why);
    };
    if (types.key != SQLITE_INTEGER && types.key != SQLITE_TEXT)
      return lose("expected a key that is INTEGER or TEXT");
    if (types.value == SQLITE_BLOB || types.value == SQLITE_NULL) return lose("expected JSON text as value");
    try {
      const std::string value = types.value == SQLITE_FLOAT ? text_of(row.real(1)) : on_one_line(row.text(1));
      check_stored_key(key);
      check_strictly(value);
      const std::string* const kept = result_.table.find(key);
      if (kept == nullptr) return result_.table.set(key, value);
      if (*kept == value) return;  // nothing is lost, or damage shows a row twice
      result_.lose(path_.string() + ": a second entry of key " + shown(key) + " is lost; the first is kept");
    } catch (const kvstore::Error& error) { lose(error.what()); }
  }

  /// With all digits, as stores read it. @throws kvstore::ValueError
  [[nodiscard]] static std::string text_of(double number) {
    kvstore::JsonWriter text;
    kvstore::Codec<double>::encode(number, text);
    return std::string{text.text()};
  }

  void read_version() {
    const auto lose = [&](const char* why) {
      result_.lose(path_.string() + ": the schema version is lost: " + why);
    };
    if (!is_table("meta")) return lose("table meta is missing, or a view, or computes its columns");
    try {
      SqliteRows row{database_, "select value from meta where name = 'schema_version'"};
      if (!row.next("cannot read the schema version")) return;
      const std::int64_t version = row.integer(0);
      if (row.type(0) != SQLITE_INTEGER || version < 0 || version > std::int64_t{UINT32_MAX})
        return lose("expected an INTEGER from 0 to 4294967295 in table meta");
      result_.table.version = static_cast<std::uint32_t>(version);
      if (row.next("cannot read the schema version"))
        result_.lose(path_.string() + ": a second schema version is lost; the first is kept");
    } catch (const kvstore::Error& error) { result_.lose(error.what()); }
  }

  static constexpr std::uint64_t kMore = 65536;
  static constexpr std::uint64_t kRow = 8;

  const fs::path& path_;
  Salvage& result_;
  SqliteConnection database_;
  std::string last_;   // key read from the start
  std::string first_;  // from the end
  std::string damage_;
  std::uint64_t left_ = 0;
};

inline void salvage_rows(const fs::path& path, Salvage& result) { RowSalvage{path, result}.run(); }

#else

inline void salvage_rows(const fs::path& path, Salvage&) { static_cast<void>(open_sqlite_to_read(path)); }

#endif

}  // namespace kvctl
