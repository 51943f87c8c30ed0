// SPDX-License-Identifier: MIT

#include "kvstore/detail/table/text_value.hpp"

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/error.hpp"
#include "kvstore/kvstore.hpp"
#include "kvstore/storage/memory_storage.hpp"
#include "support/catch.hpp"

namespace text_value_test { namespace {

using Store = kvstore::KeyValueStore<std::string, std::string>;

const void* memory_of(const Store& store, std::string_view key) {
  const void* memory = nullptr;
  store.visit(key, [&](const std::string& value) { memory = value.data(); });
  return memory;
}

TEST_CASE("Upsert of text: views, literals and arrays become values, beside strings") {
  Store store;
  CHECK(store.upsert("a", "literal"));
  CHECK_FALSE(store.upsert("a", std::string_view{"a view"}));
  CHECK(store.read("a") == "a view");
  CHECK_FALSE(store.upsert(std::string{"a"}, std::string{"a string"}));
  CHECK(store.read("a") == "a string");
  CHECK_FALSE(store.upsert("a", {'b', 'c'}));
  CHECK(store.read("a") == "bc");
  CHECK_FALSE(store.upsert("a", ""));
  CHECK(store.read("a").empty());
}

TEST_CASE("Upsert of text: replacing values again and again allocates no memory") {
  Store store;
  std::set<const void*> places;
  for (int i = 0; i < 100; ++i) {
    store.upsert("a", std::string_view{std::string(100, static_cast<char>('a' + i % 26))});
    CHECK(store.read("a") == std::string(100, static_cast<char>('a' + i % 26)));
    places.insert(memory_of(store, "a"));
  }
  CHECK(places.size() == 2);  // that of the value, and that of the one before
}

TEST_CASE("Upsert of text: a small value does not keep the memory of a large one") {
  Store store;
  store.upsert("large", std::string_view{std::string(4000, 'x')});
  store.upsert("large", std::string_view{std::string(4000, 'y')});
  store.upsert("small", std::string_view{std::string(100, 'z')});
  std::size_t capacity = 0;
  store.visit("small", [&](const std::string& value) { capacity = value.capacity(); });
  CHECK(capacity < 200);
}

TEST_CASE("Upsert of text: a refused text changes nothing, and the next one is stored") {
  kvstore::BatchPersistentKeyValueStore<std::string, std::string> store{
      std::make_unique<kvstore::MemoryStorage>()};
  store.upsert("a", "good");
  CHECK_THROWS_AS(store.upsert("a", "bad \xff"), kvstore::ValueError);
  CHECK(store.read("a") == "good");
  store.upsert("a", "better");
  CHECK(store.read("a") == "better");
  store.close();
}

}}  // namespace text_value_test
