// SPDX-License-Identifier: MIT

// The behaviour of the SqliteFile storage beyond that of every storage.

#if __has_include(<sqlite3.h>)

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "kvstore/storage/sqlite.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace sqlite_test {

using Catch::Matchers::ContainsSubstring;
using kvstore::SqliteFile;
using kvstore::detail::SqliteDatabase;
using kvstore::detail::SqliteStatement;
using support::read_file;
using support::TempFolder;
using support::TextEntries;
using support::write_file;
using namespace std::chrono_literals;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

template <class Key, class Value = int>
using Store = kvstore::BatchPersistentKeyValueStore<Key, Value>;

template <class Key, class Value = int>
std::unique_ptr<Store<Key, Value>> open(const std::filesystem::path& path,
                                        kvstore::SqliteOptions options = {}) {
  return std::make_unique<Store<Key, Value>>(std::make_unique<SqliteFile>(path, options), kManual);
}

/// Plays another program.
class Outsider {
 public:
  explicit Outsider(const std::filesystem::path& path)
      : database_{path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, 1s, nullptr} {}

  void run(const char* sql) { database_.run(sql, sql); }

  std::vector<std::string> column(const char* sql) {
    SqliteStatement rows{database_, sql};
    std::vector<std::string> found;
    while (rows.step(sql)) found.emplace_back(rows.text(0));
    return found;
  }

 private:
  SqliteDatabase database_;
};

using Column = std::vector<std::string>;

}  // namespace

TEST_CASE("SqliteFile: integer keys are INTEGER, other keys TEXT, and values JSON that SQL can query") {
  const TempFolder folder;
  open<std::uint64_t>(folder / "numbers.db")->upsert(42, 1);
  open<std::uint64_t>(folder / "numbers.db")->upsert(std::uint64_t{1} << 63, 2);
  CHECK(Outsider{folder / "numbers.db"}.column(
            "select typeof(key) || ' ' || key from entries order by value") ==
        Column{"integer 42", "text 9223372036854775808"});
  {
    const auto users = open<std::string, nlohmann::json>(folder / "users.db");
    users->upsert("ada", {{"city", "London"}});
    users->upsert("7", {{"city", "Łódź"}});
  }
  Outsider outsider{folder / "users.db"};
  CHECK(outsider.column("select typeof(key) from entries") == Column{"text", "text"});
  CHECK(outsider.column("select json_extract(value, '$.city') from entries order by key") ==
        Column{"Łódź", "London"});
  CHECK(outsider.column("pragma journal_mode") == Column{"wal"});
  CHECK(outsider.column("pragma application_id") == Column{std::to_string(0x6B767374)});
  CHECK(outsider.column("pragma user_version") == Column{"1"});
  CHECK(outsider.column("pragma integrity_check") == Column{"ok"});
}

TEST_CASE("SqliteFile: what another program writes between two openings is loaded") {
  const TempFolder folder;
  open<std::string>(folder / "data.db")->upsert("mine", 1);
  Outsider{folder / "data.db"}.run(
      "insert into entries values('theirs', '2'), ('number', 3); update entries set value = '9' where key = "
      "'mine'");
  const auto store = open<std::string>(folder / "data.db");
  CHECK(store->read("theirs") == 2);
  CHECK(store->read("number") == 3);
  CHECK(store->read("mine") == 9);
  Outsider{folder / "data.db"}.run("create table unrelated(x)");
  store->upsert("mine", 10);
  store->close();
  CHECK(open<std::string>(folder / "data.db")->read("mine") == 10);
}

TEST_CASE(
    "SqliteFile: keys of the other type, as a copy makes them, load, and the next save puts them right") {
  const TempFolder folder;
  {
    kvstore::JsonFile from{folder / "data.json"};
    support::save_to(from, {{"1", "10"}, {"-5", "20"}});
    SqliteFile to{folder / "data.db"};
    kvstore::migrate(from, to);
  }
  CHECK(Outsider{folder / "data.db"}.column("select distinct typeof(key) from entries") == Column{"text"});
  open<int>(folder / "data.db")->upsert(2, 30);
  CHECK(Outsider{folder / "data.db"}.column("select typeof(key) || key from entries order by key") ==
        Column{"integer-5", "integer1", "integer2"});
  CHECK(open<std::string>(folder / "data.db")->size() == 3);
}

TEST_CASE("SqliteFile: the same key as INTEGER and as TEXT is reported") {
  const TempFolder folder;
  open<int>(folder / "data.db")->upsert(5, 1);
  Outsider{folder / "data.db"}.run("insert into entries values('5', '2')");
  CHECK_THROWS_WITH(open<int>(folder / "data.db"), ContainsSubstring("duplicate key \"5\""));
}

TEST_CASE("SqliteFile: rows that are no entries are reported with their key, and left alone") {
  const auto message = [](const char* sql) -> std::string {
    const TempFolder folder;
    open<std::string>(folder / "data.db")->upsert("a", 1);
    Outsider{folder / "data.db"}.run(sql);
    const std::string before = read_file(folder / "data.db");
    try {
      open<std::string>(folder / "data.db");
    } catch (const kvstore::CorruptionError& error) {
      CHECK(read_file(folder / "data.db") == before);
      return error.what();
    }
    return "opened";
  };
  CHECK_THAT(message("insert into entries values('bad', 'no json')"), ContainsSubstring("entry \"bad\""));
  CHECK_THAT(message("insert into entries values('bad', '1.5')"), ContainsSubstring("entry \"bad\""));
  CHECK_THAT(message("insert into entries values('bad', x'00')"), ContainsSubstring("BLOB or NULL"));
  CHECK_THAT(message("insert into entries values('bad', 9e999)"), ContainsSubstring("entry \"bad\""));
  CHECK_THAT(message("insert into entries values(1.5, '1')"), ContainsSubstring("INTEGER or TEXT"));
  CHECK_THAT(message("insert into meta values('schema_version', 'x')"), ContainsSubstring("schema_version"));
}

