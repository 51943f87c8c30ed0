// SPDX-License-Identifier: MIT

// Keys that a stranger has chosen, so that the usual hash is the same for all of them.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/hash.hpp"
#include "kvstore/key_value_store.hpp"
#include "kvstore/storage/memory_storage.hpp"
#include "kvstore/write_batch.hpp"
#include "support/catch.hpp"

namespace chosen_keys_test {

namespace {

constexpr int kKeys = 8000;

// The second block of sixteen bytes makes the state of the usual hash zero, whatever the digits are.
std::string colliding(int number) {
  std::string digits = std::to_string(number);
  digits.insert(0, 8 - digits.size(), '0');
  return "zsKbjHkIn3IeC471" + digits + "j)FKCWdP0123456789abcdef";
}

std::atomic<std::uint64_t> comparisons = 0;

struct CountingEqual {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const noexcept {
    ++comparisons;
    return a == b;
  }
};

using Hash = kvstore::Hash<std::string>;
using InMemory = kvstore::KeyValueStore<std::string, int, Hash, CountingEqual>;
using Persistent = kvstore::BatchPersistentKeyValueStore<std::string, int, Hash, CountingEqual>;
using Batch = kvstore::WriteBatch<std::string, int>;

/// Requires that `work` on `kKeys` keys compares a key with a few others, as any keys are.
template <class Work>
void require_few_comparisons(const Work& work) {
  comparisons = 0;
  work();
  CHECK(comparisons / kKeys <= 20);
}

template <class Store>
void require_all(const Store& store) {
  REQUIRE(store.size() == kKeys);
  for (int i = 0; i < kKeys; ++i) REQUIRE(store.read(colliding(i)) == i);
  REQUIRE_FALSE(store.contains(colliding(kKeys)));
}

template <class Store>
void upsert_all(Store& store) {
  for (int i = 0; i < kKeys; ++i) store.upsert(colliding(i), i);
}

Batch batch_of_all() {
  Batch batch;
  for (int i = 0; i < kKeys; ++i) batch.upsert(colliding(i), i);
  return batch;
}

using Contents = kvstore::MemoryStorage::Contents;

std::shared_ptr<Contents> saved_contents() {
  auto contents = std::make_shared<Contents>();
  contents->saved = true;
  for (int i = 0; i < kKeys; ++i) contents->entries.emplace(colliding(i), std::to_string(i));
  return contents;
}

}  // namespace

TEST_CASE("Chosen keys: a million keys that nobody has chosen crowd nowhere") {
  kvstore::detail::DenseMap<int, int> map;
  const auto never = [](const int&, const kvstore::HashSeed&) noexcept -> std::uint64_t { return 0; };
  for (int i = 0; i < 1'000'000; ++i) {
    map.prepare_insert(1);
    map.insert(kvstore::Hash<int>{}(i), int{i}, 0, never);
  }
  REQUIRE_FALSE(map.is_secret());
}

TEST_CASE("Chosen keys: they do collide") {
  for (int i = 1; i < 10; ++i) REQUIRE(Hash{}(colliding(i)) == Hash{}(colliding(0)));
}

TEST_CASE("Chosen keys: a store in memory compares each with a few others only") {
  InMemory store;
  require_few_comparisons([&] { upsert_all(store); });
  require_few_comparisons([&] { require_all(store); });
}

TEST_CASE("Chosen keys: a persistent store compares each with a few others only") {
  Persistent store{std::make_unique<kvstore::MemoryStorage>()};
  require_few_comparisons([&] { upsert_all(store); });
  require_few_comparisons([&] { require_all(store); });
}

TEST_CASE("Chosen keys: a batch compares each with a few others only") {
  InMemory in_memory;
  Persistent persistent{std::make_unique<kvstore::MemoryStorage>()};
  require_few_comparisons([&] { in_memory.apply(batch_of_all()); });
  require_few_comparisons([&] { persistent.apply(batch_of_all()); });
  require_all(in_memory);
  require_all(persistent);
}

TEST_CASE("Chosen keys: opening a store compares each with a few others only") {
  const auto contents = saved_contents();
  std::unique_ptr<Persistent> store;
  require_few_comparisons(
      [&] { store = std::make_unique<Persistent>(std::make_unique<kvstore::MemoryStorage>(contents)); });
  require_all(*store);
}

TEST_CASE(
    "Chosen keys: every verb finds them, and keys that collide with none, after the table changed its hash") {
  InMemory store;
  for (int i = 0; i < 100; ++i) store.create("usual " + std::to_string(i), i);
  upsert_all(store);
  for (int i = 0; i < 100; ++i) REQUIRE(store.read("usual " + std::to_string(i)) == i);
  REQUIRE_FALSE(store.try_create(colliding(5), 0));
  REQUIRE(store.try_update(colliding(5), -5));
  REQUIRE(store.modify(colliding(5), [](int& value) { --value; }));
  REQUIRE(store.compare_exchange(colliding(5), -6, 5));
  for (int i = 0; i < kKeys; i += 2) store.remove(colliding(i));
  for (int i = 0; i < kKeys; ++i) REQUIRE(store.contains(colliding(i)) == (i % 2 != 0));
  REQUIRE(store.read_many({colliding(1), colliding(2), std::string{"usual 7"}})[2] == 7);
  store.clear();
  REQUIRE_FALSE(store.contains(colliding(1)));
  upsert_all(store);
  require_all(store);
}

TEST_CASE("Chosen keys: misses stay quick after all of them are removed") {
  InMemory store;
  for (int i = 0; i < 20; ++i) store.create("usual " + std::to_string(i), i);
  upsert_all(store);
  for (int i = 0; i < kKeys; ++i) store.remove(colliding(i));
  require_few_comparisons([&] {
    for (int i = 0; i < kKeys; ++i) REQUIRE_FALSE(store.contains(colliding(i)));
  });
}

TEST_CASE("Chosen keys: readers find theirs while a table changes its hash") {
  Persistent store{std::make_unique<kvstore::MemoryStorage>()};
  store.create(colliding(0), 0);
  std::atomic<bool> done = false;
  std::atomic<int> misses = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!done) misses += store.contains(colliding(0)) ? 0 : 1;
    });
  }
  for (int i = 1; i < kKeys; ++i) store.upsert(colliding(i), i);
  done = true;
  for (std::thread& reader : readers) reader.join();
  REQUIRE(misses == 0);
  require_all(store);
}

