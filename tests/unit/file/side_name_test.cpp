// SPDX-License-Identifier: MIT

// A store keeps some names for its own files. Neither another store nor a copy of the same store may use
// them.

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

#if __has_include(<sqlite3.h>)
#include "kvstore/storage/sqlite.hpp"
#endif

namespace side_name_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};
constexpr const char* kSuffixes[] = {".tmp",         ".lock",         ".journal",      ".journal.next",
                                     ".journal.new", ".journal.torn", ".journal.tail", "-wal",
                                     "-shm",         "-journal"};

const auto kRefused = ContainsSubstring("data.json keeps for its own files; name another file");

}  // namespace

TEST_CASE("Side name: no store opens at a name that the store beside it keeps for its files") {
  const TempFolder folder;
  support::write_file(folder / "data.json", "{}");
  for (const std::string suffix : kSuffixes) {
    CAPTURE(suffix);
    const fs::path name = folder / ("data.json" + suffix);
    CHECK_THROWS_WITH(Store(name, kManual), ContainsSubstring(name.string()) && kRefused);
    CHECK_THROWS_WITH(kvstore::JsonJournal{name}, kRefused);
#if __has_include(<sqlite3.h>)
    CHECK_THROWS_WITH(kvstore::SqliteFile{name}, kRefused);
#endif
  }
}

TEST_CASE("Side name: a store that has made no file yet writes no copy over its own names") {
  const TempFolder folder;
  Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json"), kManual};
  store.create("a", 1);
  for (const std::string suffix : kSuffixes) {
    CAPTURE(suffix);
    CHECK_THROWS_WITH(store.checkpoint(folder / ("data.json" + suffix)), kRefused);
  }
  store.compact();
  CHECK(store.read("a") == 1);
}

TEST_CASE("Side name: nothing is migrated between two names of one store, also where no store is yet") {
  for (const std::string suffix : kSuffixes) {
    CAPTURE(suffix);
    const TempFolder folder;
    if (suffix == ".lock") continue;  // no storage uses such a name
    const fs::path name = folder / ("data.json" + suffix);
    support::write_file(name, "{\n\"a\": 1\n}\n");
    kvstore::JsonFile from{name};
    kvstore::JsonFile owner{folder / "data.json"};
    const auto refused = ContainsSubstring("one of them has a name that the other keeps");
    CHECK_THROWS_WITH(kvstore::migrate(from, owner), refused);
    CHECK_THROWS_WITH(kvstore::migrate(owner, from), refused);
    CHECK(support::read_file(name) == "{\n\"a\": 1\n}\n");
  }
}

TEST_CASE("Side name: where there is no store beside it, a file may have any name") {
  const TempFolder folder;
  fs::create_directory(folder / "data");
  for (const std::string suffix : kSuffixes) {
    CAPTURE(suffix);
    Store store{folder / ("data" + suffix), kManual};
    store.create("a", 1);
    store.close();
    fs::remove(folder / ("data" + suffix));
  }
}

TEST_CASE("Side name: what was put aside in a conflict is a store like any other") {
  const TempFolder folder;
  support::write_file(folder / "data.json", "{}");
  support::write_file(folder / "data.json.ours", R"({"a": 1})");
  CHECK(Store{folder / "data.json.ours", kManual}.read("a") == 1);
}

}  // namespace side_name_test
