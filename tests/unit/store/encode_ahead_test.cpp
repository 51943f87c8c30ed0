// SPDX-License-Identifier: MIT

// The line of an operation is encoded before its segment is locked: other threads do not wait for a codec.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/codec.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace encode_ahead_test {

using namespace std::chrono_literals;

/// A value whose codec waits for a signal when it encodes the line.
struct Slow {
  int number = 0;
  std::shared_future<void> gate;  // none: the codec does not wait
  bool operator==(const Slow& other) const { return number == other.number; }
};

int calls = 0;  // of the codec, for the value with a gate
std::promise<void> encoding;
bool was_met = false;  // the signal came while a codec waited

}  // namespace encode_ahead_test

template <>
struct kvstore::Codec<encode_ahead_test::Slow> {
  static void encode(const encode_ahead_test::Slow& value, kvstore::JsonWriter& out) {
    using namespace std::chrono_literals;
    // The first time, the value is checked.
    if (value.gate.valid() && encode_ahead_test::calls++ == 1) {
      encode_ahead_test::encoding.set_value();
      encode_ahead_test::was_met = value.gate.wait_for(20s) == std::future_status::ready;
    }
    out.integer(value.number);
  }
  static encode_ahead_test::Slow decode(kvstore::JsonReader& in) { return {in.integer<int>(), {}}; }
};

namespace encode_ahead_test {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, Slow>;

TEST_CASE(
    "A journal's line is encoded before the lock: a slow codec keeps no other writer of its segment out") {
  const support::TempFolder folder;
  const auto open = [&] {
    return std::make_unique<Store>(
        std::make_unique<kvstore::JsonJournal>(folder / "data.json"),
        kvstore::Options{.batch_size = 0, .auto_save_interval = 0ms, .segments = 1});
  };
  const bool exists = GENERATE(false, true);
  const auto store = open();
  if (exists) store->create("slow", {1, {}});
  std::promise<void> others_are_done;
  was_met = false;
  calls = 0;
  encoding = {};
  {
    const std::jthread writer{[&] { store->upsert("slow", {2, others_are_done.get_future().share()}); }};
    encoding.get_future().wait();
    store->upsert("other", {3, {}});
    store->remove("other");
    others_are_done.set_value();
  }
  CHECK(was_met);
  CHECK(store->read("slow").number == 2);
  store->close();
  CHECK(open()->read("slow").number == 2);
}

TEST_CASE("A journal's line that was encoded is not used if the operation does something else") {
  const support::TempFolder folder;
  {
    Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json"), {.batch_size = 0}};
    store.create("a", {1, {}});
    CHECK_THROWS_AS(store.create("a", {2, {}}), kvstore::DuplicateKeyError);
    store.upsert_with("a", {3, {}}, [](Slow& value) { value.number += 10; });
    store.upsert_with("b", {4, {}}, [](Slow& value) { value.number += 10; });
    CHECK(store.try_create("c", {5, {}}));
    CHECK_FALSE(store.try_create("c", {6, {}}));
  }
  const Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json")};
  CHECK(store.read("a").number == 11);
  CHECK(store.read("b").number == 4);
  CHECK(store.read("c").number == 5);
  CHECK(store.size() == 3);
}

/// Keys that are equal whatever their case.
struct AnyCase {
  static char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
  std::size_t operator()(const std::string& key) const noexcept {
    std::size_t hash = 0;
    for (const char c : key) hash = 31 * hash + static_cast<unsigned char>(lower(c));
    return hash;
  }
  bool operator()(const std::string& a, const std::string& b) const noexcept {
    return std::ranges::equal(a, b, {}, lower, lower);
  }
};

TEST_CASE("A journal's line has the key of the entry, even if the caller's is an equal one of another text") {
  using AnyCaseStore = kvstore::BatchPersistentKeyValueStore<std::string, int, AnyCase, AnyCase>;
  using PlainStore = kvstore::BatchPersistentKeyValueStore<std::string, int>;
  const support::TempFolder folder;
  {
    AnyCaseStore store{std::make_unique<kvstore::JsonJournal>(folder / "data.json"), {.batch_size = 0}};
    store.upsert("Foo", 1);
    store.upsert("foo", 2);
    store.create("Bar", 1);
    store.upsert("bar", 5);
    store.update("BAR", 6);
    store.remove("bAR");
    store.upsert_with("FOO", 0, [](int& value) { ++value; });
  }
  const PlainStore store{std::make_unique<kvstore::JsonJournal>(folder / "data.json")};
  CHECK(store.size() == 1);
  CHECK(store.read("Foo") == 3);
}

TEST_CASE("A journal's line has the key of the entry: numbers that are equal and have two texts") {
  const support::TempFolder folder;
  using Zeros = kvstore::BatchPersistentKeyValueStore<double, int>;
  {
    Zeros store{std::make_unique<kvstore::JsonJournal>(folder / "data.json"), {.batch_size = 0}};
    store.upsert(0.0, 1);
    store.upsert(-0.0, 2);
  }
  const kvstore::BatchPersistentKeyValueStore<std::string, int> texts{
      std::make_unique<kvstore::JsonJournal>(folder / "data.json")};
  CHECK(texts.size() == 1);
}

}  // namespace encode_ahead_test
