// SPDX-License-Identifier: MIT

// The figures that a store keeps about itself.

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"
#include "support/temp_folder.hpp"

namespace metrics_test {

using namespace std::chrono_literals;
using kvstore::Histogram;
using kvstore::OperationMetrics;
using kvstore::Verb;
using support::Disk;
using support::storage_on;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

/// A store with the entries "a" and "b", and its counts since these were created.
class Counted {
 public:
  Counted() {
    store.create("a", "1");
    store.create("b", "2");
    before_ = store.metrics().operations;
  }

  [[nodiscard]] OperationMetrics of(Verb verb) const {
    const OperationMetrics now = store.metrics().of(verb);
    const OperationMetrics& before = before_[static_cast<std::size_t>(verb)];
    return {now.done - before.done, now.refused - before.refused, now.failed - before.failed};
  }

  Store store{storage_on(std::make_shared<Disk>()), kManual};

 private:
  std::array<OperationMetrics, kvstore::kVerbCount> before_{};
};

template <class Operation>
void ignore_errors(const Operation& operation) {
  try {
    operation();
  } catch (const kvstore::Error&) {}
}

}  // namespace

TEST_CASE("Metrics: operations are counted by verb, and by what became of them") {
  Counted counted;
  Store& store = counted.store;
  const std::string bad = "\xFF";

  (void)store.read("a");
  (void)store.try_read("missing");
  ignore_errors([&] { (void)store.read("missing"); });
  CHECK(counted.of(Verb::read) == OperationMetrics{1, 2, 0});

  store.create("c", "3");
  (void)store.try_create("c", "3");
  ignore_errors([&] { store.create("c", "3"); });
  ignore_errors([&] { store.create("d", bad); });
  CHECK(counted.of(Verb::create) == OperationMetrics{1, 2, 1});

  store.update("c", "4");
  (void)store.try_update("missing", "4");
  ignore_errors([&] { store.update("c", bad); });
  CHECK(counted.of(Verb::update) == OperationMetrics{1, 1, 1});

  store.upsert("c", "5");
  ignore_errors([&] { store.upsert(bad, "5"); });
  CHECK(counted.of(Verb::upsert) == OperationMetrics{1, 0, 1});

  store.modify("c", [](std::string& value) { value += "!"; });
  store.modify("missing", [](std::string&) {});
  ignore_errors([&] { store.modify("c", [&](std::string& value) { value = bad; }); });
  CHECK(counted.of(Verb::modify) == OperationMetrics{1, 1, 1});

  store.compare_exchange("c", "5!", "6");
  store.compare_exchange("c", "5!", "7");
  store.compare_exchange("missing", "5!", "7");
  ignore_errors([&] { store.compare_exchange("c", "6", bad); });
  CHECK(counted.of(Verb::compare_exchange) == OperationMetrics{1, 2, 1});

  store.remove("c");
  (void)store.try_remove("c");
  CHECK(counted.of(Verb::remove) == OperationMetrics{1, 1, 0});

  store.visit("a", [](const std::string&) {});
  store.visit("missing", [](const std::string&) {});
  CHECK(counted.of(Verb::visit) == OperationMetrics{1, 1, 0});

  const auto read = counted.of(Verb::read);
  (void)store.read_many({"a", "missing", "b"});
  CHECK(counted.of(Verb::read) == OperationMetrics{read.done + 2, read.refused + 1, read.failed});
  const auto throws = [](std::size_t, const std::string&) { throw std::runtime_error{"enough"}; };
  CHECK_THROWS(store.visit_many({"a", "b"}, throws));
  CHECK(counted.of(Verb::visit) == OperationMetrics{1, 1, 1});

  (void)store.contains("a");
  (void)store.contains("missing");
  CHECK(counted.of(Verb::contains) == OperationMetrics{1, 1, 0});

  (void)store.size();
  (void)store.empty();
  CHECK(counted.of(Verb::size) == OperationMetrics{2, 0, 0});

  store.for_each([](const std::string&, const std::string&) {});
  CHECK(counted.of(Verb::for_each) == OperationMetrics{1, 0, 0});

  Store::Batch batch;
  batch.create("e", "1");
  batch.create("f", "1");
  store.apply(batch);
  ignore_errors([&] { store.apply(batch); });
  CHECK(counted.of(Verb::apply) == OperationMetrics{1, 0, 1});

  store.clear();
  CHECK(counted.of(Verb::clear) == OperationMetrics{1, 0, 0});
}

