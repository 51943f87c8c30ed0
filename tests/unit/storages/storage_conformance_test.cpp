// SPDX-License-Identifier: MIT

// What every storage must do, run over all of them (support/storages.hpp).

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#ifndef _WIN32
#include "support/child_process.hpp"
#endif
#include "support/hooked_storage.hpp"
#include "support/storages.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace storage_conformance_test {

using Catch::Matchers::ContainsSubstring;
using kvstore::LoadPurpose;
using kvstore::Options;
using kvstore::SaveScope;
using support::StorageCase;
using support::storages;
using support::TempFolder;
using support::TextEntries;
using namespace std::chrono_literals;

namespace {

const Options kManual{.batch_size = 0, .auto_save_interval = 0s};

template <class Key, class Value>
using Store = kvstore::BatchPersistentKeyValueStore<Key, Value>;

template <class Key, class Value>
std::map<Key, Value> contents_of(const Store<Key, Value>& store) {
  std::map<Key, Value> contents;
  store.for_each([&](const Key& key, const Value& value) { contents.emplace(key, value); });
  return contents;
}

/// Runs a test body once per storage, each in a section and a folder of its own.
void for_each_storage(const std::function<void(const StorageCase&, const TempFolder&)>& body) {
  for (const StorageCase& storage : storages()) {
    DYNAMIC_SECTION(storage.name) {
      const TempFolder folder;
      body(storage, folder);
    }
  }
}

Options with(Options options, std::uint32_t version,
             std::function<void(std::uint32_t, std::string_view, nlohmann::json&)> upgrade = {}) {
  options.schema_version = version;
  options.upgrade = std::move(upgrade);
  return options;
}

enum class Color { red = 1, green = 2 };

/// What a storage is tried with, by kind of key and value.
template <class Key>
std::vector<Key> keys();
template <>
std::vector<std::string> keys() {
  return {"",
          "a",
          "$",
          "$schema",
          "42",
          "-0",
          "ключ",
          "with \"quotes\" and \\",
          "line\nfeed",
          "tab\t",
          std::string(1, '\0'),
          std::string(3000, 'k')};
}
template <>
std::vector<std::int64_t> keys() {
  return {0, 1, -1, 42, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
}
template <>
std::vector<std::uint64_t> keys() {
  return {0, 7, std::uint64_t{1} << 63, std::numeric_limits<std::uint64_t>::max()};
}
template <>
std::vector<Color> keys() {
  return {Color::red, Color::green};
}

template <class Value>
std::vector<Value> values();
template <>
std::vector<std::string> values() {
  return {"", "plain", "\"{}[],:\\", "привет", "a\nb\0c", std::string(200'000, 'v')};
}
template <>
std::vector<double> values() {
  return {0.0, -0.0, 0.1, 1e308, 5e-324, -1.0 / 3, 12345678901234567890.0};
}
template <>
std::vector<nlohmann::json> values() {
  return {nullptr, true,   18446744073709551615U,   -1,
          1.0,     "text", nlohmann::json::array(), {{"city", "Łódź"}, {"list", {1, 2, nullptr}}}};
}
template <>
std::vector<std::optional<int>> values() {
  return {std::nullopt, 0, -5, 2147483647};
}

template <class Key, class Value>
void round_trip(const StorageCase& storage, const TempFolder& folder) {
  std::map<Key, Value> wanted;
  std::mt19937 random{4};
  const auto all = values<Value>();
  {
    Store<Key, Value> store{storage.open(folder.path()), kManual};
    for (const Key& key : keys<Key>()) {
      for (const Value& value : all) store.upsert(key, value);  // many saves of one key, in the same batch
      store.upsert(key, wanted[key] = all[random() % all.size()]);
      if (random() % 2 == 0) store.save();
    }
    REQUIRE(contents_of(store) == wanted);
    store.close();
  }
  Store<Key, Value> store{storage.open(folder.path()), kManual};
  REQUIRE(contents_of(store) == wanted);
  const Key gone = keys<Key>().front();
  store.remove(gone);
  wanted.erase(gone);
  store.close();
  REQUIRE(contents_of(Store<Key, Value>{storage.open(folder.path()), kManual}) == wanted);
}

}  // namespace

TEST_CASE("Storage: nothing is there at first") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    Store<std::string, int> store{storage.open(folder.path()), kManual};
    REQUIRE(store.empty());
    store.close();
    REQUIRE(Store<std::string, int>{storage.open(folder.path()), kManual}.empty());
  });
}

