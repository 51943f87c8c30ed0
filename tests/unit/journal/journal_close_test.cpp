// SPDX-License-Identifier: MIT

// What is left of a journal when its store is closed.

#include <chrono>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace journal_close_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using kvstore::JsonJournal;
using support::TempFolder;
using Names = std::set<std::string>;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

std::unique_ptr<JsonJournal> compacting(const fs::path& path) {
  return std::make_unique<JsonJournal>(path, JsonJournal::Options{.compact_on_close = true});
}

}  // namespace

TEST_CASE("Journal: a store that compacts on close leaves one JSON file, for JsonFile too") {
  const TempFolder folder;
  for (int opening = 1; opening <= 2; ++opening) {
    Store store{compacting(folder / "data.json"), kManual};
    store.upsert("opening", opening);
    store.close();
    CHECK(folder.names() == Names{"data.json"});
    CHECK(support::read_file(folder / "data.json") == "{\n\"opening\": " + std::to_string(opening) + "\n}\n");
  }
  { Store store{compacting(folder / "data.json"), kManual}; }
  CHECK(folder.names() == Names{"data.json"});
  { const Store store{compacting(folder / "data.json"), kManual}; }
  CHECK(Store{folder / "data.json", kManual}.read("opening") == 2);
}

TEST_CASE("Journal: a destructor compacts as well, and nothing is written where nothing has changed") {
  const TempFolder folder;
  {
    Store store{compacting(folder / "data.json"), kManual};
    store.upsert("a", 1);
  }
  CHECK(folder.names() == Names{"data.json"});
  const auto written = fs::last_write_time(folder / "data.json");
  { const Store store{compacting(folder / "data.json"), kManual}; }
  CHECK(fs::last_write_time(folder / "data.json") == written);
}

TEST_CASE("Journal: where it cannot be compacted, the store closes all the same and loses nothing") {
  const TempFolder folder;
  Store store{compacting(folder / "data.json"), kManual};
  store.upsert("a", 1);
  fs::create_directory(folder / "data.json.journal.next");
  CHECK_NOTHROW(store.close());
  CHECK_FALSE(fs::exists(folder / "data.json.lock"));
  fs::remove(folder / "data.json.journal.next");
  CHECK(Store{compacting(folder / "data.json"), kManual}.read("a") == 1);
}

TEST_CASE("Journal: a closed one has no padding, and a copy made while it was open sheds it when closed") {
  const TempFolder folder;
  const TempFolder copied;
  const auto padding = [](const fs::path& path) {
    return support::read_file(path).find('\0') != std::string::npos;
  };
  Store store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
  store.upsert("a", 1);
  store.save();
  fs::copy_file(folder / "data.json.journal", copied / "data.json.journal");
  CHECK(padding(copied / "data.json.journal"));
  store.close();
  CHECK_FALSE(padding(folder / "data.json.journal"));
  { const Store again{std::make_unique<JsonJournal>(copied / "data.json"), kManual}; }
  CHECK_FALSE(padding(copied / "data.json.journal"));
}

}  // namespace journal_close_test
