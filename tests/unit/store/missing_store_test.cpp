// SPDX-License-Identifier: MIT

// A missing store is not an empty store, except to its owner, who makes it. A reader with a mistyped name, or
// of a file that is away for a moment, gets an error and loses nothing.

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/storages.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace missing_store_test {

using namespace std::chrono_literals;
using kvstore::JsonFile;
using kvstore::JsonJournal;
using kvstore::LoadPurpose;
using kvstore::StorageError;
using support::StorageCase;
using support::TempFolder;
using Names = std::set<std::string>;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
using Contents = std::map<std::string, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

kvstore::Options reading(bool allow_missing = false) {
  kvstore::Options options = kManual;
  options.read_only = true;
  options.allow_missing = allow_missing;
  return options;
}

Contents contents(const Store& store) {
  Contents result;
  store.for_each([&](const std::string& key, int value) { result[key] = value; });
  return result;
}

/// Requires that `action` fails because there is no such store. @returns the path that the error names
template <class Do>
std::filesystem::path missing_path(const Do& action) {
  try {
    action();
  } catch (const StorageError& error) {
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    return error.path();
  }
  return "nothing was thrown";
}

void for_each_storage(const std::function<void(const StorageCase&, const TempFolder&)>& body) {
  for (const StorageCase& storage : support::storages()) {
    DYNAMIC_SECTION(storage.name) {
      const TempFolder folder;
      body(storage, folder);
    }
  }
}

void write_store(const StorageCase& storage, const TempFolder& folder, const std::string& key, int value) {
  Store store{storage.open(folder.path()), kManual};
  store.upsert(key, value);
  store.close();
}

}  // namespace

TEST_CASE("Missing store: only a load for its owner may begin empty") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    for (const LoadPurpose purpose : {LoadPurpose::read_only, LoadPurpose::copy}) {
      const auto missing = storage.open(folder.path());
      support::CollectingSink sink;
      CHECK(missing_path([&] { missing->load({.purpose = purpose}, sink); }) == missing->path());
      CHECK(folder.names().empty());
    }
    const auto made = storage.open(folder.path());
    CHECK(support::load_from(*made).empty());
  });
}

TEST_CASE("Missing store: to load from it keeps every entry, in memory and stored") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    const TempFolder nothing;
    Store store{storage.open(folder.path()), kManual};
    store.upsert("a", 1);
    CHECK(missing_path([&] { store.load_from(nothing / "typo.json"); }) == nothing / "typo.json");
    const auto typo = storage.open(nothing.path());
    CHECK(missing_path([&] { store.load_from(*typo); }) == typo->path());
    CHECK(contents(store) == Contents{{"a", 1}});
    store.close();
    CHECK(contents(Store{storage.open(folder.path()), kManual}) == Contents{{"a", 1}});
    CHECK(nothing.names().empty());
  });
}

TEST_CASE("Missing store: to migrate from it replaces nothing, and makes no target") {
  for (const StorageCase& source : support::storages()) {
    for_each_storage([&](const StorageCase& storage, const TempFolder& folder) {
      CAPTURE(source.name);
      const TempFolder nothing;
      const auto typo = source.open(nothing.path());
      {
        const auto to = storage.open(folder.path());
        if (to->path() == typo->path()) return;
        CHECK(missing_path([&] { kvstore::migrate(*typo, *to, {.replace = true}); }) == typo->path());
      }
      CHECK(folder.names().empty());
      write_store(storage, folder, "a", 1);
      const auto to = storage.open(folder.path());
      CHECK(missing_path([&] { kvstore::migrate(*typo, *to, {.replace = true}); }) == typo->path());
      CHECK(support::load_from(*to) == support::TextEntries{{"a", "1"}});
      CHECK(nothing.names().empty());
    });
  }
}

TEST_CASE("Missing store: to open it read-only is an error that names it") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    const auto path = storage.open(folder.path())->path();
    CHECK(missing_path([&] { Store{storage.open(folder.path()), reading()}; }) == path);
    CHECK(folder.names().empty());
  });
}

TEST_CASE("Missing store: with allow_missing a reader sees an empty store, and later the one that was made") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    Store reader{storage.open(folder.path()), reading(true)};
    CHECK(reader.empty());
    CHECK(folder.names().empty());
    reader.refresh();
    CHECK(reader.empty());
    write_store(storage, folder, "a", 1);
    CHECK(reader.refresh());
    CHECK(contents(reader) == Contents{{"a", 1}});
  });
}

TEST_CASE("Missing store: allow_missing does not allow load_from a mistyped name") {
  const TempFolder folder;
  kvstore::Options options = kManual;
  options.allow_missing = true;
  Store store{folder / "data.json", options};
  store.upsert("a", 1);
  CHECK(missing_path([&] { store.load_from(folder / "typo.json"); }) == folder / "typo.json");
  CHECK(contents(store) == Contents{{"a", 1}});
}

TEST_CASE(
    "Missing store: a file that vanishes is an error to a reader, who keeps the entries until it is back") {
  for (const StorageCase& storage : support::storages()) {
    if (!storage.name.starts_with("Json") && !storage.name.starts_with("SqliteFile") &&
        !storage.name.starts_with("Length"))
      continue;  // a store in memory cannot vanish
    for (const bool allow_missing : {false, true}) {
      DYNAMIC_SECTION(storage.name << ", allow_missing " << allow_missing) {
        const TempFolder folder;
        const TempFolder away;
        write_store(storage, folder, "a", 1);
        Store reader{storage.open(folder.path()), reading(allow_missing)};
        for (int round = 0; round < 2; ++round) {
          for (const std::string& name : folder.names()) std::filesystem::rename(folder / name, away / name);
          const auto path = storage.open(folder.path())->path();
          CHECK(missing_path([&] { reader.refresh(); }) == path);
          CHECK(missing_path([&] { reader.refresh(); }) == path);
          CHECK(contents(reader) == Contents{{"a", 1}});
          for (const std::string& name : away.names()) std::filesystem::rename(away / name, folder / name);
          reader.refresh();
          CHECK(contents(reader) == Contents{{"a", 1}});
        }
        write_store(storage, folder, "b", 2);
        CHECK(reader.refresh());
        CHECK(contents(reader) == Contents{{"a", 1}, {"b", 2}});
      }
    }
  }
}

}  // namespace missing_store_test