TEMPLATE_TEST_CASE("Storage: every kind of key and value comes back", "",
                   (std::pair<std::string, std::string>), (std::pair<std::string, double>),
                   (std::pair<std::string, nlohmann::json>), (std::pair<std::string, std::optional<int>>),
                   (std::pair<std::int64_t, std::string>), (std::pair<std::uint64_t, nlohmann::json>),
                   (std::pair<Color, double>)) {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    round_trip<typename TestType::first_type, typename TestType::second_type>(storage, folder);
  });
}

TEST_CASE("Storage: after any mixture of operations, what is saved is what was in memory") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    std::map<int, int> model;
    std::mt19937 random{11};
    for (int run = 0; run < 6; ++run) {
      Store<int, int> store{storage.open(folder.path()), {.batch_size = run % 2 == 0 ? 1U : 7U}};
      REQUIRE(contents_of(store) == model);
      for (int step = 0; step < 60; ++step) {
        const int key = static_cast<int>(random() % 20);
        switch (random() % 8) {
          case 0:
            store.try_remove(key);
            model.erase(key);
            break;
          case 1: {
            kvstore::WriteBatch<int, int> batch;
            for (int i = 0; i < 5; ++i) batch.upsert(key + i, model[key + i] = step);
            store.apply(batch);
            break;
          }
          case 2:
            if (step % 10 != 0) break;
            store.clear();
            model.clear();
            break;
          case 3:
            store.compact();
            break;
          default:
            store.upsert(key, model[key] = step);
        }
      }
    }
    REQUIRE(contents_of(Store<int, int>{storage.open(folder.path())}) == model);
  });
}

TEST_CASE("Storage: a save that fails on the way leaves what was there") {
  class Broken final : public kvstore::ChangeSource {
   public:
    bool next(kvstore::Change& change) override {
      if (left_-- == 0) throw std::runtime_error{"no more"};
      change = {"a", "9"};
      return true;
    }

   private:
    int left_ = 1;
  };
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    const auto one = storage.open(folder.path());
    support::load_from(*one);
    support::save_to(*one, {{"a", "1"}, {"b", "2"}});
    Broken broken;
    REQUIRE_THROWS_WITH(one->save(broken), "no more");
    support::CollectingSink sink;
    one->load({.purpose = LoadPurpose::copy}, sink);
    REQUIRE(support::sorted(sink.entries) == TextEntries{{"a", "1"}, {"b", "2"}});
  });
}

TEST_CASE("Storage: a save that failed once works when it is tried again") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    bool fails = false;
    const auto open = [&] {
      return std::make_unique<support::HookedStorage>(storage.open(folder.path()), [&fails] {
        if (std::exchange(fails, false)) throw kvstore::StorageError{"here", {}, "cannot save"};
      });
    };
    std::map<int, int> model;
    {
      Store<int, int> store{open(), kManual};
      for (int i = 0; i < 10; ++i) {
        fails = i % 2 == 0;
        store.upsert(i, model[i] = i);
        store.upsert(0, model[0] = -i);
        if (fails) REQUIRE_THROWS_WITH(store.save(), ContainsSubstring("cannot save"));
        if (i % 3 == 2) store.remove(i);
        if (i % 3 == 2) model.erase(i);
        if (i % 4 != 0) store.save();
      }
      store.close();
    }
    REQUIRE(contents_of(Store<int, int>{open(), kManual}) == model);
  });
}

TEST_CASE("Storage: a load may come twice, and again after a save") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    const auto one = storage.open(folder.path());
    REQUIRE(support::load_from(*one).empty());
    support::save_to(*one, {{"a", "1"}, {"b", "2"}});
    const TextEntries saved{{"a", "1"}, {"b", "2"}};
    REQUIRE(support::sorted(support::load_from(*one)) == saved);
    REQUIRE(support::sorted(support::load_from(*one)) == saved);
    support::save_to(*one, {{"c", "3"}});
    REQUIRE(support::load_from(*one) == TextEntries{{"c", "3"}});
  });
}

