// SPDX-License-Identifier: MIT

// The behaviour of a store on a system that can start no more threads.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/no_more_threads.hpp"
#include "support/temp_folder.hpp"

namespace no_threads_test {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using kvstore::Options;
using support::NoMoreThreads;
using support::read_file;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;

namespace {

const Options kByHand{.batch_size = 0, .auto_save_interval = 0ms, .threads = 4};

/// Makes the store large enough for several threads to save and load it.
void fill(Store& store) {
  for (int i = 0; i < 50'000; ++i) store.upsert("key " + std::to_string(i), std::string(100, 'x'));
}

TEST_CASE("No threads: in these tests no thread can be started") {
  const NoMoreThreads none;
  CHECK_THROWS_AS(std::jthread([] {}), std::system_error);
}

TEST_CASE("No threads: a save and a load go without helpers") {
  const TempFolder folder;
  const auto path = folder / "data.json";
  std::string sound;
  {
    Store store{path, kByHand};
    fill(store);
    store.save();
    sound = read_file(path);
    store.upsert("key 0", std::string(100, 'x'));  // the same value again, so that there is something to save
    const NoMoreThreads none;
    store.save();
    CHECK(read_file(path) == sound);
  }
  const NoMoreThreads none;
  const Store store{path, kByHand};
  CHECK(store.size() == 50'000);
  CHECK(store.read("key 49999") == std::string(100, 'x'));
}

TEST_CASE("No threads: a store that saves by itself says that it cannot, and leaves its file alone") {
  const TempFolder folder;
  const auto path = folder / "data.json";
  const auto make = [&](bool journal) -> std::unique_ptr<kvstore::Storage> {
    if (journal) return std::make_unique<kvstore::JsonJournal>(path);
    return std::make_unique<kvstore::JsonFile>(path);
  };
  const bool journal = GENERATE(false, true);
  CAPTURE(journal);
  {
    Store store{make(journal)};
    store.upsert("a", "1");
  }
  const auto file = journal ? folder / "data.json.journal" : path;
  const std::string before = read_file(file);
  {
    const NoMoreThreads none;
    CHECK_THROWS_WITH(Store{make(journal)},
                      ContainsSubstring("data.json") && ContainsSubstring("cannot start a thread"));
    CHECK_THROWS_AS(Store{make(journal)}, kvstore::StorageError);
  }
  CHECK(read_file(file).starts_with(before));  // a journal records that it was opened
  Store store{make(journal)};
  CHECK(store.read("a") == "1");
}

TEST_CASE("No threads: an upgrade does not change the file of a store that cannot open") {
  const TempFolder folder;
  const auto path = folder / "data.json";
  Options options{.schema_version = 1};
  { Store{path, options}.upsert("a", "1"); }
  const std::string before = read_file(path);
  options.schema_version = 2;
  options.upgrade = [](std::uint32_t, std::string_view, nlohmann::json& value) { value = "2"; };
  {
    const NoMoreThreads none;
    CHECK_THROWS_AS((Store{path, options}), kvstore::StorageError);
  }
  CHECK(read_file(path) == before);
  CHECK(Store{path, options}.read("a") == "2");
}

TEST_CASE("No threads: a migration says that it cannot, and has changed nothing") {
  const TempFolder folder;
  { Store{folder / "from.json", kByHand}.upsert("a", "1"); }
  kvstore::JsonFile from{folder / "from.json"};
  kvstore::JsonFile to{folder / "to.json"};
  {
    const NoMoreThreads none;
    CHECK_THROWS_WITH(kvstore::migrate(from, to),
                      ContainsSubstring("from.json") && ContainsSubstring("cannot start a thread"));
    CHECK_FALSE(std::filesystem::exists(folder / "to.json"));
  }
  CHECK(kvstore::migrate(from, to) == 1);
}

}  // namespace
}  // namespace no_threads_test
