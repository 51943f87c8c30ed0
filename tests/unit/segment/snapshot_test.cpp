// SPDX-License-Identifier: MIT

// A save is a point in time. The storage here changes the store between two entries of a save, from the
// saving thread itself. So every interleaving of cut, slice and change occurs without luck.

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"

namespace snapshot_test {

using namespace std::chrono_literals;
using support::Disk;
using support::storage_on;
using Store = kvstore::BatchPersistentKeyValueStore<int, int>;

namespace {

using Text = std::map<std::string, std::string>;

const kvstore::Options kOneSegment{.batch_size = 0, .auto_save_interval = 0s, .segments = 1};

void fill(kvstore::KeyValueStore<int, int>& store, int entries) {
  for (int i = 0; i < entries; ++i) store.create(i, i);
}

Text contents(const kvstore::KeyValueStore<int, int>& store) {
  Text result;
  store.for_each([&](int key, int value) { result[std::to_string(key)] = std::to_string(value); });
  return result;
}

/// Makes one of six kinds of changes.
void change(kvstore::KeyValueStore<int, int>& store, int verb) {
  for (int key = 0; key < 1000; key += 7) {
    if (verb == 0) store.update(key, -1);
    if (verb == 1) store.remove(key);
    if (verb == 2) store.create(key + 5000, -1);
    if (verb == 3) store.modify(key, [](int& value) { value = -1; });
  }
  if (verb == 4) store.clear();
  if (verb == 5) {
    kvstore::WriteBatch<int, int> batch;
    for (int key = 0; key < 600; ++key) batch.remove(key).create(key + 9000, 1);
    store.apply(std::move(batch));
  }
}

}  // namespace

TEST_CASE("Snapshot: changes made during a save are not in it, whatever they are, but in the store") {
  const auto at = static_cast<std::size_t>(GENERATE(1, 2, 127, 128, 129, 500, 999, 1000));
  const int verb = GENERATE(range(0, 6));
  CAPTURE(at, verb);
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), kOneSegment};
  kvstore::KeyValueStore<int, int> model;
  fill(store, 1000);
  fill(model, 1000);
  const Text before = contents(store);
  disk->on_change = [&](std::size_t number) {
    if (number == at) change(store, verb);
  };
  store.save();
  REQUIRE(disk->entries == before);
  change(model, verb);
  REQUIRE(contents(store) == contents(model));
  disk->on_change = [](std::size_t) {};
  store.save();
  REQUIRE(disk->entries == contents(store));
}

TEST_CASE("Snapshot: random changes between every two entries leave the point in time whole") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random{seed};
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s, .segments = 4}};
  fill(store, 2000);
  for (int round = 0; round < 5; ++round) {
    disk->on_change = [&](std::size_t) {
      for (int i = 0; i < 3; ++i) {
        const int key = static_cast<int>(random() % 3000);
        if (random() % 2 == 0)
          store.try_remove(key);
        else
          store.upsert(key, static_cast<int>(random() % 100));
      }
      if (random() % 2000 == 0) store.clear();
    };
    store.upsert(1, -round);
    const Text cut = contents(store);
    store.save();
    REQUIRE(disk->entries == cut);
  }
  disk->on_change = [](std::size_t) {};
}

TEST_CASE("Snapshot: tables that shrink during a save, and grow again, leave the point in time whole") {
  const auto at = static_cast<std::size_t>(GENERATE(1, 128, 129, 1000, 1999));
  const int left = GENERATE(0, 3, 300);
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), kOneSegment};
  fill(store, 2000);
  const Text before = contents(store);
  disk->on_change = [&](std::size_t number) {
    if (number != at) return;
    for (int key = 1999; key >= left; --key) store.remove(key);
    for (int key = 1000; key < 3000; key += 2) store.create(key, -1);
    for (int key = 1000; key < 3000; key += 2) store.remove(key);
  };
  store.save();
  CHECK(disk->entries == before);
  CHECK(store.size() == static_cast<std::size_t>(left));
  disk->on_change = [](std::size_t) {};
  store.save();
  CHECK(disk->entries == contents(store));
}

TEST_CASE("Snapshot: an abandoned one leaves nothing behind that the next one could meet") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s, .segments = 4}};
  fill(store, 2000);
  disk->on_change = [&](std::size_t number) {
    store.upsert(static_cast<int>(number), -1);
    if (number == 700) throw kvstore::StorageError{"memory", {}, "abandoned"};
  };
  REQUIRE_THROWS_AS(store.save(), kvstore::StorageError);
  disk->on_change = [](std::size_t) {};
  store.remove(5);
  store.create(7777, 7);
  store.save();
  REQUIRE(disk->entries == contents(store));
}

TEST_CASE("Snapshot: operations applied after the cut count as unsaved") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), kOneSegment};
  fill(store, 10);
  disk->on_change = [&](std::size_t number) {
    if (number <= 3) store.upsert(100, static_cast<int>(number));
  };
  store.save();
  disk->on_change = [](std::size_t) {};
  REQUIRE(store.unsaved() == 3);
}

}  // namespace snapshot_test
