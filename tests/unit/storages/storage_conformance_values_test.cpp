// SPDX-License-Identifier: MIT

// Requirements on every storage: keys and values of all kinds come back.

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/storages.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"
#include "unit/storages/storage_conformance.hpp"

namespace storage_conformance_values_test {

using kvstore::Options;
using support::StorageCase;
using support::TempFolder;
using support::TextEntries;
using namespace std::chrono_literals;
using storage_conformance::contents_of;
using storage_conformance::for_each_storage;
using storage_conformance::kManual;
using storage_conformance::Store;

namespace {

enum class Color { red = 1, green = 2 };

/// The keys and values to try, by type.
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
      for (const Value& value : all) store.upsert(key, value);  // many changes of one key, in the same batch
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

TEMPLATE_TEST_CASE("Storage: every kind of key and value comes back", "",
                   (std::pair<std::string, std::string>), (std::pair<std::string, double>),
                   (std::pair<std::string, nlohmann::json>), (std::pair<std::string, std::optional<int>>),
                   (std::pair<std::int64_t, std::string>), (std::pair<std::uint64_t, nlohmann::json>),
                   (std::pair<Color, double>)) {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    round_trip<typename TestType::first_type, typename TestType::second_type>(storage, folder);
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

}  // namespace storage_conformance_values_test
