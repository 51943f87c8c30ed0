// SPDX-License-Identifier: MIT

#include "kvstore/key_value_store.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "support/catch.hpp"

namespace key_value_store_test {

using Catch::Matchers::ContainsSubstring;
using Store = kvstore::KeyValueStore<std::string, std::string>;

TEST_CASE("CRUD: a created entry can be read, updated and removed") {
  Store store;
  store.create("alice", "30");
  REQUIRE(store.read("alice") == "30");
  store.update("alice", "31");
  REQUIRE(store.read("alice") == "31");
  store.remove("alice");
  REQUIRE_FALSE(store.contains("alice"));
  REQUIRE(store.empty());
}

TEST_CASE("CRUD: create refuses an existing key, names it and changes nothing") {
  Store store;
  store.create("alice", "30");
  REQUIRE_THROWS_WITH(store.create("alice", "99"),
                      ContainsSubstring("\"alice\"") && ContainsSubstring("exists"));
  REQUIRE_THROWS_AS(store.create("alice", "99"), kvstore::DuplicateKeyError);
  REQUIRE(store.read("alice") == "30");
}

TEST_CASE("CRUD: read, update and remove of a missing key throw and name it") {
  Store store;
  REQUIRE_THROWS_AS(store.read("bob"), kvstore::KeyNotFoundError);
  REQUIRE_THROWS_AS(store.update("bob", "1"), kvstore::KeyNotFoundError);
  REQUIRE_THROWS_AS(store.remove("bob"), kvstore::KeyNotFoundError);
  REQUIRE_THROWS_WITH(store.read("bob"), ContainsSubstring("\"bob\" does not exist"));
  REQUIRE(store.empty());
}

TEST_CASE("CRUD: the try forms answer instead of throwing") {
  Store store;
  REQUIRE(store.try_create("a", "1"));
  REQUIRE_FALSE(store.try_create("a", "2"));
  REQUIRE(store.try_read("a") == "1");
  REQUIRE(store.try_read("b") == std::nullopt);
  REQUIRE(store.try_update("a", "3"));
  REQUIRE_FALSE(store.try_update("b", "3"));
  REQUIRE(store.try_remove("a"));
  REQUIRE_FALSE(store.try_remove("a"));
}

TEST_CASE("CRUD: upsert says whether it added") {
  Store store;
  REQUIRE(store.upsert("a", "1"));
  REQUIRE_FALSE(store.upsert("a", "2"));
  REQUIRE(store.read("a") == "2");
}

TEST_CASE("CRUD: visit sees the value where it is, without a copy") {
  Store store;
  store.create("a", "1");
  const std::string* seen = nullptr;
  REQUIRE(store.visit("a", [&](const std::string& value) { seen = &value; }));
  const std::string* again = nullptr;
  REQUIRE(store.visit("a", [&](const std::string& value) { again = &value; }));
  REQUIRE(seen == again);
  REQUIRE_FALSE(store.visit("b", [](const std::string&) { FAIL("no such key"); }));
}

TEST_CASE("CRUD: modify changes the value, and keeps it if the function throws") {
  Store store;
  store.create("a", "1");
  REQUIRE(store.modify("a", [](std::string& value) { value += "2"; }));
  REQUIRE(store.read("a") == "12");
  REQUIRE_THROWS_AS(store.modify("a",
                                 [](std::string& value) {
                                   value = "half done";
                                   throw std::runtime_error{"stop"};
                                 }),
                    std::runtime_error);
  REQUIRE(store.read("a") == "12");
  REQUIRE_FALSE(store.modify("b", [](std::string&) { FAIL("no such key"); }));
}

TEST_CASE("CRUD: compare_exchange replaces only what is expected") {
  Store store;
  store.create("a", "1");
  REQUIRE_FALSE(store.compare_exchange("a", "2", "3"));
  REQUIRE(store.compare_exchange("a", "1", "3"));
  REQUIRE(store.read("a") == "3");
  REQUIRE_FALSE(store.compare_exchange("b", "1", "3"));
}

TEST_CASE("CRUD: for_each visits every entry once and clear removes all") {
  kvstore::KeyValueStore<int, int> store;
  for (int i = 0; i < 100; ++i) store.create(i, i * i);
  std::map<int, int> seen;
  store.for_each([&](int key, int value) { REQUIRE(seen.emplace(key, value).second); });
  REQUIRE(seen.size() == store.size());
  REQUIRE(seen[7] == 49);
  store.clear();
  REQUIRE(store.empty());
  store.create(1, 1);
  REQUIRE(store.size() == 1);
}

TEST_CASE("Lookup: a string_view finds a string key without a temporary string") {
  Store store;
  store.create("a key that is too long for the small string optimisation", "1");
  constexpr std::string_view key = "a key that is too long for the small string optimisation";
  REQUIRE(store.contains(key));
  REQUIRE(store.read(key) == "1");
  STATIC_REQUIRE(std::is_same_v<Store::LookupKey, std::string_view>);
  STATIC_REQUIRE(std::is_same_v<kvstore::KeyValueStore<int, int>::LookupKey, const int&>);
}

TEST_CASE("Lookup: tuples, enums and keys with a hash of their own work") {
  enum class Colour { red, green };
  kvstore::KeyValueStore<Colour, int> colours;
  colours.create(Colour::green, 2);
  REQUIRE(colours.read(Colour::green) == 2);
  kvstore::KeyValueStore<std::pair<std::string, int>, int> pairs;
  pairs.create({"a", 1}, 1);
  REQUIRE(pairs.contains({"a", 1}));
  struct Parity {
    std::size_t operator()(int key) const { return static_cast<std::size_t>(key % 2); }
  };
  kvstore::KeyValueStore<int, int, Parity> weak;
  for (int i = 0; i < 50; ++i) weak.create(i, i);
  for (int i = 0; i < 50; ++i) REQUIRE(weak.read(i) == i);
}

TEST_CASE("Values: move-only values can be stored, visited, modified and removed") {
  kvstore::KeyValueStore<int, std::unique_ptr<int>> store;
  store.create(1, std::make_unique<int>(10));
  REQUIRE(store.modify(1, [](std::unique_ptr<int>& value) { *value += 5; }));
  int seen = 0;
  REQUIRE(store.visit(1, [&](const std::unique_ptr<int>& value) { seen = *value; }));
  REQUIRE(seen == 15);
  store.upsert(1, nullptr);
  store.remove(1);
}

TEST_CASE("Values: types without a default constructor or assignment can be stored") {
  struct Fixed {
    explicit Fixed(int n) : number{n} {}
    const int number;
  };
  kvstore::KeyValueStore<int, Fixed> store;
  store.create(1, Fixed{1});
  store.create(2, Fixed{2});
  store.update(1, Fixed{3});
  store.remove(2);
  REQUIRE(store.read(1).number == 3);
}

TEST_CASE("WriteBatch: all changes happen in order, and later ones see earlier ones") {
  Store store;
  store.create("a", "1");
  kvstore::WriteBatch<std::string, std::string> batch;
  batch.create("b", "1").update("b", "2").remove("a").create("a", "again").upsert("c", "3").remove("c");
  REQUIRE(batch.size() == 6);
  store.apply(batch);
  REQUIRE(store.read("a") == "again");
  REQUIRE(store.read("b") == "2");
  REQUIRE_FALSE(store.contains("c"));
}

TEST_CASE("WriteBatch: a refused change leaves everything as it was") {
  Store store;
  store.create("a", "1");
  kvstore::WriteBatch<std::string, std::string> duplicate;
  duplicate.upsert("a", "2").create("b", "2").create("b", "3");
  REQUIRE_THROWS_AS(store.apply(duplicate), kvstore::DuplicateKeyError);
  kvstore::WriteBatch<std::string, std::string> missing;
  missing.remove("a").update("a", "2");
  REQUIRE_THROWS_AS(store.apply(missing), kvstore::KeyNotFoundError);
  REQUIRE(store.size() == 1);
  REQUIRE(store.read("a") == "1");
}

TEST_CASE("WriteBatch: removing many entries of one table at once removes just those") {
  kvstore::KeyValueStore<int, int> store;
  for (int i = 0; i < 100; ++i) store.create(i, i);
  kvstore::WriteBatch<int, int> batch;
  for (int i = 99; i >= 0; i -= 3) batch.remove(i);
  for (int i = 1000; i < 1020; ++i) batch.create(i, i);
  store.apply(std::move(batch));
  for (int i = 0; i < 100; ++i) REQUIRE(store.contains(i) == (i % 3 != 0));
  REQUIRE(store.size() == 66 + 20);
}

TEST_CASE("Callbacks: calling the store from its own callback throws instead of deadlocking") {
  Store store;
  store.create("a", "1");
  const auto refused = [&] { REQUIRE_THROWS_AS(store.contains("a"), kvstore::ReentryError); };
  store.visit("a", [&](const std::string&) { refused(); });
  store.modify("a", [&](std::string&) {
    refused();
    REQUIRE_THROWS_AS(store.create("b", "1"), kvstore::ReentryError);
  });
  store.for_each([&](const std::string&, const std::string&) {
    REQUIRE_THROWS_AS(store.clear(), kvstore::ReentryError);
    REQUIRE_THROWS_AS(store.size(), kvstore::ReentryError);
    REQUIRE_THROWS_AS(store.apply({}), kvstore::ReentryError);
    REQUIRE_THROWS_AS(store.for_each([](const std::string&, const std::string&) {}), kvstore::ReentryError);
  });
  REQUIRE(store.contains("a"));
}

TEST_CASE("Callbacks: another store may be used from a callback") {
  Store one;
  Store other;
  one.create("a", "1");
  one.visit("a", [&](const std::string& value) { other.create("a", value); });
  REQUIRE(other.read("a") == "1");
}

TEST_CASE("Model: random verbs agree with std::map") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random{seed};
  kvstore::KeyValueStore<int, int> store;
  std::map<int, int> model;
  for (int i = 0; i < 50'000; ++i) {
    const int key = static_cast<int>(random() % 300);
    switch (random() % 5) {
      case 0:
        REQUIRE(store.try_create(key, i) == model.emplace(key, i).second);
        break;
      case 1:
        REQUIRE(store.upsert(key, i) == model.insert_or_assign(key, i).second);
        break;
      case 2:
        REQUIRE(store.try_remove(key) == (model.erase(key) == 1));
        break;
      case 3:
        REQUIRE(store.try_update(key, i) == model.contains(key));
        if (model.contains(key)) model[key] = i;
        break;
      default:
        REQUIRE(store.try_read(key) == (model.contains(key) ? std::optional{model[key]} : std::nullopt));
    }
    REQUIRE(store.size() == model.size());
  }
}

}  // namespace key_value_store_test
