// SPDX-License-Identifier: MIT

// A database whose schema does something else than to keep entries is refused before any of it is read, by
// those who write and those who only read, and reading one ends.

#if __has_include(<sqlite3.h>)

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "kvstore/storage/sqlite.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

namespace sqlite_schema_test {

using Catch::Matchers::ContainsSubstring;
using kvstore::SqliteFile;
using support::in_child;
using support::read_file;
using support::TempFolder;
using support::write_file;
using namespace std::chrono_literals;

namespace {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;

kvstore::Options with(bool read_only, std::uint32_t version = 1) {
  kvstore::Options options{.batch_size = 0, .auto_save_interval = 0s};
  options.read_only = read_only;
  options.schema_version = version;
  return options;
}

std::unique_ptr<Store> open(const std::filesystem::path& path, const kvstore::Options& options) {
  return std::make_unique<Store>(
      std::make_unique<SqliteFile>(path, kvstore::SqliteOptions{.busy_timeout = 20ms}), options);
}

/// Runs statements as another program, which is killed afterwards, so that the log stays.
void run_and_die(const std::filesystem::path& path, const std::string& sql) {
  const std::string failure = in_child([&]() -> std::string {
    kvstore::detail::SqliteDatabase database{path, SQLITE_OPEN_READWRITE, 1s, nullptr};
    database.run(sql.c_str(), "another program");
    ::_exit(0);
  });
  REQUIRE(failure.empty());
}

/// The names and contents of the files in the folder. The index of the log is left out, since SQLite makes it
/// anew at every opening, and so is the remaining lock file of a killed process. Another process reads the
/// files, since closing a file here would end the locks that this process has on it.
std::string files_in(const TempFolder& folder) {
  return in_child([&] {
    std::string all;
    for (const std::string& name : folder.names()) {
      if (name != "data.db-shm" && name != "data.db.lock") all += name + '\n' + read_file(folder / name);
    }
    return all;
  });
}

/// The message of the refusal; `opened` if there was none.
std::string refusal(const std::filesystem::path& path, const kvstore::Options& options) {
  try {
    open(path, options);
  } catch (const kvstore::Error& error) { return error.what(); }
  return "opened";
}

struct Kind {
  const char* name;
  std::function<void(const std::filesystem::path&)> prepare;
  const char* words;
};

std::function<void(const std::filesystem::path&)> sql(const char* statements) {
  return [statements](const std::filesystem::path& path) { run_and_die(path, statements); };
}

constexpr const char* kAnew = "drop table entries; create table entries";

/// Schemas that do something else than to keep entries.
std::vector<Kind> schemas() {
  const auto anew = [](const std::string& rest) {
    return [rest](const std::filesystem::path& path) { run_and_die(path, kAnew + rest); };
  };
  return {
      {"a view in the table's place",
       sql("alter table entries rename to old; create view entries as select * from old"), "is a view"},
      {"a view without an end",
       sql("drop table entries; create view entries as with recursive r(n) as (select 1 union all select n + "
           "1 from r) select 'k' || n as key, '1' as value from r"),
       "is a view"},
      {"a view without an end in place of meta",
       sql("drop table meta; create view meta as with recursive r(n) as (select 1 union all select n + 1 "
           "from r) select 'k' as name, n as value from r"),
       "table meta is a view"},
      {"a virtual table", sql("drop table entries; create virtual table entries using fts5(key, value)"),
       "is a view or a virtual table"},
      {"no table", sql("drop table entries"), "table entries is missing"},
      {"no meta", sql("drop table meta"), "table meta is missing"},
      {"a trigger", sql("create trigger t before insert on entries begin select raise(ignore); end"),
       "has a trigger"},
      {"a trigger on meta", sql("create trigger t after insert on meta begin delete from entries; end"),
       "table meta has a trigger"},
      {"another column", sql("alter table entries add column more"), "has other columns"},
      {"a computed column",
       sql("alter table entries add column whole generated always as (value || '') virtual"),
       "has other columns"},
      {"a computed value",
       anew("(key not null primary key, value generated always as (hex(zeroblob(400000000))))"),
       "has other columns"},
      {"a missing column", anew("(key not null primary key) without rowid"), "has other columns"},
      {"no primary key", anew("(key not null, value not null)"), "has other columns"},
      {"keys of another type", anew("(key integer not null primary key, value not null)"),
       "has other columns"},
      {"a type in quotes", anew("(key \"not\" null primary key, value not null) without rowid"),
       "has other columns"},
      {"a check that drops rows",
       anew("(key not null primary key, value not null, check(key <> 'b') on conflict ignore)"),
       "has other columns"},
      {"a reference", anew("(key not null primary key, value not null references meta(name)) without rowid"),
       "has other columns"},
      {"keys that take A for a",
       anew("(key not null primary key collate nocase, value not null) without rowid"), "has other columns"},
      {"a unique index", sql("create unique index u on entries(value)"), "unique index"},
      {"an index of an expression", sql("create index u on entries(abs(value))"), "drop the index u"},
      {"an index with a condition", sql("create index u on entries(value) where key > 1"),
       "drop the index u"},
      {"an index with a collation", sql("create index u on entries(value collate nocase)"),
       "drop the index u"},
  };
}

}  // namespace

TEST_CASE("SqliteFile, refused: a schema that does more than to keep entries, by owners and readers alike") {
  for (const Kind& kind : schemas()) {
    for (const bool read_only : {false, true}) {
      DYNAMIC_SECTION(kind.name << (read_only ? ", to follow it" : ", to own it")) {
        const TempFolder folder;
        const auto path = folder / "data.db";
        open(path, with(false))->upsert("a", "1");
        kind.prepare(path);
        const std::string before = files_in(folder);
        CHECK_THAT(refusal(path, with(read_only)),
                   ContainsSubstring(kind.words) && ContainsSubstring(path.string()));
        CHECK((files_in(folder) == before));
      }
    }
  }
}

TEST_CASE("SqliteFile: its tables are the same in other letters, quotes and spaces, and with rowids") {
  for (const char* rest : {"(key not null primary key, value not null)",
                           "(\"key\" NOT NULL\n PRIMARY KEY, [VALUE] not null) WITHOUT ROWID; create index i "
                           "on entries(value, key)"}) {
    const TempFolder folder;
    const auto path = folder / "data.db";
    open(path, with(false))->upsert("a", "1");
    run_and_die(path, std::string{kAnew} + rest + "; insert into entries values('b', '\"2\"')");
    for (const bool read_only : {true, false}) {
      const auto store = open(path, with(read_only));
      CHECK(store->size() == 1);
      CHECK(store->read("b") == "2");
      if (!read_only) store->upsert("a", "3");
    }
    CHECK(open(path, with(true))->read("a") == "3");
  }
}

namespace {

std::string big_endian(std::uint32_t number, std::size_t bytes) {
  std::string text;
  while (bytes-- > 0) text += static_cast<char>(number >> (8 * bytes) & 0xFF);
  return text;
}

/// A page of a table without rowids that holds one row many times; `child`: the page before each row, or 0.
std::string page_of_one_row(std::uint32_t child) {
  constexpr std::size_t kPage = 4096;
  const std::string row =
      "\x08\x03\x11\x13"
      "k7\"7\"";
  const std::string cell = (child == 0 ? "" : big_endian(child, 4)) + row;
  const std::size_t count = 200;
  std::string page{child == 0 ? '\x0a' : '\x02'};
  page += big_endian(0, 2) + big_endian(count, 2) +
          big_endian(static_cast<std::uint32_t>(kPage - cell.size()), 2) + '\0' +
          (child == 0 ? "" : big_endian(child, 4));
  for (std::size_t i = 0; i < count; ++i)
    page += big_endian(static_cast<std::uint32_t>(kPage - cell.size()), 2);
  page.resize(kPage - cell.size());
  return page + cell;
}

}  // namespace

TEST_CASE("SqliteFile, refused: pages that refer to each other so often that reading them would not end") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  open(path, with(false))->upsert("a", "1");
  std::string text = read_file(path);
  std::uint32_t root = 0;
  {
    kvstore::detail::SqliteDatabase database{path, SQLITE_OPEN_READONLY, 1s, nullptr};
    root = static_cast<std::uint32_t>(
        kvstore::detail::number_of(database, "select rootpage from sqlite_master where name = 'entries'"));
  }
  const auto pages = static_cast<std::uint32_t>(text.size() / 4096);
  text.replace((root - 1) * 4096, 4096, page_of_one_row(pages + 1));
  for (std::uint32_t level = 1; level < 10; ++level)
    text += page_of_one_row(level == 9 ? 0 : pages + level + 1);
  write_file(path, text.replace(28, 4, big_endian(pages + 9, 4)));
  for (const bool read_only : {true, false})
    CHECK_THAT(refusal(path, with(read_only)), ContainsSubstring("no more rows than its pages can hold"));
  CHECK((in_child([&] { return read_file(path); }) == text));
}

}  // namespace sqlite_schema_test

#endif
