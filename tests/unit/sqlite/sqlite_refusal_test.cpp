// SPDX-License-Identifier: MIT

// The SqliteFile storage leaves a refused database and its write-ahead log unchanged.

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

namespace sqlite_refusal_test {

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

/// Saves in a process that is killed afterwards, so that the last entries are only in the log.
void save_and_die(const std::filesystem::path& path, int first, int last) {
  const std::string failure = in_child([&]() -> std::string {
    const auto store = open(path, with(false));
    for (int i = first; i < last; ++i) {
      store->upsert("key" + std::to_string(i), std::string(200, 'v'));
      store->save();
    }
    ::_exit(0);
  });
  REQUIRE(failure.empty());
}

std::filesystem::path beside(std::filesystem::path path, const char* suffix) { return path += suffix; }

/// Makes a database of 60 entries, with 20 more in its log.
void make_with_log(const std::filesystem::path& path) {
  {
    const auto store = open(path, with(false));
    for (int i = 0; i < 60; ++i) store->upsert("key" + std::to_string(i), std::string(200, 'v'));
  }
  save_and_die(path, 60, 80);
  REQUIRE(std::filesystem::file_size(beside(path, "-wal")) > 20 * 4096);
}

void replace_bytes(const std::filesystem::path& path, std::size_t at, std::string_view bytes) {
  std::string text = read_file(path);
  REQUIRE(at + bytes.size() <= text.size());
  write_file(path, text.replace(at, bytes.size(), bytes));
}

void flip_bit(const std::filesystem::path& path, std::size_t at) {
  std::string text = read_file(path);
  REQUIRE(at < text.size());
  text[at] = static_cast<char>(text[at] ^ 0x10);
  write_file(path, text);
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
  bool for_followers = true;  ///< whether followers refuse it too
};

std::function<void(const std::filesystem::path&)> sql(const char* statements) {
  return [statements](const std::filesystem::path& path) { run_and_die(path, statements); };
}

std::vector<Kind> kinds() {
  return {
      {"a damaged value",
       [](const auto& path) { replace_bytes(path, read_file(path).find("key10\"") + 9, "\xFF"); },
       "expected valid UTF-8"},
      {"a row that is no entry", sql("insert into entries values('bad', 'no json')"), "entry \"bad\""},
      {"a value of another type", sql("insert into entries values('bad', 7)"), "entry \"bad\""},
      {"a key of another type", sql("insert into entries values(1.5, '\"x\"')"), "INTEGER or TEXT"},
      {"a schema version that is none", sql("update meta set value = 'x'"), "schema_version"},
      {"values of a newer schema version", sql("update meta set value = 9"), "schema version 9"},
      {"another program's header", [](const auto& path) { replace_bytes(path, 68, "abcd"); },
       "another program's"},
      {"another program's header, in the log", sql("pragma application_id = 7"), "another program's"},
      {"a newer format", [](const auto& path) { replace_bytes(path, 63, "\x02"); }, "format version 2"},
      {"a newer format, in the log", sql("pragma user_version = 2"), "format version 2"},
      {"no database", [](const auto& path) { write_file(path, std::string(5000, 'x')); },
       "expected an SQLite database"},
      {"a short text", [](const auto& path) { write_file(path, "just text"); },
       "expected an SQLite database"},
      {"a damaged schema",
       sql("pragma writable_schema = on; update sqlite_master set sql = 'create nonsense' where name = "
           "'meta'"),
       "malformed database schema"},
      {"the log damaged in its midst", [](const auto& path) { flip_bit(beside(path, "-wal"), 30'000); },
       "silently forget", false},
      {"the log's header damaged", [](const auto& path) { flip_bit(beside(path, "-wal"), 17); },
       "silently forget", false},
      {"a log without its database", [](const auto& path) { std::filesystem::remove(path); },
       "missing or empty"},
      {"a log and an empty database", [](const auto& path) { write_file(path, ""); }, "missing or empty"},
  };
}

}  // namespace

TEST_CASE("SqliteFile, refused: the database, its log and all beside them stay byte for byte") {
  for (const Kind& kind : kinds()) {
    for (const bool read_only : {false, true}) {
      if (read_only && !kind.for_followers) continue;
      DYNAMIC_SECTION(kind.name << (read_only ? ", to follow it" : ", to own it")) {
        const TempFolder folder;
        const auto path = folder / "data.db";
        make_with_log(path);
        kind.prepare(path);
        const std::string before = files_in(folder);
        const std::string words = refusal(path, with(read_only));
        CHECK(words != "opened");
        CHECK_THAT(words, ContainsSubstring(kind.words));
        CHECK_THAT(words, ContainsSubstring(path.string()));
        CHECK((files_in(folder) == before));
      }
    }
  }
}

TEST_CASE("SqliteFile, refused: also where another program is writing, and where another store has it") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  make_with_log(path);
  std::string before;
  {
    kvstore::detail::SqliteDatabase other{path, SQLITE_OPEN_READWRITE, 1s, nullptr};
    other.run("begin immediate", "another program");
    before = files_in(folder);
    CHECK_THAT(refusal(path, with(false)), ContainsSubstring("kept the database busy for 20 ms"));
    CHECK((files_in(folder) == before));
  }
  const auto owner = open(path, with(false));
  before = files_in(folder);
  CHECK_THAT(refusal(path, with(false)), ContainsSubstring("already open for writing"));
  CHECK((files_in(folder) == before));
  CHECK(owner->size() == 80);
}

TEST_CASE("SqliteFile, refused: a database that cannot be written, before anything is acknowledged") {
  if (!support::is_root()) return;  // root alone can become another user
  const TempFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  const auto path = folder / "data.db";
  open(path, with(false))->upsert("a", "1");
  std::filesystem::permissions(path,
                               std::filesystem::perms::owner_read | std::filesystem::perms::others_read);
  const std::string before = files_in(folder);
  CHECK_THAT(in_child([&] {
               support::become_nobody();
               return refusal(path, with(false));
             }),
             ContainsSubstring("may not be written by this user"));
  CHECK((files_in(folder) == before));
}

TEST_CASE("SqliteFile, refused: a database in rollback-journal mode stays in that mode") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  open(path, with(false))->upsert("a", "1");
  run_and_die(path, "pragma journal_mode = delete; insert into entries values('bad', 7)");
  const std::string before = files_in(folder);
  CHECK_THAT(refusal(path, with(false)), ContainsSubstring("entry \"bad\""));
  CHECK((files_in(folder) == before));
  CHECK_THAT(refusal(path, with(true)), ContainsSubstring("entry \"bad\""));
  CHECK((files_in(folder) == before));
  run_and_die(path, "delete from entries where key = 'bad'");
  CHECK(open(path, with(false))->read("a") == "1");
}

