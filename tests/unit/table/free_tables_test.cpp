// SPDX-License-Identifier: MIT

// The entries of a store that closes are destroyed by several threads, but only if their types allow that.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/detail/base/known_destructor.hpp"
#include "kvstore/detail/table/free_tables.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"

namespace free_tables_test { namespace {

/// Counts the values of its kind that are there, and the threads that destroyed some. If `wait_for` is set, a
/// destructor waits until that many threads have come.
struct Census {
  std::atomic<std::size_t> alive = 0;
  std::atomic<std::size_t> by_others = 0;  // destroyed by another thread than `owner`
  std::atomic<std::thread::id> owner = std::this_thread::get_id();
};

template <int Kind>
class Counted {
 public:
  static inline Census census;

  Counted() { ++census.alive; }
  Counted(Counted&& other) noexcept : text_{std::move(other.text_)} { ++census.alive; }
  Counted& operator=(Counted&&) = default;
  ~Counted() {
    --census.alive;
    if (std::this_thread::get_id() != census.owner.load()) ++census.by_others;
    // A helper may start late: the owner destroys no more until it has come.
    while (Kind == 0 && census.by_others == 0) std::this_thread::yield();
  }

 private:
  std::string text_ = std::string(40, 'x');
};
using Anywhere = Counted<0>;
using Own = Counted<1>;

}}  // namespace free_tables_test::(anonymous)

template <>
inline constexpr bool kvstore::detail::kDestroyedAnywhere<free_tables_test::Anywhere> = true;

namespace free_tables_test { namespace {

template <class Value>
kvstore::detail::Tables<std::string, Value> filled(std::size_t entries) {
  kvstore::detail::Tables<std::string, Value> tables{16};
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::uint64_t hash = i * 0x9e3779b97f4a7c15U;
    auto& table = tables.of(hash);
    table.prepare_insert(1);
    table.insert(hash, "a key that is long enough for the heap " + std::to_string(i), Value{});
  }
  return tables;
}

TEST_CASE("Free tables: several threads destroy the entries, each once, and the tables are empty then") {
  auto tables = filled<std::string>(2000);
  kvstore::detail::free_tables(tables, 3, 1000);
  for (const auto& table : tables) CHECK(table.size() == 0);
}

TEST_CASE("Free tables: a type that is known to allow it is destroyed by helpers too") {
  {
    auto tables = filled<std::string>(0);
    static_cast<void>(tables);
    kvstore::detail::Tables<std::string, Anywhere> mine{16};
    for (std::uint64_t i = 0; i < 64; ++i) {
      auto& table = mine[static_cast<std::size_t>(i % 16)];
      table.prepare_insert(1);
      Anywhere::census.by_others = 1;  // moving values in is no destruction that waits
      table.insert(i << 32, std::to_string(i), Anywhere{});
    }
    Anywhere::census.by_others = 0;
    kvstore::detail::free_tables(mine, 2, 1);
    CHECK(Anywhere::census.by_others > 0);
  }
  CHECK(Anywhere::census.alive == 0);
}

TEST_CASE("Free tables: a type of the program's own is left to the thread that closes") {
  {
    auto tables = filled<Own>(2000);
    kvstore::detail::free_tables(tables, 3, 1000);
    CHECK(tables[0].size() > 0);
  }
  CHECK(Own::census.by_others == 0);
  CHECK(Own::census.alive == 0);
}

TEST_CASE("Free tables: few entries are left to the thread that closes") {
  auto tables = filled<std::string>(999);
  kvstore::detail::free_tables(tables, 3, 1000);
  CHECK(tables[0].size() > 0);
}

TEST_CASE("Free tables: of containers, those count whose memory and elements are known") {
  using kvstore::detail::kDestroyedAnywhere;
  STATIC_REQUIRE(kDestroyedAnywhere<std::vector<std::pair<int, std::string>>>);
  STATIC_REQUIRE(kDestroyedAnywhere<std::optional<std::array<std::string, 3>>>);
  STATIC_REQUIRE_FALSE(kDestroyedAnywhere<std::vector<Own>>);
  STATIC_REQUIRE_FALSE(kDestroyedAnywhere<std::pair<std::string, Own>>);
  STATIC_REQUIRE_FALSE(kDestroyedAnywhere<std::shared_ptr<int>>);
}

TEST_CASE("Free tables: a large store closes, and all its texts are gone") {
  kvstore::Options options;
  options.threads = 3;
  kvstore::BatchPersistentKeyValueStore<std::string, std::string> store{
      std::make_unique<kvstore::MemoryStorage>(), options};
  for (std::size_t i = 0; i < kvstore::detail::kManyEntries + 1000; ++i)
    store.upsert("key number " + std::to_string(i), std::string(50, 'v'));
  store.close();
  CHECK(store.size() > kvstore::detail::kManyEntries);
}

}}  // namespace free_tables_test::(anonymous)