TEST_CASE("Metrics: writes to a closed store, and those that could not be saved, have failed") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), {.batch_size = 1, .auto_save_interval = 0s}};
  disk->fail = true;
  CHECK_THROWS_AS(store.create("a", "1"), kvstore::StorageError);
  CHECK(store.metrics().of(Verb::create) == OperationMetrics{0, 0, 1});
  CHECK(store.metrics().applied == 1);
  disk->fail = false;
  store.close();
  CHECK_THROWS_AS(store.upsert("a", "1"), kvstore::UsageError);
  CHECK(store.metrics().of(Verb::upsert) == OperationMetrics{0, 0, 1});
}

/// A lock that fails on demand.
struct BreakableMutex : std::shared_mutex {
  static inline bool broken = false;

  void lock_shared() {
    if (broken) throw std::system_error{std::make_error_code(std::errc::resource_deadlock_would_occur)};
    std::shared_mutex::lock_shared();
  }
};

struct PickyHash {
  std::uint64_t operator()(const std::string& key) const {
    if (key == "bad") throw std::invalid_argument{"not this one"};
    return kvstore::Hash<std::string>{}(key);
  }
};

TEST_CASE("Metrics: what throws on the way to its table has failed") {
  const kvstore::BatchPersistentKeyValueStore<std::string, int, kvstore::Hash<std::string>, std::equal_to<>,
                                              BreakableMutex>
      locked{storage_on(std::make_shared<Disk>()), kManual};
  BreakableMutex::broken = true;
  CHECK_THROWS_AS(locked.contains("a"), std::system_error);
  BreakableMutex::broken = false;
  CHECK(locked.metrics().of(Verb::contains) == OperationMetrics{0, 0, 1});

  kvstore::BatchPersistentKeyValueStore<std::string, int, PickyHash> picky{
      storage_on(std::make_shared<Disk>()), kManual};
  CHECK_THROWS_AS(picky.create("bad", 1), std::invalid_argument);
  CHECK(picky.metrics().of(Verb::create) == OperationMetrics{0, 0, 1});
  picky.create("good", 1);
  CHECK(picky.metrics().of(Verb::create) == OperationMetrics{1, 0, 1});
}

TEST_CASE("Metrics: nothing is lost among threads, stores and threads that have ended") {
  constexpr std::size_t kStores = 20;  // more than a thread remembers
  constexpr std::uint64_t kRounds = 50;
  std::vector<std::unique_ptr<Store>> stores;
  for (std::size_t i = 0; i < kStores; ++i) {
    stores.push_back(std::make_unique<Store>(storage_on(std::make_shared<Disk>()), kManual));
  }
  for (int generation = 0; generation < 3; ++generation) {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        for (std::uint64_t round = 0; round < kRounds; ++round) {
          for (const auto& store : stores) (void)store->contains("a");
        }
      });
    }
  }
  for (const auto& store : stores) CHECK(store->metrics().of(Verb::contains).refused == 12 * kRounds);
}

TEST_CASE("Metrics: a store that has been told not to count does not") {
  Store store{storage_on(std::make_shared<Disk>()),
              {.batch_size = 0, .auto_save_interval = 0s, .count_operations = false}};
  store.create("a", "1");
  ignore_errors([&] { store.create("b", "\xFF"); });
  CHECK(store.metrics().of(Verb::create) == OperationMetrics{});
  CHECK(store.metrics().applied == 1);
}

