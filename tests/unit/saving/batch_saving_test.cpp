// SPDX-License-Identifier: MIT

#include <atomic>
#include <chrono>
#include <cstddef>
#include <future>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"
#include "support/semaphore.hpp"

namespace batch_saving_test {

using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;
using kvstore::BatchSave;
using kvstore::SaveScope;
using support::Disk;
using support::storage_on;
using Store = kvstore::BatchPersistentKeyValueStore<int, int>;

TEST_CASE("Batch: the operation that fills it saves, and no earlier one does") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 3, .auto_save_interval = 0s}};
  store.create(1, 1);
  store.create(2, 2);
  REQUIRE(disk->saves == 0);
  REQUIRE(store.unsaved() == 2);
  store.create(3, 3);
  REQUIRE(disk->saves == 1);
  REQUIRE(disk->entries.size() == 3);
  REQUIRE(store.unsaved() == 0);
}

TEST_CASE("Batch: only operations that changed something count") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 2, .auto_save_interval = 0s}};
  store.create(1, 1);
  REQUIRE_FALSE(store.try_create(1, 2));
  REQUIRE_FALSE(store.try_remove(9));
  REQUIRE_FALSE(store.compare_exchange(1, 5, 6));
  REQUIRE(store.read(1) == 1);
  REQUIRE(disk->saves == 0);
  REQUIRE(store.unsaved() == 1);
}

TEST_CASE("Batch: a batch size of one makes every operation durable before it returns") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 1, .auto_save_interval = 0s}};
  for (int i = 0; i < 5; ++i) {
    store.create(i, i);
    REQUIRE(disk->entries.contains(std::to_string(i)));
  }
}

TEST_CASE("Batch: a size of zero never saves by count") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s}};
  for (int i = 0; i < 5000; ++i) store.create(i, i);
  REQUIRE(disk->saves == 0);
  store.save();
  REQUIRE(disk->entries.size() == 5000);
}

TEST_CASE("Batch: a WriteBatch counts its changes and is saved as a whole") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 4, .auto_save_interval = 0s}};
  kvstore::WriteBatch<int, int> batch;
  for (int i = 0; i < 10; ++i) batch.create(i, i);
  store.apply(batch);
  REQUIRE(disk->saves == 1);
  REQUIRE(disk->entries.size() == 10);
}

TEST_CASE("Batch: a storage that wants changes gets them in order, and only what is new") {
  const auto disk = std::make_shared<Disk>();
  disk->wanted = SaveScope::changes;
  disk->entries = {{"1", "10"}, {"2", "20"}};
  Store store{storage_on(disk), {.batch_size = 3, .auto_save_interval = 0s}};
  store.update(1, 11);
  store.remove(1);
  store.create(1, 12);
  REQUIRE(disk->handed_over == 3);
  REQUIRE(disk->entries == std::map<std::string, std::string>{{"1", "12"}, {"2", "20"}});
  store.clear();
  store.save();
  REQUIRE(disk->entries.empty());
}

TEST_CASE("Save: it does nothing when nothing is unsaved") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk)};
  store.save();
  REQUIRE(disk->saves == 0);
}

TEST_CASE(
    "Durability bound: beside concurrent writers no more than the batch less one is unsaved at a return") {
  const std::uint64_t batch = GENERATE(1U, 2U, 7U, 64U);
  const auto disk = std::make_shared<Disk>();
  disk->wanted = SaveScope::changes;
  Store store{storage_on(disk), {.batch_size = batch, .auto_save_interval = 0s}};
  std::atomic<std::uint64_t> returned = 0;
  std::atomic<int> broken = 0;
  {
    std::vector<std::jthread> writers;
    for (int writer = 0; writer < 4; ++writer) {
      writers.emplace_back([&, writer] {
        for (int i = 0; i < 300; ++i) {
          store.create(writer * 1000 + i, i);
          const std::uint64_t acknowledged = ++returned;
          if (acknowledged > disk->count_entries() + batch - 1) ++broken;
        }
      });
    }
  }
  REQUIRE(broken == 0);
}

