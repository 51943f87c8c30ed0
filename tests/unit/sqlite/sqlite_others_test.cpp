// SPDX-License-Identifier: MIT

// Other programs change a database while the SqliteFile storage has it open: they move it, replace it, or
// write to it.

#if __has_include(<sqlite3.h>)

#include <fcntl.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "kvstore/kvstore.hpp"
#include "kvstore/storage/sqlite.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

namespace sqlite_others_test {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using kvstore::SqliteFile;
using support::TempFolder;
using namespace std::chrono_literals;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

std::unique_ptr<Store> open(const fs::path& path, bool read_only = false) {
  kvstore::Options options = kManual;
  options.read_only = read_only;
  return std::make_unique<Store>(std::make_unique<SqliteFile>(path), options);
}

/// The message of the refusal to save; `saved` if there was none.
std::string save(Store& store) {
  try {
    store.save();
    return "saved";
  } catch (const kvstore::StorageError& error) { return error.what(); }
}

/// Plays another program, by a connection of its own. A child process would not do: it would inherit the view
/// that SQLite has of its locks here.
kvstore::detail::SqliteDatabase connect(const fs::path& path) {
  return {path, SQLITE_OPEN_READWRITE, 1s, nullptr};
}

void run(const fs::path& path, const char* sql) { connect(path).run(sql, "another program"); }

/// The value that another program sees; `none` if there is no such key.
std::string value_at(const fs::path& path, const std::string& key) {
  auto database = connect(path);
  kvstore::detail::SqliteStatement row{database, "select value from entries where key = ?1"};
  row.bind(1, key);
  return row.step("another program") ? std::string{row.text(0)} : "none";
}

/// Whether this process holds a lock on a file, so that the file is in use for other processes.
bool is_in_use(const fs::path& path) {
  return support::in_child([&]() -> std::string {
           const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
           struct ::flock lock{};
           lock.l_type = F_WRLCK;
           if (::fcntl(descriptor, F_GETLK, &lock) != 0) return "failed";
           return lock.l_type == F_UNLCK ? "free" : "in use";
         }) == "in use";
}

}  // namespace

// ---- Names that refer to another file ------------------------------------------------------------------

TEST_CASE("SqliteFile beside others: a database that was moved away is not saved to until it is back") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  const auto store = open(path);
  store->upsert("a", 1);
  store->save();
  fs::rename(path, folder / "moved.db");
  store->upsert("a", 2);
  CHECK_THAT(save(*store),
             ContainsSubstring("data.db was moved, removed or replaced while the store was open"));
  CHECK(store->unsaved() == 1);
  CHECK_FALSE(fs::exists(path));
  fs::rename(folder / "moved.db", path);
  CHECK(save(*store) == "saved");
  CHECK(value_at(path, "a") == "2");
}

TEST_CASE(
    "SqliteFile beside others: save() tells of a database that is gone, also where nothing is unsaved") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  const auto store = open(path);
  store->upsert("a", 1);
  store->save();
  const auto* const gone = GENERATE("data.db", "data.db-wal", "data.db.lock");
  fs::remove(folder / gone);
  CHECK_THAT(save(*store), ContainsSubstring(std::string{gone} + " was "));
  CHECK_THROWS_AS(store->close(), kvstore::StorageError);
}

TEST_CASE("SqliteFile beside others: save() tells of a folder that is gone, also where nothing is unsaved") {
  const TempFolder folder;
  fs::create_directory(folder / "inner");
  const auto store = open(folder / "inner" / "data.db");
  store->upsert("a", 1);
  store->save();
  fs::remove_all(folder / "inner");
  CHECK_THAT(save(*store), ContainsSubstring("data.db.lock was removed, or its folder exchanged"));
}