TEST_CASE("Storage: to look at a file that is missing is an error, and makes none") {
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

TEST_CASE("Storage: empty values of every kind come back") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    const TextEntries empty{{"array", "[]"}, {"null", "null"}, {"object", "{}"}, {"text", R"("")"}};
    {
      const auto one = storage.open(folder.path());
      support::load_from(*one);
      support::save_to(*one, empty);
    }
    REQUIRE(support::sorted(support::load_from(*storage.open(folder.path()))) == empty);
  });
}

TEST_CASE("Storage: a hundred thousand entries come back, and so do changes of some of them") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    constexpr int kEntries = 100'000;
    {
      Store<int, int> store{storage.open(folder.path()), kManual};
      for (int i = 0; i < kEntries; ++i) store.upsert(i, i);
      store.save();
      for (int i = 0; i < kEntries; i += 10) store.upsert(i, -i);
      for (int i = 1; i < kEntries; i += 10) store.remove(i);
      store.close();
    }
    const Store<int, int> store{storage.open(folder.path()), kManual};
    REQUIRE(store.size() == kEntries / 10 * 9);
    int wrong = 0;
    store.for_each([&wrong](int key, int value) {
      wrong += key % 10 == 1 || value != (key % 10 == 0 ? -key : key) ? 1 : 0;
    });
    REQUIRE(wrong == 0);
  });
}

TEST_CASE("Storage: keys and values of every control character come back") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    std::map<std::string, std::string> wanted;
    for (int code = 0; code <= 0x7F; code = code == 0x1F ? 0x7F : code + 1) {
      const std::string text(1, static_cast<char>(code));
      wanted[text] = wanted["in " + text + " the midst"] = text + "x" + text;
    }
    {
      Store<std::string, std::string> store{storage.open(folder.path()), kManual};
      for (const auto& [key, value] : wanted) store.upsert(key, value);
      store.close();
    }
    REQUIRE(contents_of(Store<std::string, std::string>{storage.open(folder.path()), kManual}) == wanted);
  });
}

TEST_CASE("Storage: closing twice is closing once") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    Store<int, int> store{storage.open(folder.path()), kManual};
    store.upsert(1, 1);
    store.close();
    store.close();
    REQUIRE(Store<int, int>{storage.open(folder.path()), kManual}.size() == 1);
  });
}

TEST_CASE("Storage: after a close that failed, closing again works, or the next store opens what was saved") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    bool fails = false;
    const auto open = [&] {
      return std::make_unique<support::HookedStorage>(storage.open(folder.path()), [&fails] {
        if (fails) throw kvstore::StorageError{"here", {}, "cannot save"};
      });
    };
    {
      Store<int, int> store{open(), kManual};
      store.upsert(1, 1);
      fails = true;
      REQUIRE_THROWS_WITH(store.close(), ContainsSubstring("cannot save"));
      store.upsert(2, 2);  // it is open still
      fails = false;
      store.close();
    }
    {
      Store<int, int> store{open(), kManual};
      REQUIRE(store.size() == 2);
      store.upsert(3, 3);
      fails = true;
      REQUIRE_THROWS_WITH(store.close(), ContainsSubstring("cannot save"));
    }
    fails = false;
    const Store<int, int> store{open(), kManual};
    REQUIRE((store.size() == 2 || store.size() == 3));  // a journal may have the third
  });
}

TEST_CASE("Storage: a write beside a save does not wait for it, and is in the next one") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    Store<int, int>* writes_to = nullptr;
    int written = 0;
    const auto write = [&] {
      auto* const store = std::exchange(writes_to, nullptr);
      if (store == nullptr) return;
      ++written;
      std::jthread{[&] { store->upsert(written, written); }}.join();
    };
    Store<int, int> store{std::make_unique<support::HookedStorage>(storage.open(folder.path()), write),
                          kManual};
    store.upsert(0, 0);
    store.save();
    for (int i = 0; i < 3; ++i) {
      store.upsert(0, i);
      writes_to = &store;
      store.save();
    }
    REQUIRE(written == 3);
    store.close();
    REQUIRE(contents_of(Store<int, int>{storage.open(folder.path()), kManual}) ==
            std::map<int, int>{{0, 2}, {1, 1}, {2, 2}, {3, 3}});
  });
}