TEST_CASE("SqliteFile, refused: once the fault is mended, the log is read, and after closing it is gone") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  make_with_log(path);
  const auto at = read_file(path).find("key10\"") + 9;
  replace_bytes(path, at, "\xFF");
  CHECK(refusal(path, with(false)) != "opened");
  replace_bytes(path, at, "v");
  CHECK(open(path, with(false))->size() == 80);
  CHECK(folder.names() == std::set<std::string>{"data.db"});
}

// ---- Damage in the log -----------------------------------------------------------------------------------

TEST_CASE("SqliteFile's log: a changed bit is noticed, or what is lost was in the last two transactions") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  make_with_log(path);
  const auto log = beside(path, "-wal");
  const std::string whole = read_file(log);
  const std::string database = read_file(path);
  int noticed = 0;
  for (std::size_t at = 0; at < whole.size(); at += 997) {
    CAPTURE(at);
    write_file(path, database);
    write_file(log, whole);
    flip_bit(log, at);
    try {
      const auto store = open(path, with(false));
      CHECK(store->size() >= 78);
    } catch (const kvstore::CorruptionError& error) {
      CHECK(error.path() == log);
      CHECK(error.offset() <= at);
      ++noticed;
    }
  }
  CHECK(noticed > 120);
}

TEST_CASE("SqliteFile's log: wherever a crash cuts it, a state that was saved opens") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  make_with_log(path);
  const auto log = beside(path, "-wal");
  const std::string whole = read_file(log);
  const std::string database = read_file(path);
  std::size_t most = 0;
  for (std::size_t size = 0; size <= whole.size(); size += 1013) {
    CAPTURE(size);
    write_file(path, database);
    for (const bool zeros : {false, true}) {  // with zeros: the size is on disk, but the contents are not
      write_file(log, whole.substr(0, size) + std::string(zeros ? 5000 : 0, '\0'));
      std::filesystem::remove(beside(path, "-shm"));
      const auto store = open(path, with(true));
      CHECK(store->size() >= 60);
      most = std::max(most, store->size());
    }
    write_file(log, whole.substr(0, size));
    CHECK(open(path, with(false))->size() >= 60);
  }
  CHECK(most >= 79);
}

TEST_CASE("SqliteFile's log: of its last transaction, a crash may keep any pages, in any order") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  make_with_log(path);
  const auto log = beside(path, "-wal");
  const std::size_t synced = read_file(log).size();
  {  // the last transaction has many pages
    const std::string failure = in_child([&]() -> std::string {
      const auto store = open(path, with(false));
      for (int i = 0; i < 60; ++i) store->upsert("key" + std::to_string(i), std::string(900, 'w'));
      store->save();
      ::_exit(0);
    });
    REQUIRE(failure.empty());
  }
  const std::string whole = read_file(log);
  const std::string database = read_file(path);
  constexpr std::size_t kFrame = 24 + 4096;
  const std::size_t frames = (whole.size() - synced) / kFrame;
  REQUIRE(frames > 5);
  std::mt19937 random{7};
  for (int trial = 0; trial < 40; ++trial) {
    std::string kept = whole;
    bool lost = false;
    for (std::size_t i = 0; i < frames; ++i) {
      if (random() % 3 != 0) continue;
      lost = true;
      kept.replace(synced + i * kFrame, kFrame, kFrame, '\0');
    }
    write_file(path, database);
    write_file(log, kept);
    CAPTURE(trial);
    const auto store = open(path, with(false));
    CHECK(store->size() == 80);
    CHECK((store->read("key0")[0] == (lost ? 'v' : 'w')));
  }
}

}  // namespace sqlite_refusal_test

#endif