TEST_CASE("Group commit: writers that need a save while one runs share the next one") {
  const auto disk = std::make_shared<Disk>();
  support::Semaphore first_save_runs;
  support::Semaphore go_on;
  std::atomic<int> entered = 0;
  disk->on_save = [&] {
    if (entered++ != 0) return;
    first_save_runs.release();
    go_on.acquire();
  };
  Store store{storage_on(disk), {.batch_size = 1, .auto_save_interval = 0s}};
  std::jthread first{[&] { store.create(0, 0); }};
  first_save_runs.acquire();
  constexpr int kWaiting = 6;
  {
    std::vector<std::jthread> others;
    for (int i = 1; i <= kWaiting; ++i) others.emplace_back([&, i] { store.create(i, i); });
    while (store.metrics().applied < kWaiting + 1) std::this_thread::yield();
    go_on.release();
  }
  first.join();
  REQUIRE(disk->entries.size() == kWaiting + 1);
  REQUIRE(disk->saves == 2);
}

TEST_CASE("Background: the operation that fills the batch does not wait, and the saver saves") {
  const auto disk = std::make_shared<Disk>();
  support::Semaphore may_save;
  disk->on_save = [&] { may_save.acquire(); };
  Store store{storage_on(disk),
              {.batch_size = 2, .auto_save_interval = 0s, .batch_save = BatchSave::background}};
  for (int i = 0; i < 10; ++i) store.create(i, i);  // would hang here if a call waited
  REQUIRE(store.unsaved() == 10);
  may_save.release(5);
  while (store.unsaved() >= 2) std::this_thread::yield();
  REQUIRE(disk->count_saves() >= 1);
}

TEST_CASE("Auto-saver: it saves by itself within the interval") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 0, .auto_save_interval = 1ms}};
  store.create(1, 1);
  while (store.unsaved() != 0) std::this_thread::yield();
  REQUIRE(disk->count_entries() == 1);
}

TEST_CASE("Auto-saver: the store closes at once while it sleeps") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 0, .auto_save_interval = 24h}};
  store.create(1, 1);
  store.close();
  REQUIRE(disk->entries.size() == 1);
}

TEST_CASE("Readers: they go on while a save waits for its storage") {
  const auto disk = std::make_shared<Disk>();
  Store* store_in_save = nullptr;
  int seen = 0;
  disk->on_save = [&] { seen = store_in_save->read(1); };  // called from within the save: no lock is held
  disk->on_change = [&](std::size_t) { store_in_save->upsert(2, 2); };
  Store store{storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s}};
  store_in_save = &store;
  store.create(1, 1);
  store.save();
  REQUIRE(seen == 1);
  disk->on_save = [] {};
  disk->on_change = [](std::size_t) {};
}

TEST_CASE("Failure: the operation says that it is applied in memory and not yet on disk") {
  const auto disk = std::make_shared<Disk>();
  disk->fail = true;
  Store store{storage_on(disk), {.batch_size = 1, .auto_save_interval = 0s}};
  REQUIRE_THROWS_WITH(store.create(1, 1), ContainsSubstring("memory") &&
                                              ContainsSubstring("applied in memory and not yet on disk"));
  REQUIRE(store.read(1) == 1);
  REQUIRE(disk->entries.empty());
  REQUIRE(store.unsaved() == 1);
  disk->fail = false;
  store.save();
  REQUIRE(disk->entries.size() == 1);
}

TEST_CASE("Failure: load_from says that what it loaded is applied in memory and not yet on disk") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 1, .auto_save_interval = 0s}};
  const auto other = std::make_shared<Disk>();
  other->entries["7"] = "70";
  const auto storage = storage_on(other);
  SECTION("where the storage fails") { disk->fail = true; }
  SECTION("where a function of the user's throws") {
    disk->on_save = [] { throw std::runtime_error{"the user's"}; };
  }
  REQUIRE_THROWS_MATCHES(store.load_from(*storage), kvstore::StorageError,
                         Catch::Matchers::Predicate<kvstore::StorageError>([](const auto& error) {
                           return std::string_view{error.what()}.find(
                                      "applied in memory and not yet on disk") != std::string_view::npos;
                         }));
  REQUIRE(store.read(7) == 70);
  disk->fail = false;
  disk->on_save = [] {};
  store.save();
  REQUIRE(disk->entries == other->entries);
}

