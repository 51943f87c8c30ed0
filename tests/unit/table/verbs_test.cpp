// SPDX-License-Identifier: MIT

// The verbs that take a function or a value that they may not need, in every kind of store.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/detail/base/callback.hpp"
#include "kvstore/key_value_store.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/storage/memory_storage.hpp"
#include "kvstore/write_batch.hpp"
#include "support/catch.hpp"

namespace verbs_test {

namespace {

using InMemory = kvstore::KeyValueStore<std::string, std::string>;
using Persistent = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;

/// Runs a test on both kinds of store.
template <class Test>
void in_both(const Test& test) {
  InMemory in_memory;
  test(in_memory);
  Persistent persistent{std::make_unique<kvstore::MemoryStorage>()};
  test(static_cast<InMemory&>(persistent));
}

const std::string kLong = "a text that is too long to lie within a string object";

}  // namespace

TEST_CASE("Verbs: try_create and try_update leave a value that they do not take") {
  in_both([](InMemory& store) {
    std::string value = kLong;
    store.create("a", "1");
    REQUIRE_FALSE(store.try_create("a", std::move(value)));
    REQUIRE(value == kLong);  // NOLINT(bugprone-use-after-move): that is what is tested
    REQUIRE_FALSE(store.try_update("b", std::move(value)));
    REQUIRE(value == kLong);
    REQUIRE(store.try_create("b", value));
    REQUIRE(store.try_update("b", value));
    REQUIRE(store.try_create("c", std::move(value)));
    REQUIRE(store.read("c") == kLong);
  });
}

TEST_CASE("Verbs: a move-only value that try_create does not take is still there") {
  kvstore::KeyValueStore<std::string, std::unique_ptr<int>> store;
  auto value = std::make_unique<int>(7);
  REQUIRE(store.try_create("a", std::make_unique<int>(1)));
  REQUIRE_FALSE(store.try_create("a", std::move(value)));
  REQUIRE(value != nullptr);
  REQUIRE(store.try_create("b", std::move(value)));
}

TEST_CASE("Verbs: modify with a function that returns false changes nothing") {
  in_both([](InMemory& store) {
    store.create("a", "1");
    REQUIRE_FALSE(store.modify("a", [](std::string& value) { return value = "2", false; }));
    REQUIRE(store.read("a") == "1");
    REQUIRE(store.modify("a", [](std::string& value) { return value = "2", true; }));
    REQUIRE(store.modify("a", [](std::string& value) -> int { return value += "3", 0; }));  // no bool
    REQUIRE(store.read("a") == "23");
    REQUIRE_FALSE(store.modify("b", [](std::string&) {}));
  });
}

TEST_CASE("Verbs: modify with a function that returns false is neither saved nor counted as applied") {
  auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
  Persistent store{std::make_unique<kvstore::MemoryStorage>(contents), {.batch_size = 1}};
  store.create("a", "1");
  const auto saves = contents->saves;
  for (int i = 0; i < 5; ++i) store.modify("a", [](std::string&) { return false; });
  REQUIRE(contents->saves == saves);
  REQUIRE(store.metrics().applied == 1);
  REQUIRE(store.metrics().of(kvstore::Verb::modify).done == 0);
}

TEST_CASE("Verbs: upsert_with changes a value, or adds the first") {
  in_both([](InMemory& store) {
    const auto append = [](std::string& value) { value += "+"; };
    REQUIRE(store.upsert_with("a", "1", append));
    REQUIRE_FALSE(store.upsert_with(std::string_view{"a"}, "1", append));
    REQUIRE(store.read("a") == "1+");
    REQUIRE_FALSE(store.upsert_with("a", "1", [](std::string& value) { return value.clear(), false; }));
    REQUIRE(store.read("a") == "1+");
  });
}

TEST_CASE("Verbs: remove_if removes an entry only if its value is wanted") {
  in_both([](InMemory& store) {
    store.create("a", "1");
    REQUIRE_FALSE(store.remove_if("a", [](const std::string& value) { return value == "2"; }));
    REQUIRE_FALSE(store.remove_if("b", [](const std::string&) { return true; }));
    REQUIRE(store.contains("a"));
    REQUIRE(store.remove_if("a", [](const std::string& value) { return value == "1"; }));
    REQUIRE(store.empty());
  });
}

TEST_CASE("Verbs: erase_if removes the entries that are wanted, and counts them") {
  in_both([](InMemory& store) {
    for (int i = 0; i < 1000; ++i) store.create(std::to_string(i), i % 3 == 0 ? "old" : "new");
    const auto is_old = [](const std::string&, const std::string& value) { return value == "old"; };
    REQUIRE(store.erase_if(is_old) == 334);
    REQUIRE(store.erase_if(is_old) == 0);
    REQUIRE(store.size() == 666);
  });
}

TEST_CASE("Verbs: for_each ends when its function returns false") {
  in_both([](InMemory& store) {
    for (int i = 0; i < 1000; ++i) store.create(std::to_string(i), "");
    int seen = 0;
    store.for_each([&](const std::string&, const std::string&) { return ++seen < 10; });
    REQUIRE(seen == 10);
    store.for_each([&](const std::string&, const std::string&) { return ++seen, 0; });  // no bool
    REQUIRE(seen == 1010);
  });
}

TEST_CASE("Verbs: a WriteBatch takes views of keys, as stores do") {
  in_both([](InMemory& store) {
    const std::string_view key = "a";
    kvstore::WriteBatch<std::string, std::string> batch;
    batch.create(key, "1").update(key, "2").upsert(key, "3").remove(key).upsert("b", "4");
    batch.upsert(std::string{"c"}, "5");
    store.apply(batch);
    REQUIRE(store.size() == 2);
  });
}

TEST_CASE("Verbs: a function that takes a copy of the value is recognised") {
  using kvstore::detail::kTakesCopy;
  STATIC_REQUIRE(kTakesCopy<decltype([](int) {})>);
  STATIC_REQUIRE(kTakesCopy<void (*)(int)>);
  STATIC_REQUIRE(kTakesCopy<decltype([](int) mutable noexcept {})&>);
  STATIC_REQUIRE_FALSE(kTakesCopy<decltype([](int&) {})>);
  STATIC_REQUIRE_FALSE(kTakesCopy<decltype([](const int&) {})>);
  STATIC_REQUIRE_FALSE(kTakesCopy<decltype([](auto) {})>);
  STATIC_REQUIRE_FALSE(kTakesCopy<void (*)(int&)>);
}

}  // namespace verbs_test
