// SPDX-License-Identifier: MIT

// Requirements on every storage: one owner, readers, copies and checkpoints.

#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#ifndef _WIN32
#include "support/child_process.hpp"
#endif
#include "support/storages.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"
#include "unit/storages/storage_conformance.hpp"

namespace storage_conformance_sharing_test {

using Catch::Matchers::ContainsSubstring;
using kvstore::LoadPurpose;
using kvstore::Options;
using support::StorageCase;
using support::storages;
using support::TempFolder;
using support::TextEntries;
using namespace std::chrono_literals;
using storage_conformance::contents_of;
using storage_conformance::for_each_storage;
using storage_conformance::kManual;
using storage_conformance::Store;

TEST_CASE("Storage: reading a missing file is an error, and makes no file") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (!storage.traits.in_file) return;
    for (const LoadPurpose purpose : {LoadPurpose::read_only, LoadPurpose::copy}) {
      const auto one = storage.open(folder.path());
      support::CollectingSink sink;
      REQUIRE_THROWS_WITH(one->load({.purpose = purpose}, sink), ContainsSubstring(one->path().string()));
      REQUIRE(folder.names().empty());
    }
  });
}

TEST_CASE("Storage: it has one owner at a time") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (!storage.traits.locks) return;
    std::optional<Store<std::string, int>> first;
    first.emplace(storage.open(folder.path()), kManual);
    first->upsert("a", 1);
    REQUIRE_THROWS_AS((Store<std::string, int>{storage.open(folder.path()), kManual}), kvstore::LockedError);
    first->upsert("b", 2);
    first.reset();
    REQUIRE(Store<std::string, int>{storage.open(folder.path()), kManual}.size() == 2);
  });
}

TEST_CASE("Storage: copied into any other, nothing is lost") {
  const TextEntries entries{{"", "null"}, {"a", "1"}, {"b", R"({"x":[1,2]})"}, {"c", R"("text")"}};
  for (const StorageCase& source : storages()) {
    for_each_storage([&](const StorageCase& storage, const TempFolder& folder) {
      if (storage.traits.reads_only_news && !support::replaces_open_files()) return;
      CAPTURE(source.name);
      const TempFolder there;
      const auto from = source.open(there.path());
      support::load_from(*from);
      support::save_to(*from, entries);
      const auto to = storage.open(folder.path());
      if (&source == &storage && from->path() == to->path()) return;  // migrate() takes two memories for one
      if (from->path() == to->path()) return;
      REQUIRE(kvstore::migrate(*from, *to) == entries.size());
      support::CollectingSink sink;
      to->load({.purpose = LoadPurpose::copy}, sink);
      REQUIRE(support::sorted(sink.entries) == entries);
      REQUIRE_THROWS_WITH(kvstore::migrate(*from, *to), ContainsSubstring("holds 4 entries already"));
      support::save_to(*from, {{"only", "1"}});
      REQUIRE(kvstore::migrate(*from, *to, {.replace = true}) == 1);
      support::CollectingSink again;
      to->load({.purpose = LoadPurpose::copy}, again);
      REQUIRE(again.entries == TextEntries{{"only", "1"}});
    });
  }
}

TEST_CASE("Storage: a store that is at work is copied as of one moment") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    Store<std::string, int> store{storage.open(folder.path()), {.batch_size = 1, .auto_save_interval = 0s}};
    store.upsert("a", 1);
    store.upsert("b", 1);
    store.remove("a");
    store.upsert("c", 3);
    kvstore::JsonFile to{folder / "copy.json"};
    const auto from = storage.open(folder.path());
    REQUIRE(kvstore::migrate(*from, to) == 2);
    REQUIRE(support::sorted(support::load_from(to)) == TextEntries{{"b", "1"}, {"c", "3"}});
  });
}

TEST_CASE("Storage: a checkpoint brings a live store back to where it was") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    const auto copy = folder / "backup.json";
    {
      Store<std::string, int> store{storage.open(folder.path()), {.batch_size = 3, .auto_save_interval = 0s}};
      for (int i = 0; i < 100; ++i) store.upsert("key " + std::to_string(i), i);
      store.checkpoint(copy);
      for (int i = 0; i < 50; ++i) store.remove("key " + std::to_string(i));
      store.upsert("later", 1);
      store.load_from(copy);
      REQUIRE(store.unsaved() == 0);
      REQUIRE(store.size() == 100);
      REQUIRE_FALSE(store.contains("later"));
      store.upsert("after", 2);
      store.close();
    }
    Store<std::string, int> store{storage.open(folder.path()), kManual};
    REQUIRE(store.size() == 101);
    REQUIRE(store.read("key 7") == 7);
    REQUIRE(store.read("after") == 2);
  });
}

TEST_CASE("Storage: a reader sees the old entries or the new ones while a store is replaced") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    constexpr int kKeys = 200;
    Store<int, int> old{folder / "old.json", kManual};
    for (int i = 0; i < kKeys; ++i) old.upsert(i, 0);
    old.close();
    Store<int, int> store{storage.open(folder.path()), {.batch_size = 50, .auto_save_interval = 0s}};
    store.load_from(folder / "old.json");
    std::atomic<bool> stop = false;
    std::jthread writer{[&] {
      for (int round = 1; !stop; ++round) {
        kvstore::WriteBatch<int, int> batch;
        for (int i = 0; i < kKeys; ++i) batch.upsert(i, round);
        store.apply(batch);
      }
    }};
    for (int i = 0; i < 20; ++i) {
      const auto copy = folder / "copy.json";
      store.checkpoint(copy);
      std::map<int, int> counts;
      for (const auto& [key, value] : contents_of(Store<int, int>{copy, kManual})) ++counts[value];
      REQUIRE(counts.size() == 1);  // all keys are from the same round
      REQUIRE(counts.begin()->second == kKeys);
      store.load_from(i % 2 == 0 ? copy : folder / "old.json");
    }
    stop = true;
    writer.join();
    const auto last = contents_of(store);
    store.close();
    REQUIRE(contents_of(Store<int, int>{storage.open(folder.path()), kManual}) == last);
  });
}