TEST_CASE("Storage: every durable operation is there again, whatever its saves want to be handed") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    std::map<int, int> model;
    for (int run = 0; run < 3; ++run) {
      Store<int, int> store{storage.open(folder.path()), {.batch_size = 1, .auto_save_interval = 0s}};
      REQUIRE(contents_of(store) == model);
      for (int i = 0; i < 10; ++i) store.upsert(run * 7 + i, model[run * 7 + i] = run);
      store.remove(run * 7);
      model.erase(run * 7);
      REQUIRE(store.unsaved() == 0);
      support::CollectingSink sink;
      storage.open(folder.path())->load({.purpose = LoadPurpose::copy}, sink);
      REQUIRE(sink.entries.size() == model.size());  // already, and not only once it is closed
    }
    REQUIRE(contents_of(Store<int, int>{storage.open(folder.path()), kManual}) == model);
  });
}

#if __has_include(<sqlite3.h>) && !defined(KVSTORE_TEST_REDIS)

TEST_CASE("Storage: integer keys that a migration made TEXT become INTEGER, and later operations are kept") {
  const TempFolder folder;
  std::map<int, int> model;
  {
    Store<int, int> store{folder / "data.json", kManual};
    for (int i = 0; i < 10; ++i) store.upsert(i, model[i] = i);
    store.close();
    kvstore::JsonFile from{folder / "data.json"};
    kvstore::SqliteFile to{folder / "data.db"};
    REQUIRE(kvstore::migrate(from, to) == 10);
  }
  {
    Store<int, int> store{std::make_unique<kvstore::SqliteFile>(folder / "data.db"),
                          {.batch_size = 1, .auto_save_interval = 0s}};
    for (int i = 5; i < 15; ++i) store.upsert(i, model[i] = -i);
    REQUIRE(store.unsaved() == 0);
  }
  REQUIRE(contents_of(Store<int, int>{std::make_unique<kvstore::SqliteFile>(folder / "data.db"), kManual}) ==
          model);
}

TEST_CASE("Storage: one INTEGER key that another program put beside strings makes no save forget") {
  const TempFolder folder;
  const auto open = [&] {
    return std::make_unique<Store<std::string, int>>(
        std::make_unique<kvstore::SqliteFile>(folder / "data.db"),
        Options{.batch_size = 1, .auto_save_interval = 0s});
  };
  open()->upsert("a", 1);
  kvstore::detail::SqliteDatabase{folder / "data.db", SQLITE_OPEN_READWRITE, 1s, nullptr}.run(
      "insert into entries values(7, '7')", "another program");
  {
    const auto store = open();
    for (int i = 0; i < 10; ++i) store->upsert("key " + std::to_string(i), i);
  }
  REQUIRE(open()->size() == 12);
}

#endif

TEST_CASE("Storage: everything replaces what was there, also where changes were wanted") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    {
      const auto one = storage.open(folder.path());
      support::load_from(*one);
      support::save_to(*one, {{"a", "1"}, {"b", "2"}});
      support::save_to(*one, {{"b", "3"}, {"c", "4"}});
    }
    const auto one = storage.open(folder.path());
    REQUIRE(support::sorted(support::load_from(*one)) == TextEntries{{"b", "3"}, {"c", "4"}});
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

