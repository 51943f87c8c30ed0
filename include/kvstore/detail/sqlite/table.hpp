// SPDX-License-Identifier: MIT
#pragma once

// The checks of a database's schema before any of its entries is read: a schema can hold programs, which a
// stranger may have written. Needs the component kvstore::sqlite.

#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "kvstore/detail/sqlite/database.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr const char* kMakeEntries =
    "create table entries(key not null primary key, value not null) without rowid";
inline constexpr const char* kMakeMeta =
    "create table meta(name text not null primary key, value) without rowid";

/// The words of a statement in lower case, with one space between. Our names lose their quotes, and any other
/// text in quotes keeps them: `"not"` is a name, not a keyword.
[[nodiscard]] inline std::string sqlite_words(std::string_view sql) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' || (c & 0x80) != 0;
  };
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  const auto is_ours = [](std::string_view name) {
    constexpr std::string_view kNames[] = {"entries", "key", "value", "meta", "name"};
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
  };
  std::string text;
  text.reserve(sql.size());
  for (const char c : sql) text += lower(c);
  std::string words;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t from = at++;
    if (std::string_view{" \t\n\f\r"}.find(text[from]) != std::string_view::npos) continue;
    if (!words.empty()) words += ' ';
    const bool quoted = std::string_view{"\"'`["}.find(text[from]) != std::string_view::npos;
    if (quoted) at = std::min(text.find(text[from] == '[' ? ']' : text[from], at), text.size() - 1) + 1;
    while (is_word(text[from]) && at < text.size() && is_word(text[at])) ++at;
    const std::string_view word = std::string_view{text}.substr(from, at - from);
    const std::string_view name = quoted && word.size() > 2 ? word.substr(1, word.size() - 2) : word;
    words += is_ours(name) ? name : word;
  }
  return words;
}

/// Whether `sql` makes the same table as `ours`, perhaps without `without rowid`.
[[nodiscard]] inline bool makes_same_table(std::string_view sql, std::string_view ours) {
  const std::string words = sqlite_words(sql);
  const std::string wanted = sqlite_words(ours);
  return words == wanted || words + " without rowid" == wanted;
}

/// Refuses tables in which a saved row might not stay as it is, might affect other rows, or might be
/// computed.
class SqliteTableCheck {
 public:
  explicit SqliteTableCheck(SqliteDatabase& database) : database_{database} {}

  /// Call within the transaction in which the entries are read. @throws StorageError
  void run() const {
    check_statements();
    for (const char* table : {"entries", "meta"}) check_indexes(table);
  }

 private:
  [[noreturn]] void refuse(std::string_view table, const std::string& why) const {
    throw StorageError{database_.path(), {}, "table " + std::string{table} + " " + why};
  }

  void check_statements() const {
    SqliteStatement row{database_,
                        "select ifnull(type, ''), ifnull(lower(name), ''), ifnull(lower(tbl_name), ''), "
                        "rootpage, sql from sqlite_master"};
    bool entries = false;
    bool meta = false;
    while (row.step("cannot read the database's form")) {
      const std::string type{row.text(0)};
      const std::string name{row.text(1)};
      const std::string table{row.text(2)};
      if (type == "trigger" && is_ours(table))
        refuse(table, "has a trigger, which would change what is saved; drop the trigger");
      if (type == "index" || !is_ours(name)) continue;
      check_table(row, type, name);
      (name == "meta" ? meta : entries) = true;
    }
    if (!entries || !meta) refuse(entries ? "meta" : "entries", "is missing; move the database away");
  }

  void check_table(const SqliteStatement& row, const std::string& type, const std::string& name) const {
    if (type != "table" || row.integer(3) == 0)
      refuse(name, "is a view or a virtual table; a store needs an ordinary one");
    const char* const ours = name == "meta" ? kMakeMeta : kMakeEntries;
    if (row.type(4) == SQLITE_TEXT && makes_same_table(row.text(4), ours)) return;
    refuse(name, "has other columns, types, collations or constraints than \"" + std::string{ours} +
                     "\" gives it; make it anew with that statement, or move the database away");
  }

  void check_indexes(const std::string& table) const {
    SqliteStatement row{database_, ("pragma index_list(" + table + ")").c_str()};
    while (row.step("cannot read the database's form")) {
      const std::string name{row.text(1)};
      if (row.text(3) == "pk") continue;
      if (row.integer(2) != 0)
        refuse(table, "has a unique index, which would refuse or replace what is saved; drop the index");
      if (row.integer(4) != 0 || is_computed(name))
        refuse(table,
               "has an index with an expression, a condition or a collation, which each save would "
               "have to carry out; drop the index " +
                   name);
    }
  }

  /// Whether an index has an expression, or a collation that is not SQLite's own.
  [[nodiscard]] bool is_computed(const std::string& index) const {
    SqliteStatement row{database_, "select cid, coll from pragma_index_xinfo(?1)"};
    row.bind(1, std::string_view{index});
    while (row.step("cannot read the database's form")) {
      if (row.integer(0) == -2 || row.text(1) != "BINARY") return true;
    }
    return false;
  }

  static bool is_ours(std::string_view name) { return name == "entries" || name == "meta"; }

  SqliteDatabase& database_;
};

/// While it lives, a statement that takes more steps than a database of `bytes` bytes can need is ended.
/// Damaged or hostile pages can refer to each other in such a way that reading them never ends.
class SqliteBound {
 public:
  SqliteBound(SqliteDatabase& database, std::uint64_t bytes) : database_{database} {
    database.bound_steps(kStepsPerByte * bytes + kSteps);
  }
  SqliteBound(const SqliteBound&) = delete;
  SqliteBound& operator=(const SqliteBound&) = delete;
  ~SqliteBound() { database_.bound_steps(0); }

 private:
  static constexpr std::uint64_t kStepsPerByte = 64;  // a row has six bytes or more, and takes ten steps
  static constexpr std::uint64_t kSteps = 1'000'000;

  SqliteDatabase& database_;
};

/// Counts the text of rows against the bytes that hold them.
class SqliteRowBudget {
 public:
  explicit SqliteRowBudget(std::uint64_t bytes) : left_{4 * bytes + kMore} {}

  /// @throws CorruptionError
  void spend(const SqliteDatabase& database, std::size_t text_bytes) {
    const std::uint64_t cost = std::uint64_t{text_bytes} + kRow;
    if (cost > left_)
      throw CorruptionError{database.path(), "table entries",
                            "expected no more rows than its pages can hold; pages are in use twice"};
    left_ -= cost;
  }

 private:
  static constexpr std::uint64_t kMore = 65536;
  static constexpr std::uint64_t kRow = 8;

  std::uint64_t left_;  // a number of eight bytes may have 24 digits
};

}}}  // namespace kvstore::v1::detail