TEST_CASE("Storage: a damaged file to load from changes nothing") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    support::write_file(folder / "bad.json", R"({"a": 1, "b": )");
    Store<std::string, int> store{storage.open(folder.path()), kManual};
    store.upsert("mine", 1);
    REQUIRE_THROWS_AS(store.load_from(folder / "bad.json"), kvstore::CorruptionError);
    REQUIRE(contents_of(store) == std::map<std::string, int>{{"mine", 1}});
  });
}

TEST_CASE("Storage: opened read-only beside its owner, it shows what was saved, and takes no writes") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (storage.traits.reads_only_news && !support::replaces_open_files()) return;
    Store<std::string, int> owner{storage.open(folder.path()), kManual};
    owner.upsert("a", 1);
    owner.save();
    Options options = kManual;
    options.read_only = true;
    Store<std::string, int> reader{storage.open(folder.path()), options};
    REQUIRE(reader.read("a") == 1);
    if (storage.traits.reads_only_news) REQUIRE_FALSE(reader.refresh());
    owner.upsert("b", 2);
    owner.remove("a");
    owner.save();
    REQUIRE(reader.read("a") == 1);
    REQUIRE(reader.refresh());
    REQUIRE(contents_of(reader) == std::map<std::string, int>{{"b", 2}});
    owner.compact();
    reader.refresh();
    REQUIRE(contents_of(reader) == std::map<std::string, int>{{"b", 2}});
    owner.clear();
    owner.upsert("c", 3);
    owner.save();
    REQUIRE(reader.refresh());
    REQUIRE(contents_of(reader) == std::map<std::string, int>{{"c", 3}});

    const auto refused = ContainsSubstring("read-only");
    REQUIRE_THROWS_WITH(reader.create("x", 1), refused);
    REQUIRE_THROWS_WITH(reader.upsert("x", 1), refused);
    REQUIRE_THROWS_WITH(reader.update("c", 1), refused);
    REQUIRE_THROWS_WITH(reader.try_update("c", 1), refused);
    REQUIRE_THROWS_WITH(reader.remove("c"), refused);
    REQUIRE_THROWS_WITH(reader.modify("c", [](int&) {}), refused);
    REQUIRE_THROWS_WITH(reader.compare_exchange("c", 3, 4), refused);
    REQUIRE_THROWS_WITH(reader.clear(), refused);
    REQUIRE_THROWS_WITH(reader.compact(), refused);
    REQUIRE_THROWS_WITH(reader.load_from(folder / "none.json"), refused);
    kvstore::WriteBatch<std::string, int> batch;
    batch.upsert("x", 1);
    REQUIRE_THROWS_WITH(reader.apply(batch), refused);
    REQUIRE_THROWS_WITH(owner.refresh(), ContainsSubstring("Options::read_only"));
    REQUIRE(reader.read("c") == 3);
    reader.close();
    owner.close();
  });
}

#ifndef _WIN32  // Windows has no fork

TEST_CASE("Storage: a follower in another process sees whole batches only, in order") {
  static constexpr int kKeys = 40;
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (storage.name.starts_with("Memory")) return;  // processes cannot share it
    {
      Store<int, int> store{storage.open(folder.path()), kManual};
      for (int i = 0; i < kKeys; ++i) store.upsert(i, 0);
      store.close();
    }
    support::ChildProcess writer{[&] {
      Store<int, int> store{storage.open(folder.path()), {.batch_size = 40, .auto_save_interval = 0s}};
      const auto end = std::chrono::steady_clock::now() + 700ms;
      int round = 0;
      while (std::chrono::steady_clock::now() < end) {
        kvstore::WriteBatch<int, int> batch;
        ++round;
        for (int i = 0; i < kKeys; ++i) batch.upsert(i, round);
        store.apply(batch);
        if (round % 4 == 0) store.compact();
      }
      store.close();
      return std::to_string(round);
    }};
    Options options = kManual;
    options.read_only = true;
    Store<int, int> reader{storage.open(folder.path()), options};
    int last = 0;
    int steps = 0;
    const auto look = [&](const Store<int, int>& store) {
      std::map<int, int> counts;
      store.for_each([&](int, int value) { ++counts[value]; });
      REQUIRE(counts.size() == 1);
      REQUIRE(counts.begin()->second == kKeys);
      REQUIRE(counts.begin()->first >= last);
      steps += counts.begin()->first != last ? 1 : 0;
      last = counts.begin()->first;
    };
    const auto end = std::chrono::steady_clock::now() + 650ms;
    while (std::chrono::steady_clock::now() < end) {
      reader.refresh();
      look(reader);
      look(Store<int, int>{storage.open(folder.path()), options});
      reader.refresh();
      look(reader);
    }
    const int rounds = std::stoi(writer.result());
    reader.refresh();
    look(reader);
    REQUIRE(last == rounds);
    REQUIRE(steps > 1);
  });
}

#endif

}  // namespace storage_conformance_sharing_test