TEST_CASE("SqliteFile: what is no database of ours is refused untouched") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  const auto refusal = [&]() -> std::string {
    const std::string before = read_file(path);
    std::string words = "opened";
    try {
      open<std::string>(path);
    } catch (const kvstore::Error& error) { words = error.what(); }
    CHECK(read_file(path) == before);
    CHECK(folder.names() == std::set<std::string>{"data.db"});
    return words;
  };
  write_file(path, "just text");
  CHECK_THAT(refusal(), ContainsSubstring("expected an SQLite database"));
  write_file(path, std::string(5000, 'x'));
  CHECK_THAT(refusal(), ContainsSubstring("expected an SQLite database"));
  std::filesystem::remove(path);
  Outsider{path}.run("create table t(x)");
  CHECK_THAT(refusal(), ContainsSubstring("another program's SQLite database"));
  std::filesystem::remove(path);
  open<std::string>(path)->upsert("a", 1);
  Outsider{path}.run("pragma user_version = 2");
  CHECK_THAT(refusal(), ContainsSubstring("format version 2"));
}

TEST_CASE("SqliteFile: a damaged database is reported") {
  const TempFolder folder;
  {
    const auto store = open<int, std::string>(folder / "data.db");
    for (int i = 0; i < 500; ++i) store->upsert(i, std::string(100, 'v'));
  }
  std::string bytes = read_file(folder / "data.db");
  REQUIRE(bytes.size() > 5 * 4096);
  for (std::size_t i = 2 * 4096; i < 5 * 4096; ++i) bytes[i] = static_cast<char>(i * 7);
  write_file(folder / "data.db", bytes);
  CHECK_THROWS_AS((open<int, std::string>(folder / "data.db")), kvstore::CorruptionError);
  CHECK(read_file(folder / "data.db") == bytes);
}

TEST_CASE(
    "SqliteFile: a database that another program keeps busy fails the save by a deadline, and it is tried "
    "again") {
  const TempFolder folder;
  const auto store = open<std::string>(folder / "data.db", {.busy_timeout = 20ms});
  store->upsert("a", 1);
  store->save();
  Outsider outsider{folder / "data.db"};
  outsider.run("begin immediate");
  store->upsert("b", 2);
  CHECK_THROWS_WITH(store->save(), ContainsSubstring("busy for 20 ms") && ContainsSubstring("data.db"));
  CHECK(store->unsaved() == 1);
  outsider.run("rollback");
  for (bool saved = false; !saved;) {  // fails until the time to retry has come
    try {
      store->save();
      saved = true;
    } catch (const kvstore::StorageError&) {}
  }
  CHECK(outsider.column("select key from entries order by key") == Column{"a", "b"});
}

TEST_CASE("SqliteFile: others read while a store is open, and see what was saved") {
  const TempFolder folder;
  const auto store = open<std::string>(folder / "data.db");
  store->upsert("a", 1);
  store->save();
  Outsider outsider{folder / "data.db"};
  CHECK(outsider.column("select value from entries") == Column{"1"});
  outsider.run("begin");
  CHECK(outsider.column("select value from entries") == Column{"1"});
  store->update("a", 2);
  store->save();  // a reader does not keep out a writer
  CHECK(outsider.column("select value from entries") == Column{"1"});
  outsider.run("commit");
  CHECK(outsider.column("select value from entries") == Column{"2"});
}

TEST_CASE("SqliteFile: standard files that a program has closed are not opened in its place") {
  const TempFolder folder;
  CHECK(support::in_child([&] {
          for (const int number : {0, 1, 2}) ::close(number);
          Store<std::string, int> store{std::make_unique<SqliteFile>(folder / "data.db")};
          store.upsert("a", 1);
          store.save();
          std::string open;
          for (const int number : {0, 1, 2}) open += ::fcntl(number, F_GETFD) < 0 ? "" : "open ";
          return open;
        }) == "");
}

TEST_CASE("SqliteFile: the log of a small database stays small") {
  const TempFolder folder;
  const auto store = open<int, std::string>(folder / "data.db");
  for (int i = 0; i < 300; ++i) {
    store->upsert(i % 10, std::string(1000, 'v') + std::to_string(i));
    store->save();
  }
  CHECK(std::filesystem::file_size(folder / "data.db-wal") < 400'000);  // the default of SQLite is 4 MB
}

TEST_CASE("SqliteFile: a killed process loses nothing that it saved, and the next one opens") {
  const TempFolder folder;
  for (int run = 0; run < 5; ++run) {
    support::in_child([&]() -> std::string {
      const auto store = open<int>(folder / "data.db");
      for (int i = 0; i < 20; ++i) {
        store->upsert(run * 100 + i, i);
        store->save();
      }
      store->upsert(-1, 0);  // not saved
      ::_exit(0);
    });
  }
  const auto store = open<int>(folder / "data.db");
  CHECK(store->size() == 100);
  CHECK_FALSE(store->contains(-1));
}

}  // namespace sqlite_test

#endif