TEST_CASE("Metrics: saves, with their bytes, durations and failures") {
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), kManual};
  store.create("key", "value");
  store.save();
  disk->fail = true;
  store.create("more", "value");
  CHECK_THROWS_AS(store.save(), kvstore::StorageError);
  const auto saves = store.metrics().saves;
  CHECK(saves.succeeded == 1);
  CHECK(saves.failed == 1);
  CHECK(saves.bytes == std::string{"key\"value\""}.size());
  CHECK(saves.durations.count() == 2);
  CHECK(saves.durations.sum >= saves.last_duration);
  CHECK(saves.last_error == store.last_error());
  disk->fail = false;
  store.save();
  CHECK_FALSE(store.metrics().saves.last_error);
}

TEST_CASE("Metrics: operations that waited for a save, with for how long") {
  Store store{storage_on(std::make_shared<Disk>()), {.batch_size = 2, .auto_save_interval = 0s}};
  for (int i = 0; i < 10; ++i) store.upsert(std::to_string(i), "x");
  const kvstore::Metrics metrics = store.metrics();
  CHECK(metrics.save_waits.count() == 5);
  CHECK(metrics.save_waits.sum >= metrics.saves.durations.sum);
}

/// Tells when a thread did not get it at once.
struct NoticedMutex : std::shared_mutex {
  static inline std::atomic<bool> refused = false;

  bool try_lock() {
    if (std::shared_mutex::try_lock()) return true;
    refused = true;
    return false;
  }
};

TEST_CASE("Metrics: a writer that waits for a segment's lock is recorded") {
  kvstore::BatchPersistentKeyValueStore<std::string, std::string, kvstore::Hash<std::string>, std::equal_to<>,
                                        NoticedMutex>
      store{storage_on(std::make_shared<Disk>()), {.batch_size = 0, .auto_save_interval = 0s, .segments = 1}};
  store.create("a", "1");
  CHECK(store.metrics().lock_waits.count() == 0);
  std::jthread writer;
  NoticedMutex::refused = false;
  store.visit("a", [&](const std::string&) {
    writer = std::jthread{[&] { store.update("a", "2"); }};
    while (!NoticedMutex::refused) std::this_thread::yield();
  });
  writer.join();
  const Histogram waits = store.metrics().lock_waits;
  CHECK(waits.count() == 1);
  CHECK(waits.sum > 0ns);
}

TEST_CASE("Metrics: a journal's size, and its compactions") {
  const TempFolder folder;
  Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json"), kManual};
  const auto empty = store.metrics().journal.bytes;
  store.create("key", "value");
  store.save();
  const auto filled = store.metrics();
  CHECK(filled.journal.bytes > empty);
  CHECK(filled.saves.bytes == filled.journal.bytes - empty);  // of one line
  CHECK(filled.journal.compactions == 0);
  store.compact();
  const auto compacted = store.metrics();
  CHECK(compacted.journal.bytes < filled.journal.bytes + 60);
  CHECK(compacted.journal.compactions == 1);
  CHECK(compacted.journal.last_compaction > 0ns);
  CHECK(compacted.saves.succeeded == 1);
  store.close();
  CHECK(store.metrics().journal.bytes == 0);
}

TEST_CASE("Metrics: a duration is in the first bucket that holds it") {
  CHECK(Histogram::bucket_of(0ns) == 0);
  CHECK(Histogram::bucket_of(-5ns) == 0);
  CHECK(Histogram::bucket_of(1us) == 0);
  CHECK(Histogram::bucket_of(1001ns) == 1);
  CHECK(Histogram::bucket_of(1h) == Histogram::kBounds);
  for (std::size_t i = 0; i < Histogram::kBounds; ++i) {
    CHECK(Histogram::bucket_of(Histogram::bound(i)) == i);
    CHECK(Histogram::bucket_of(Histogram::bound(i) + 1ns) == i + 1);
  }
}

TEST_CASE("Metrics: verbs have the names that they have in code") {
  CHECK(name_of(Verb::create) == "create");
  CHECK(name_of(Verb::compare_exchange) == "compare_exchange");
  CHECK(name_of(Verb::clear) == "clear");
}

}  // namespace metrics_test