TEST_CASE("SqliteFile beside others: a database that was overwritten is not taken for the store's") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  const auto store = open(path);
  store->upsert("a", 1);
  store->save();
  support::write_file(path, "{}\n");
  CHECK_THAT(save(*store), ContainsSubstring("data.db: was overwritten by another program"));
  store->upsert("a", 2);
  CHECK_THAT(save(*store), ContainsSubstring("data.db: was overwritten by another program"));
  CHECK(store->unsaved() == 1);
}

TEST_CASE("SqliteFile beside others: a database that was replaced keeps what the new one has") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  open(folder / "other.db")->upsert("theirs", 7);
  const auto store = open(path);
  store->upsert("mine", 1);
  store->save();
  fs::rename(folder / "other.db", path);
  store->upsert("mine", 2);
  CHECK_THAT(save(*store), ContainsSubstring("data.db was moved"));
  CHECK_THROWS_AS(store->close(), kvstore::StorageError);
  store->checkpoint(folder / "kept.json");
  CHECK(Store{folder / "kept.json", kManual}.read("mine") == 2);
}

TEST_CASE("SqliteFile beside others: a folder that was exchanged keeps the store that is in it now") {
  const TempFolder folder;
  fs::create_directory(folder / "first");
  fs::create_directory(folder / "second");
  fs::create_directory_symlink("first", folder / "current");
  const auto path = folder / "current" / "data.db";
  const auto store = open(path);
  store->upsert("a", 1);
  store->save();
  fs::remove(folder / "current");
  fs::create_directory_symlink("second", folder / "current");
  const auto next = open(path);
  next->upsert("a", 10);
  next->save();
  store->upsert("a", 2);
  CHECK_THAT(save(*store), ContainsSubstring("or its folder exchanged"));
  next->upsert("b", 11);
  CHECK(save(*next) == "saved");
  CHECK(value_at(path, "a") == "10");
}

TEST_CASE("SqliteFile beside others: without its lock file nothing is saved") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  const auto store = open(path);
  store->upsert("a", 1);
  store->save();
  fs::remove(folder / "data.db.lock");
  store->upsert("a", 2);
  CHECK_THAT(save(*store), ContainsSubstring("data.db.lock was removed, or its folder exchanged"));
  CHECK(value_at(path, "a") == "1");
}

TEST_CASE(
    "SqliteFile beside others: without its log nothing is saved, as it would be gone with the process") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  const auto store = open(path);
  store->upsert("a", 1);
  store->save();
  fs::remove(folder / "data.db-wal");
  store->upsert("a", 2);
  CHECK_THAT(save(*store), ContainsSubstring("data.db-wal was moved, removed or replaced"));
}

TEST_CASE("SqliteFile beside others: a follower goes over to the database that replaced the one it read") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  open(path)->upsert("a", 1);
  open(folder / "next.db")->upsert("a", 2);
  const auto follower = open(path, true);
  CHECK(follower->read("a") == 1);
  for (const char* suffix : {"-wal", "-shm"}) fs::remove(path.string() + suffix);
  fs::rename(folder / "next.db", path);
  CHECK(follower->refresh());
  CHECK(follower->read("a") == 2);
}

// ---- Other writers ---------------------------------------------------------------------------------------

TEST_CASE("SqliteFile beside others: an entry that another program wrote is neither overwritten nor lost") {
  const char* const kWrites[] = {
      "insert into entries values('theirs', '7')",
      "update entries set value = '7' where key = 'a'",
      "delete from entries where key = 'a'",
      "update entries set key = 'c' where key = 'a'",
  };
  for (const char* sql : kWrites) {
    DYNAMIC_SECTION(sql) {
      const TempFolder folder;
      const auto path = folder / "data.db";
      const auto store = open(path);
      store->upsert("a", 1);
      store->upsert("b", 1);
      store->save();
      run(path, sql);
      const auto theirs = value_at(path, "a") + value_at(path, "theirs") + value_at(path, "c");
      store->upsert("a", 2);
      for (int attempt = 0; attempt < 2; ++attempt) {
        CHECK_THAT(save(*store), ContainsSubstring("another program has changed its entries") &&
                                     ContainsSubstring(path.string()));
      }
      CHECK(value_at(path, "a") + value_at(path, "theirs") + value_at(path, "c") == theirs);
      CHECK(store->read("a") == 2);
    }
  }
}