TEST_CASE("Failure: it is kept in last_error until a save succeeds, counted, and thrown by save and close") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s}};
  REQUIRE(store.last_error() == std::nullopt);
  store.create(1, 1);
  disk->fail = true;
  REQUIRE_THROWS_AS(store.save(), kvstore::StorageError);
  REQUIRE_THROWS_AS(store.close(), kvstore::StorageError);
  REQUIRE_THAT(store.last_error().value(), ContainsSubstring("cannot save"));
  REQUIRE(store.metrics().saves.failed == 2);
  store.create(2, 2);  // close() failed, so the store is still open
  disk->fail = false;
  store.close();
  REQUIRE(store.last_error() == std::nullopt);
  REQUIRE(disk->entries.size() == 2);
}

TEST_CASE("Failure: after one, the storage is left in peace until it is time to retry") {
  const auto disk = std::make_shared<Disk>();
  disk->fail = true;
  Store store{storage_on(disk), {.batch_size = 1, .auto_save_interval = 0s, .batch_save = BatchSave::wait}};
  REQUIRE_THROWS_AS(store.create(0, 0), kvstore::StorageError);
  for (int i = 1; i < 50; ++i) REQUIRE_THROWS_AS(store.create(i, i), kvstore::StorageError);
  REQUIRE(disk->count_saves() < 25);
  disk->fail = false;
  while (store.unsaved() != 0) std::this_thread::yield();  // the saver retries by itself
  REQUIRE(disk->count_entries() == 50);
}

TEST_CASE("Failure: on_error is told of each, may use the store, and may throw") {
  const auto disk = std::make_shared<Disk>();
  Store* that = nullptr;
  std::vector<std::string> told;
  Store store{storage_on(disk),
              {.batch_size = 0, .auto_save_interval = 0s, .on_error = [&](const std::exception& error) {
                 told.emplace_back(error.what());
                 static_cast<void>(that->read(1));
                 REQUIRE_THROWS_AS(that->save(), kvstore::StorageError);
                 throw std::runtime_error{"swallowed"};
               }}};
  that = &store;
  store.create(1, 1);
  disk->fail = true;
  REQUIRE_THROWS_AS(store.save(), kvstore::StorageError);
  REQUIRE(told.size() == 1);
  REQUIRE_THAT(told.front(), ContainsSubstring("cannot save"));
  disk->fail = false;
}

TEST_CASE("Failure: changes that could not be saved are handed over again, in order, before later ones") {
  const auto disk = std::make_shared<Disk>();
  disk->wanted = SaveScope::changes;
  Store store{storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s}};
  store.create(1, 1);
  disk->fail = true;
  REQUIRE_THROWS_AS(store.save(), kvstore::StorageError);
  store.update(1, 2);
  REQUIRE_THROWS_AS(store.save(), kvstore::StorageError);
  store.create(2, 1);
  disk->fail = false;
  store.save();
  REQUIRE(disk->handed_over == 3);
  REQUIRE(disk->entries == std::map<std::string, std::string>{{"1", "2"}, {"2", "1"}});
}

TEST_CASE("Failure: on_error that closes a store which is closing is refused, and nobody waits for itself") {
  const auto disk = std::make_shared<Disk>();
  int refused = 0;
  {
    Store* that = nullptr;
    Store store{storage_on(disk),
                {.batch_size = 0, .auto_save_interval = 0s, .on_error = [&](const std::exception&) {
                   REQUIRE_THROWS_AS(that->close(), kvstore::UsageError);
                   ++refused;
                 }}};
    that = &store;
    store.create(1, 1);
    disk->fail = true;
    REQUIRE_THROWS_AS(store.close(), kvstore::StorageError);
    REQUIRE(refused == 1);
    store.create(2, 2);  // a store that could not be closed continues
  }
  REQUIRE(refused == 2);  // once more, by the destructor
}

TEST_CASE("Failure: the destructor reports to on_error and does not throw") {
  const auto disk = std::make_shared<Disk>();
  disk->fail = true;
  int told = 0;
  {
    Store store{
        storage_on(disk),
        {.batch_size = 0, .auto_save_interval = 0s, .on_error = [&](const std::exception&) { ++told; }}};
    store.create(1, 1);
  }
  REQUIRE(told == 1);
}

}  // namespace batch_saving_test
