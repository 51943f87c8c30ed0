// SPDX-License-Identifier: MIT

// The verbs that the stores on servers share, on top of an engine that is a map here.

#include <cstddef>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/remote/engine.hpp"
#include "kvstore/detail/remote/store.hpp"
#include "kvstore/kvstore.hpp"
#include "kvstore/remote_metrics.hpp"
#include "kvstore/store.hpp"
#include "support/catch.hpp"

namespace remote_store_test {

namespace {

using kvstore::detail::Before;
using kvstore::detail::FunctionRef;
using kvstore::detail::RemoteChange;
using kvstore::detail::RemoteExchange;

class MapEngine {
 public:
  using Text = std::string_view;

  bool create(Text key, Text value) { return entries.try_emplace(std::string{key}, value).second; }
  bool update(Text key, Text value) { return contains(key) && !upsert(key, value); }
  bool upsert(Text key, Text value) { return entries.insert_or_assign(std::string{key}, value).second; }
  bool remove(Text key) { return entries.erase(std::string{key}) == 1; }
  std::optional<std::string> read(Text key) {
    const auto found = entries.find(std::string{key});
    return found == entries.end() ? std::nullopt : std::optional{found->second};
  }
  std::vector<std::optional<std::string>> read_many(std::span<const std::string> keys) {
    std::vector<std::optional<std::string>> values;
    for (const std::string& key : keys) values.push_back(read(key));
    return values;
  }
  void read_prefix(Text begin, std::size_t limit, FunctionRef<void(Text, Text)> see) {
    for (const auto& [key, value] : entries) {
      if (key.starts_with(begin) && limit != 0) see(key, value), --limit;
    }
  }
  bool contains(Text key) { return entries.contains(std::string{key}); }
  RemoteExchange replace_if(Text key, Text expected, Text desired) {
    if (between) std::exchange(between, nullptr)();
    auto current = read(key);
    if (current != expected) return {false, std::move(current)};
    entries[std::string{key}] = desired;
    return {true, {}};
  }
  [[nodiscard]] kvstore::detail::BatchLimit batch_limit() const { return batch; }
  const RemoteChange* apply(std::span<const RemoteChange> changes) {
    batches.push_back(changes.size());
    for (const RemoteChange& change : changes) {
      if (change.before != Before::any && contains(change.key) != (change.before == Before::present)) {
        return &change;
      }
    }
    for (const RemoteChange& change : changes) {
      change.value ? void(upsert(change.key, *change.value)) : void(remove(change.key));
    }
    return nullptr;
  }
  void for_each(FunctionRef<void(Text, Text)> see) {
    for (const auto& [key, value] : entries) see(key, value);
  }
  std::size_t size() { return entries.size(); }
  bool empty() { return entries.empty(); }
  void clear() { entries.clear(); }
  std::string name() const { return label; }
  kvstore::RemoteMetrics metrics() const { return {}; }

