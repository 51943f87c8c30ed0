// SPDX-License-Identifier: MIT

// A store whose readers take no lock. The tests show the writers that these readers keep out, and for how
// long.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "concurrency/segment_readers.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"

namespace store_readers_test {

using segment_readers::give_a_moment;

namespace {

/// The first key in a segment, if the number of segments is a power of two.
int key_in(std::size_t segment, std::size_t segments) {
  int key = 0;
  while ((kvstore::Hash<int>{}(key) >> 16 & (segments - 1)) != segment) ++key;
  return key;
}

}  // namespace

TEST_CASE("Store: readers of many keys keep no writer of a segment out that they do not read") {
  constexpr std::size_t kSegments = 512;
  kvstore::BatchPersistentKeyValueStore<int, int> store{
      support::storage_on(std::make_shared<support::Disk>()),
      {.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}, .segments = kSegments}};
  const int read = key_in(3 + 256, kSegments);
  const int written = key_in(3, kSegments);
  for (const int key : {read, written}) {
    store.create(key, 0);
    for (int i = 0; i < 10; ++i) REQUIRE(store.read(key) == 0);
  }
  std::atomic<bool> through = false;
  std::optional<std::jthread> writer;
  store.visit_many({read}, [&](std::size_t, int) {
    writer.emplace([&] {
      store.upsert(written, 1);
      through = true;
    });
    for (int round = 0; !through && round < 500'000; ++round) std::this_thread::yield();
    CHECK(through);
  });
}

TEST_CASE("Store: a visit of a key that is only read keeps writers of that key out, and no others") {
  kvstore::BatchPersistentKeyValueStore<std::string, std::string> store{
      support::storage_on(std::make_shared<support::Disk>()),
      {.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}}};
  store.create("read", "old");
  for (int i = 0; i < 100; ++i) REQUIRE(store.read("read") == "old");
  std::atomic<bool> written = false;
  std::optional<std::jthread> writer;
  store.visit("read", [&](const std::string& value) {
    writer.emplace([&] {
      store.upsert("read", "new");
      written = true;
    });
    give_a_moment();
    CHECK_FALSE(written);
    CHECK(value == "old");
  });
  writer.reset();
  CHECK(store.read("read") == "new");
}

TEST_CASE("Store: a visit of many keys that are only read keeps the writers of each out") {
  kvstore::BatchPersistentKeyValueStore<int, int> store{
      support::storage_on(std::make_shared<support::Disk>()),
      {.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}}};
  std::vector<int> keys;
  for (int key = 0; key < 40; ++key) {
    store.create(key, 0);
    keys.push_back(key);
  }
  for (int i = 0; i < 10; ++i) REQUIRE(store.read_many(keys).size() == keys.size());
  std::atomic<int> written = 0;
  std::vector<std::jthread> writers;
  const auto write = [&](int key) {
    store.upsert(key, 1);
    ++written;
  };
  store.visit_many(keys, [&](std::size_t i, int value) {
    if (i != 3) return;  // in the first group of sixteen
    for (const int key : {3, 15}) writers.emplace_back(write, key);
    give_a_moment();
    CHECK(written == 0);
    CHECK(value == 0);
  });
  writers.clear();
  CHECK(store.read(3) + store.read(15) == 2);
}

TEST_CASE("Store: a visit of a key that is only read may throw; writers come in afterwards") {
  kvstore::BatchPersistentKeyValueStore<int, int> store{
      support::storage_on(std::make_shared<support::Disk>()),
      {.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}}};
  store.create(1, 1);
  for (int i = 0; i < 100; ++i) {
    REQUIRE_THROWS_AS(store.visit(1, [](int) { throw std::runtime_error{"no"}; }), std::runtime_error);
  }
  store.upsert(1, 2);
  CHECK(store.read(1) == 2);
}

}  // namespace store_readers_test