TEST_CASE("Storage: the schema version is kept, and old values are upgraded as they load") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (!storage.traits.keeps_version) {
      REQUIRE_THROWS_WITH((Store<std::string, nlohmann::json>{storage.open(folder.path()), with(kManual, 1)}),
                          ContainsSubstring("keeps no schema version"));
      return;
    }
    const auto open = [&](Options options) {
      return Store<std::string, nlohmann::json>{storage.open(folder.path()), std::move(options)};
    };
    {
      auto store = open(kManual);
      store.upsert("ada", {{"name", "Ada"}});
      store.upsert("bob", {{"name", "Bob"}});
      store.close();
    }
    int calls = 0;
    const auto upgrade = [&calls](std::uint32_t from, std::string_view key, nlohmann::json& value) {
      ++calls;
      REQUIRE(from == 0);
      REQUIRE((key == "ada" || key == "bob"));
      value["full_name"] = value["name"];
      value.erase("name");
    };
    {
      auto store = open(with(kManual, 2, upgrade));
      REQUIRE(calls == 2);
      REQUIRE(store.read("ada") == nlohmann::json{{"full_name", "Ada"}});
      store.upsert("eve", {{"full_name", "Eve"}});
      store.close();
    }
    auto store = open(with(kManual, 2));  // nothing is left to upgrade
    REQUIRE(store.read("bob") == nlohmann::json{{"full_name", "Bob"}});
    REQUIRE(store.size() == 3);
  });
}

TEST_CASE("Storage: upgraded values are stored before the store has opened") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (!storage.traits.keeps_version) return;
    Store<std::string, int>{storage.open(folder.path()), with(kManual, 1)}.upsert("a", 1);
    const auto doubled = [](std::uint32_t, std::string_view, nlohmann::json& value) {
      value = value.get<int>() * 2;
    };
    const Store<std::string, int> open{storage.open(folder.path()), with(kManual, 2, doubled)};
    support::CollectingSink sink;
    storage.open(folder.path())->load({.purpose = LoadPurpose::copy}, sink);
    REQUIRE(sink.version == 2);
    REQUIRE(sink.entries == TextEntries{{"a", "2"}});
  });
}

TEST_CASE("Storage: if upgraded values cannot be stored, the store does not open, and the old ones stay") {
  const auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
  const auto open = [&](Options options) {
    return Store<std::string, int>{std::make_unique<kvstore::MemoryStorage>(contents), std::move(options)};
  };
  open(with(kManual, 1)).upsert("a", 1);
  const auto negated = [](std::uint32_t, std::string_view, nlohmann::json& value) {
    value = -value.get<int>();
  };
  contents->fail = true;
  REQUIRE_THROWS_AS(open(with(kManual, 2, negated)), kvstore::StorageError);
  contents->fail = false;
  REQUIRE(contents->schema_version == 1);
  REQUIRE(open(with(kManual, 1)).read("a") == 1);
  REQUIRE(open(with(kManual, 2, negated)).read("a") == -1);
}

TEST_CASE("Storage: values of a newer schema version, or older ones that nobody upgrades, are refused") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (!storage.traits.keeps_version) return;
    Store<std::string, int>{storage.open(folder.path()), with(kManual, 3)}.upsert("a", 1);
    const auto open = [&](Options options) {
      return Store<std::string, int>{storage.open(folder.path()), options};
    };
    REQUIRE_THROWS_AS(open(kManual), kvstore::SchemaVersionError);
    REQUIRE_THROWS_WITH(open(with(kManual, 2)),
                        ContainsSubstring("schema version 3, and this program knows versions up to 2"));
    REQUIRE_THROWS_WITH(open(with(kManual, 4)), ContainsSubstring("Options::upgrade"));
    const auto failing = [](std::uint32_t, std::string_view, nlohmann::json&) {
      throw std::runtime_error{"no"};
    };
    REQUIRE_THROWS_WITH(open(with(kManual, 4, failing)), "no");
    REQUIRE(open(with(kManual, 3)).read("a") == 1);
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
      if (&source == &storage && from->path() == to->path()) return;  // two memories are one to migrate()
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

TEST_CASE("Storage: whoever reads while a store is replaced sees the old entries or the new ones") {
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
      REQUIRE(counts.size() == 1);  // all keys of one round
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

#ifndef _WIN32  // which has no fork

TEST_CASE("Storage: a follower in another process sees whole batches only, in order") {
  static constexpr int kKeys = 40;
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (storage.name.starts_with("Memory")) return;  // which is not shared between processes
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

}  // namespace storage_conformance_test