  std::string label = "map";
  std::map<std::string, std::string> entries;
  std::vector<std::size_t> batches;  ///< their sizes
  kvstore::detail::BatchLimit batch;
  std::function<void()> between;  ///< called once, before the next `replace_if`
};

template <class Key, class Value>
class MapStore : public kvstore::detail::RemoteStore<Key, Value, MapEngine> {
 public:
  MapStore() : kvstore::detail::RemoteStore<Key, Value, MapEngine>{std::make_unique<MapEngine>()} {}
  using kvstore::detail::RemoteStore<Key, Value, MapEngine>::engine;
};

using Store = MapStore<std::string, int>;
using Batch = kvstore::WriteBatch<std::string, int>;
static_assert(kvstore::Store<Store, std::string, int>);
static_assert(kvstore::Store<MapStore<int, nlohmann::json>, int, nlohmann::json>);
static_assert(kvstore::Store<kvstore::KeyValueStore<std::string, int>, std::string, int>);
static_assert(kvstore::Store<kvstore::BatchPersistentKeyValueStore<std::string, int>, std::string, int>);
static_assert(!kvstore::Store<std::map<std::string, int>, std::string, int>);

}  // namespace

TEST_CASE("Remote store: many keys are read at once, of any type") {
  MapStore<int, std::string> store;
  store.create(1, "one");
  store.create(3, "three");
  using Values = std::vector<std::optional<std::string>>;
  CHECK(store.read_many({3, 2, 1, 3}) == Values{"three", std::nullopt, "one", "three"});
  CHECK(store.read_many(std::vector<int>{}).empty());
  store.engine().entries["2"] = "2";
  REQUIRE_THROWS_AS(store.read_many({1, 2}), kvstore::CorruptionError);
}

TEST_CASE("Remote store: many entries are set, in batches that no server refuses, and visited") {
  Store store;
  store.upsert_many({{"a", 1}, {"b", 2}, {"a", 3}});
  CHECK(store.read("a") == 3);
  CHECK(store.engine().batches == std::vector<std::size_t>{2});
  std::vector<std::pair<std::string, int>> many;
  for (int i = 0; i < 250; ++i) many.emplace_back("key" + std::to_string(i), i);
  store.upsert_many(many);
  store.upsert_many(std::map<std::string, int>{});
  CHECK(store.engine().batches == std::vector<std::size_t>{2, 100, 100, 50});
  std::map<std::size_t, int> seen;
  CHECK(store.visit_many({"key7", "none", "a"}, [&](std::size_t index, int value) { seen[index] = value; }) ==
        2);
  CHECK(seen == std::map<std::size_t, int>{{0, 7}, {2, 3}});

  MapStore<std::string, std::string> texts;
  const std::string large(400'000, 'x');
  texts.upsert_many({{"a", large}, {"b", large}, {"c", large}, {"d", large + large + large}, {"e", "x"}});
  CHECK(texts.engine().batches == std::vector<std::size_t>{2, 1, 1, 1});

  MapStore<std::string, std::string> narrow;
  narrow.engine().batch = {.entries = 3, .bytes = 100, .framing = 30};
  narrow.upsert_many({{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}, {"e", large}});
  CHECK(narrow.engine().batches == std::vector<std::size_t>{2, 2, 1});  // of 34 bytes each
  CHECK(narrow.remove_unless([](std::string_view) { return false; }) == 5);
  CHECK(narrow.engine().batches == std::vector<std::size_t>{2, 2, 1, 3, 2});
}

TEST_CASE("Remote store: the entries of a prefix are decoded, up to a limit") {
  Store store;
  for (const char* key : {"a1", "a2", "a3", "b1"}) store.create(key, key[1] - '0');
  using Entries = std::vector<std::pair<std::string, int>>;
  CHECK(store.read_prefix("a", 2) == Entries{{"a1", 1}, {"a2", 2}});
  CHECK(store.read_prefix("b", 9) == Entries{{"b1", 1}});
  store.engine().entries["b2"] = "x";
  REQUIRE_THROWS_AS(store.read_prefix("b", 9), kvstore::CorruptionError);
}

TEST_CASE("Remote store: a copy that fails half-way has removed nothing of what it was to replace") {
  Store to;
  to.create("old", 1);
  MapStore<std::string, nlohmann::json> from;
  from.engine().label = "other";
  from.create("a", 2);
  from.create("b", "no number");
  REQUIRE_THROWS_AS(kvstore::migrate(from, to, {.replace = true}), kvstore::ValueError);
  CHECK(to.read("old") == 1);
  from.update("b", 3);
  CHECK(kvstore::migrate(from, to, {.replace = true}) == 2);
  CHECK(to.engine().entries == std::map<std::string, std::string>{{"a", "2"}, {"b", "3"}});
}

TEST_CASE("Remote store: the verbs tell existing keys from missing ones") {
  Store store;
  store.create("a", 1);
  REQUIRE_THROWS_AS(store.create("a", 2), kvstore::DuplicateKeyError);
  REQUIRE_FALSE(store.try_create("a", 2));
  REQUIRE(store.read("a") == 1);
  REQUIRE_THROWS_AS(store.read("b"), kvstore::KeyNotFoundError);
  REQUIRE_FALSE(store.try_read("b"));
  store.update("a", 3);
  REQUIRE_THROWS_AS(store.update("b", 3), kvstore::KeyNotFoundError);
  REQUIRE(store.upsert("b", 4));
  REQUIRE_FALSE(store.upsert("b", 5));
  REQUIRE(store.size() == 2);
  REQUIRE(store.contains("b"));
  store.remove("b");
  REQUIRE_THROWS_AS(store.remove("b"), kvstore::KeyNotFoundError);
  int seen = 0;
  REQUIRE(store.visit("a", [&](const int& value) { seen = value; }));
  REQUIRE(seen == 3);
  REQUIRE_FALSE(store.visit("b", [](const int&) {}));
  store.clear();
  REQUIRE(store.empty());
}

TEST_CASE("Remote store: modify starts over on what somebody else wrote meanwhile") {
  Store store;
  store.create("a", 1);
  store.engine().between = [&] { store.update("a", 10); };
  REQUIRE(store.modify("a", [](int& value) { value *= 2; }));
  REQUIRE(store.read("a") == 20);
  store.engine().between = [&] { store.remove("a"); };
  REQUIRE_FALSE(store.modify("a", [](int& value) { value *= 2; }));
  REQUIRE_FALSE(store.contains("a"));
  REQUIRE_FALSE(store.modify("a", [](int& value) { value *= 2; }));
}

TEST_CASE("Remote store: compare_exchange compares values, not their text") {
  MapStore<std::string, nlohmann::json> store;
  store.engine().entries["a"] = R"({ "y": 2, "x": 1.0 })";
  const nlohmann::json expected{{"x", 1.0}, {"y", 2}};
  REQUIRE_FALSE(store.compare_exchange("a", nlohmann::json{{"x", 3}}, nlohmann::json{}));
  REQUIRE(store.compare_exchange("a", expected, nlohmann::json(7)));
  REQUIRE(store.read("a") == nlohmann::json(7));
  REQUIRE_FALSE(store.compare_exchange("b", expected, nlohmann::json(7)));
}

TEST_CASE("Remote store: a batch is checked as a whole, and its later operations see the earlier ones") {
  Store store;
  store.create("a", 1);
  store.apply(Batch{}.create("b", 2).update("b", 3).update("a", 4).remove("a").create("a", 5).remove("b"));
  REQUIRE(store.engine().entries == std::map<std::string, std::string>{{"a", "5"}});
  REQUIRE_THROWS_AS(store.apply(Batch{}.upsert("c", 1).create("a", 2)), kvstore::DuplicateKeyError);
  REQUIRE_THROWS_AS(store.apply(Batch{}.upsert("c", 1).update("d", 2)), kvstore::KeyNotFoundError);
  REQUIRE_THROWS_AS(store.apply(Batch{}.upsert("c", 1).create("c", 2)), kvstore::DuplicateKeyError);
  REQUIRE_THROWS_AS(store.apply(Batch{}.remove("a").update("a", 2)), kvstore::KeyNotFoundError);
  REQUIRE(store.size() == 1);
}

TEST_CASE("Remote store: what could not be read back is refused, and what cannot be read is named") {
  MapStore<int, double> store;
  REQUIRE_THROWS_AS(store.create(1, std::numeric_limits<double>::infinity()), kvstore::ValueError);
  REQUIRE(store.empty());
  store.engine().entries["7"] = "true";
  REQUIRE_THROWS_WITH(
      store.read(7),
      "map: the value of key 7: expected a number; nothing was changed: mend it or move it away");
  store.engine().entries["x"] = "1";
  REQUIRE_THROWS_AS(store.for_each([](const int&, const double&) {}), kvstore::CorruptionError);
}

TEST_CASE("Remote store: entries move there from a storage, on to another store, and back") {
  const auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
  for (int i = 0; i < 1000; ++i) contents->entries[std::to_string(i)] = std::to_string(i);
  kvstore::MemoryStorage from{contents};
  MapStore<int, int> first;
  REQUIRE(kvstore::migrate(from, first) == 1000);
  REQUIRE(first.read(999) == 999);
  MapStore<int, int> second;
  second.engine().label = "another map";
  second.create(5000, 1);
  REQUIRE_THROWS_AS(kvstore::migrate(first, second), kvstore::UsageError);
  REQUIRE(second.size() == 1);
  REQUIRE(kvstore::migrate(first, second, {.replace = true}) == 1000);
  REQUIRE_FALSE(second.contains(5000));
  const auto back = std::make_shared<kvstore::MemoryStorage::Contents>();
  kvstore::MemoryStorage to{back};
  REQUIRE(kvstore::migrate(second, to) == 1000);
  REQUIRE(back->entries == contents->entries);
}

TEST_CASE("Remote store: what is of another type is not moved there, and named") {
  const auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
  contents->entries = {{"1", "true"}};
  kvstore::MemoryStorage from{contents};
  MapStore<int, int> to;
  REQUIRE_THROWS_WITH(kvstore::migrate(from, to), "key \"1\" of what is copied to map: expected a number");
  REQUIRE(to.empty());
}

}  // namespace remote_store_test
