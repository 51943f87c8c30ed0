// SPDX-License-Identifier: MIT

#include "kvstore/detail/table/slot_map.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/hash.hpp"
#include "support/catch.hpp"

namespace slot_map_test {

namespace {

using kvstore::HashSeed;
using kvstore::detail::LiesInIndex;

// Two lines a chunk, and one.
using Wide = kvstore::detail::DenseMap<std::int64_t, std::int64_t>;
using Narrow = kvstore::detail::DenseMap<std::int32_t, std::int32_t>;

static_assert(LiesInIndex<std::int64_t, double> && LiesInIndex<char, bool>);
static_assert(!LiesInIndex<std::int64_t, std::string> && !LiesInIndex<std::string, int>);
static_assert(!LiesInIndex<std::int64_t, std::array<std::int64_t, 2>>);

template <class Map>
using KeyOf = decltype(Map::Entry::key);

template <class Map>
struct Model {
  using Key = KeyOf<Map>;
  std::function<std::uint64_t(Key)> hash = [](Key key) { return kvstore::Hash<Key>{}(key); };
  Map map;
  std::unordered_map<Key, Key> expected;

  [[nodiscard]] std::size_t find(Key key) const {
    return map.find(hash(key), [&](Key other) { return other == key; });
  }
  void upsert(Key key, Key value) {
    expected[key] = value;
    const std::size_t position = find(key);
    if (position == Map::kNone) {
      map.prepare_insert(1);
      map.insert(hash(key), Key{key}, Key{value});
    } else {
      map.replace(position, value, hash(key));
    }
  }
  void erase(std::size_t position) {
    expected.erase(map[position].key);
    map.erase(position);
  }
  void require_same() const {
    REQUIRE(map.size() == expected.size());
    for (const auto& pair : expected) {
      const Key key = pair.first;  // clang 14 captures no structured binding
      const std::size_t position = find(key);
      REQUIRE(position != Map::kNone);
      REQUIRE(map[position].value == pair.second);
      REQUIRE(&map.entry(position, hash(key)) == &map[position]);
      const auto* const entry = map.find_entry_or(
          hash(key), [&](Key other) { return other == key; }, []() -> decltype(&map[0]) { return nullptr; });
      REQUIRE(entry == &map[position]);
    }
    std::size_t scanned = 0;
    for (const auto& entry : map.entries()) scanned += expected.at(entry.key) == entry.value ? 1U : 0U;
    REQUIRE(scanned == expected.size());
  }
};

template <class Map>
void agree(Model<Map>&& model, unsigned keys) {
  using Key = KeyOf<Map>;
  std::mt19937 random{7};
  for (int i = 0; i < 20'000; ++i) {
    const auto key = static_cast<Key>(random() % keys);
    const std::size_t position = model.find(key);
    if (position != Map::kNone && random() % 3 == 0)
      model.erase(position);
    else
      model.upsert(key, static_cast<Key>(i));
    auto& map = model.map;
    if (map.size() > 1 && random() % 8 == 0) map.swap_entries(random() % map.size(), random() % map.size());
  }
  model.require_same();
}

}  // namespace

TEMPLATE_TEST_CASE("SlotMap: a random sequence of changes agrees with a model", "", Wide, Narrow) {
  agree(Model<TestType>{}, 500);
  agree(Model<TestType>{}, 5000);
}

TEMPLATE_TEST_CASE("SlotMap: it stays right when every hash collides, or crowds at the end", "", Wide,
                   Narrow) {
  Model<TestType> same;
  same.hash = [](auto) { return std::uint64_t{0xabcdef0012345678U}; };
  agree(std::move(same), 40);
  Model<TestType> all;
  all.hash = [](auto) { return ~std::uint64_t{0}; };
  agree(std::move(all), 2000);  // more than a count of passed entries can tell
  Model<TestType> last;
  last.hash = [](auto key) { return ~std::uint64_t{0} - (static_cast<std::uint64_t>(key) << 30); };
  agree(std::move(last), 200);
}

TEMPLATE_TEST_CASE("SlotMap: it stays right while it grows and shrinks over and over", "", Wide, Narrow) {
  std::mt19937 random{9};
  Model<TestType> model;
  for (const std::size_t wanted : {3000U, 10U, 0U, 40U, 3U, 5000U, 1000U, 200U, 6000U, 0U, 1U}) {
    while (model.map.size() < wanted) model.upsert(static_cast<KeyOf<TestType>>(random() % 100'000), 7);
    while (model.map.size() > wanted) model.erase(random() % model.map.size());
    model.require_same();
  }
}

TEMPLATE_TEST_CASE("SlotMap: appended entries are found once the index is built, and a second one of a key",
                   "", Wide, Narrow) {
  Model<TestType> model;
  using Key = KeyOf<TestType>;
  for (Key i = 0; i < 5000; ++i) {
    model.expected[i] = 2 * i;
    model.map.append(model.hash(i), Key{i}, 2 * i);
  }
  REQUIRE(model.map.build_index(std::equal_to<>{}) == TestType::kNone);
  model.require_same();
  for (Key i = 6000; i < 6100; ++i) model.upsert(i, i);
  model.require_same();

  TestType twice;
  for (const Key key : {1, 2, 3, 2, 1}) twice.append(model.hash(key), Key{key}, 0);
  REQUIRE(twice.build_index(std::equal_to<>{}) == 3);
  REQUIRE(twice[3].key == 2);
}

TEST_CASE("SlotMap: keys that crowd are placed by a secret, inserted or loaded") {
  const auto seeded = [](const std::int64_t& key, const HashSeed& seed) noexcept {
    return kvstore::Hash<std::int64_t>{}(key ^ static_cast<std::int64_t>(seed.first));
  };
  constexpr std::uint64_t kSame = 0xabcdef0012345678U;
  const auto require_all = [&](const Wide& map) {
    REQUIRE(map.is_secret());
    std::uint64_t compared = 0;
    for (std::int64_t key = 0; key < 3000; ++key) {
      const auto same = [&](std::int64_t other) { return ++compared, other == key; };
      const std::size_t position =
          map.find(kSame, same, [&](const HashSeed& seed) { return seeded(key, seed); });
      REQUIRE(position != Wide::kNone);
      REQUIRE(map[position].value == -key);
      REQUIRE(map.entry(position, kSame).key == key);
    }
    REQUIRE(compared < 3000 * 20);
  };
  Wide inserted;
  Wide loaded;
  for (std::int64_t key = 0; key < 3000; ++key) {
    inserted.prepare_insert(1);
    inserted.insert(kSame, std::int64_t{key}, -key, seeded);
    loaded.append(kSame, std::int64_t{key}, -key);
  }
  REQUIRE(loaded.build_index(std::equal_to<>{}, seeded) == Wide::kNone);
  require_all(inserted);
  require_all(loaded);
}

TEST_CASE("SlotMap: what a search will read may be asked for while another thread changes the table") {
  Model<Wide> model;
  std::atomic<bool> done = false;
  std::jthread other{[&] {
    for (std::uint64_t i = 0; !done; ++i) model.map.prefetch(i * 0x9e3779b97f4a7c15U);
  }};
  for (std::int64_t i = 0; i < 5000; ++i) model.upsert(i, i);
  model.map = Wide{};
  done = true;
  REQUIRE(model.map.size() == 0);
}

}  // namespace slot_map_test