TEST_CASE("SqliteFile beside others: they may tidy up, add tables and indexes, and read") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  const auto store = open(path);
  const char* const kHarmless[] = {
      "pragma wal_checkpoint(truncate)",
      "vacuum",
      "analyze",
      "create table unrelated(x); insert into unrelated values(1)",
      "create index by_value on entries(value)",
      "update entries set value = value",
      "insert into entries values('gone', '1'); delete from entries where key = 'gone'",
  };
  int number = 0;
  for (const char* sql : kHarmless) {
    CAPTURE(sql);
    store->upsert("a", ++number);
    store->upsert("key " + std::to_string(number), number);
    CHECK(save(*store) == "saved");
    run(path, sql);
    store->upsert("a", ++number);
    store->remove("key " + std::to_string(number - 1));
    CHECK(save(*store) == "saved");
    CHECK(value_at(path, "a") == std::to_string(number));
  }
  store->close();
  CHECK(open(path)->size() == 1);
}

TEST_CASE("SqliteFile beside others: a reader in the same process leaves the owner's locks alone") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  const auto store = open(path);
  store->upsert("a", 1);
  store->save();
  REQUIRE(is_in_use(path));
  const auto reader = open(path, true);
  CHECK(is_in_use(path));
  reader->refresh();
  reader->close();
  // Without the lock, the next program that closes the database would take itself for the last user, and
  // remove the log.
  CHECK(is_in_use(path));
  CHECK_THROWS_AS(open(path), kvstore::LockedError);
  CHECK(is_in_use(path));
}

TEST_CASE(
    "SqliteFile beside others: they may write again once the store is closed, and the next one loads it") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  open(path)->upsert("a", 1);
  run(path, "update entries set value = '5'");
  const auto store = open(path);
  CHECK(store->read("a") == 5);
  store->upsert("a", 6);
  CHECK(save(*store) == "saved");
}

TEST_CASE("SqliteFile beside others: a file of theirs at a name of SQLite's is refused and stays") {
  for (const char* suffix : {"-journal", "-wal"}) {
    for (const bool read_only : {false, true}) {
      CAPTURE(suffix, read_only);
      const TempFolder folder;
      const auto path = folder / "data.db";
      open(path)->upsert("a", 1);
      const auto name = folder / (std::string{"data.db"} + suffix);
      support::write_file(name, "another program's\n");
      CHECK_THROWS_WITH(open(path, read_only),
                        ContainsSubstring(name.string()) && ContainsSubstring("was not written by SQLite"));
      CHECK(support::read_file(name) == "another program's\n");
      for (const std::size_t zeros :
           {0U, 3U, 12U, 100U}) {  // SQLite's own, before a crash or after a transaction
        support::write_file(name, std::string(zeros, '\0') + (zeros == 12 ? "abcdefghijkl" : ""));
        CHECK(open(path, read_only)->read("a") == 1);
      }
    }
  }
}

TEST_CASE("SqliteFile beside others: the journal of a database that is gone is refused and stays") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  const auto journal = folder / "data.db-journal";
  const std::string header = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + std::string(8, '\1');
  const std::string one_page{"\0\0\0\1", 4};
  support::write_file(journal, header + one_page + std::string(492, '\0'));
  CHECK_THROWS_WITH(open(path), ContainsSubstring("is missing or empty, and") &&
                                    ContainsSubstring("data.db-journal has changes of it"));
  CHECK(fs::file_size(journal) == 512);
  CHECK_FALSE(fs::exists(path));
  support::write_file(journal, header + std::string(496, '\0'));  // of the transaction that made it
  open(path)->upsert("a", 1);
  CHECK(open(path)->read("a") == 1);
}

}  // namespace sqlite_others_test

#endif
