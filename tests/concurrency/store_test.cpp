// SPDX-License-Identifier: MIT

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"
#include "support/temp_folder.hpp"

namespace store_test {

using namespace std::chrono_literals;
using support::Disk;
using support::storage_on;
using Store = kvstore::BatchPersistentKeyValueStore<int, int>;

namespace {

/// Runs `work(number)` in `threads` threads, and waits for all of them.
template <class Work>
void in_threads(int threads, const Work& work) {
  std::vector<std::jthread> running;
  for (int thread = 0; thread < threads; ++thread) running.emplace_back([&, thread] { work(thread); });
}

constexpr int kAccounts = 40;
constexpr int kEach = 1000;

void open_accounts(Store& store) {
  for (int i = 0; i < kAccounts; ++i) store.create(i, kEach);
}

void transfer(Store& store, std::mt19937& random) {
  const int from = static_cast<int>(random() % kAccounts);
  const int to = (from + 1 + static_cast<int>(random() % (kAccounts - 1))) % kAccounts;
  const int balance = store.read(from);
  kvstore::WriteBatch<int, int> batch;
  batch.update(from, balance - 1).update(to, store.read(to) + 1);
  store.apply(std::move(batch));
}

long total(const std::map<std::string, std::string>& entries) {
  long sum = 0;
  for (const auto& [key, value] : entries) sum += std::stol(value);
  return sum;
}

}  // namespace

TEST_CASE("Threads: five that create their own keys lose none") {
  const support::TempFolder folder;
  {
    Store store{folder / "data.json", {.batch_size = 100}};
    in_threads(5, [&](int thread) {
      for (int i = 0; i < 200; ++i) store.create(thread * 1000 + i, i);
    });
    REQUIRE(store.size() == 1000);
  }
  REQUIRE(Store{folder / "data.json"}.size() == 1000);
}

TEST_CASE("Threads: of several that create one key, exactly one succeeds") {
  Store store{storage_on(std::make_shared<Disk>())};
  std::atomic<int> created = 0;
  in_threads(4, [&](int thread) {
    for (int key = 0; key < 500; ++key) created += store.try_create(key, thread);
  });
  REQUIRE(created == 500);
}

TEST_CASE("Threads: modify and compare_exchange lose no increment") {
  Store store{storage_on(std::make_shared<Disk>()), {.batch_size = 50}};
  store.create(1, 0);
  in_threads(4, [&](int thread) {
    for (int i = 0; i < 500; ++i) {
      if (thread % 2 == 0) {
        store.modify(1, [](int& value) { ++value; });
        continue;
      }
      for (int seen = store.read(1); !store.compare_exchange(1, seen, seen + 1);) seen = store.read(1);
    }
  });
  REQUIRE(store.read(1) == 2000);
}

TEST_CASE("Snapshot: one taken under transfers between accounts always sums to the same total") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s, .segments = 16}};
  open_accounts(store);
  std::atomic<bool> stop = false;
  std::jthread teller{[&] {
    std::mt19937 random{1};
    while (!stop) transfer(store, random);
  }};
  for (int i = 0; i < 200; ++i) {
    store.upsert(-1, 0);  // a change, so that there is something to save
    store.save();
    REQUIRE(total(disk->entries) == long{kAccounts} * kEach);
  }
  stop = true;
}

TEST_CASE("Snapshot: what one thread did first is in it if what it did later is") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s, .segments = 64}};
  constexpr int kKeys = 64;
  for (int key = 0; key < kKeys; ++key) store.create(key, 0);
  std::atomic<bool> stop = false;
  std::vector<std::jthread> writers;
  for (int writer = 0; writer < 2; ++writer) {
    writers.emplace_back([&, writer] {
      for (int round = 1; !stop; ++round) {
        for (int key = writer; key < kKeys; key += 2) store.update(key, round);
      }
    });
  }
  for (int i = 0; i < 300; ++i) {
    store.upsert(-1, 0);
    store.save();
    for (int key = 2; key < kKeys; ++key) {
      const int earlier = std::stoi(disk->entries[std::to_string(key - 2)]);
      const int later = std::stoi(disk->entries[std::to_string(key)]);
      REQUIRE(later <= earlier);
      REQUIRE(earlier <= later + 1);
    }
  }
  stop = true;
}

TEST_CASE("Threads: readers, writers, saves, checkpoints, clear and close go together") {
  const support::TempFolder folder;
  Store store{folder / "data.json", {.batch_size = 100, .auto_save_interval = 1ms}};
  in_threads(4, [&](int thread) {
    std::mt19937 random{static_cast<unsigned>(thread)};
    for (int i = 0; i < 2000; ++i) {
      const int key = static_cast<int>(random() % 500);
      switch (random() % 6) {
        case 0:
          store.upsert(key, i);
          break;
        case 1:
          store.try_remove(key);
          break;
        case 2:
          static_cast<void>(store.try_read(key));
          break;
        case 3:
          store.for_each([](int, int) {});
          break;
        case 4:
          if (i % 200 == 0) store.clear();
          break;
        default:
          if (i % 100 == 0) store.checkpoint(folder / ("copy" + std::to_string(thread) + ".json"));
      }
    }
  });
  store.close();
  std::map<int, int> expected;
  store.for_each([&](int key, int value) { expected[key] = value; });
  std::map<int, int> reloaded;
  Store{folder / "data.json"}.for_each([&](int key, int value) { reloaded[key] = value; });
  REQUIRE(reloaded == expected);
}

TEST_CASE("Batches: a reader sees all of one or nothing of it") {
  Store store{storage_on(std::make_shared<Disk>())};
  store.create(1, 0);
  store.create(2, 0);
  std::atomic<bool> stop = false;
  std::jthread writer{[&] {
    for (int i = 1; !stop; ++i) {
      kvstore::WriteBatch<int, int> batch;
      batch.update(1, i).update(2, i);
      store.apply(std::move(batch));
    }
  }};
  for (int i = 0; i < 5000; ++i) {
    const int first = store.read(1);
    REQUIRE(store.read(2) >= first);
  }
  stop = true;
}

TEST_CASE("Closing: beside writers, each write is saved or refused, and none meets a journal that is gone") {
  const support::TempFolder folder;
  for (int round = 0; round < 30; ++round) {
    const auto path = folder / (std::to_string(round) + ".json");
    int accepted = 0;
    {
      Store store{std::make_unique<kvstore::JsonJournal>(path), {.batch_size = 1000}};
      std::atomic<bool> writing = false;
      std::jthread writer{[&] {
        try {
          for (;; ++accepted) {
            store.create(accepted, accepted);
            writing = true;
          }
        } catch (const kvstore::UsageError&) {}
      }};
      while (!writing) std::this_thread::yield();
      store.close();
      writer.join();
    }
    Store again{std::make_unique<kvstore::JsonJournal>(path)};
    REQUIRE(again.size() == static_cast<std::size_t>(accepted));
  }
}

}  // namespace store_test