TEST_CASE("Chosen keys: integers, enums and tuples can be hashed with a secret; std::hash cannot") {
  using kvstore::detail::SeededFor;
  enum class Colour { red };
  using Pair = std::pair<int, std::string>;
  STATIC_REQUIRE(SeededFor<kvstore::Hash<int>, int>);
  STATIC_REQUIRE(SeededFor<kvstore::Hash<Colour>, Colour>);
  STATIC_REQUIRE(SeededFor<kvstore::Hash<Pair>, Pair>);
  STATIC_REQUIRE_FALSE(SeededFor<kvstore::Hash<double>, double>);
  STATIC_REQUIRE_FALSE(SeededFor<kvstore::Hash<std::tuple<int, double>>, std::tuple<int, double>>);
  const kvstore::HashSeed seed{.first = 1, .second = 2};
  REQUIRE(kvstore::Hash<Pair>{}(Pair{1, "a"}, seed) != kvstore::Hash<Pair>{}(Pair{2, "a"}, seed));
  REQUIRE(kvstore::Hash<int>{}(1, seed) !=
          kvstore::Hash<int>{}(1, kvstore::HashSeed{.first = 1, .second = 3}));
}

TEST_CASE("SipHash: it gives the values of another implementation") {
  const kvstore::HashSeed seed{.first = 0x0706050403020100U, .second = 0x0f0e0d0c0b0a0908U};
  std::string text;
  for (char byte = 0; byte < 15; ++byte) text += byte;
  REQUIRE(kvstore::detail::sip_hash(text, seed) == 0xd320d86d2a519956U);
  REQUIRE(kvstore::detail::sip_hash(std::string_view{}, seed) == 0xabac0158050fc4dcU);
}

}  // namespace chosen_keys_test
