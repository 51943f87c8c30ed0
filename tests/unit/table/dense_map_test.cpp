// SPDX-License-Identifier: MIT

#include "kvstore/detail/table/dense_map.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "kvstore/hash.hpp"
#include "support/catch.hpp"

namespace dense_map_test {

namespace {

using Map = kvstore::detail::DenseMap<std::string, int>;

std::uint64_t hash_of(const std::string& key) { return kvstore::Hash<std::string>{}(key); }

std::size_t find(const Map& map, const std::string& key, std::uint64_t hash) {
  return map.find(hash, [&](const std::string& other) { return other == key; });
}

void insert(Map& map, std::string key, int value, std::uint64_t hash) {
  map.prepare_insert(1);
  map.insert(hash, std::move(key), std::move(value));
}

void require_same(const Map& map, const std::map<std::string, int>& model,
                  const std::function<std::uint64_t(const std::string&)>& hash) {
  REQUIRE(map.size() == model.size());
  for (const auto& [key, value] : model) {
    const std::size_t position = find(map, key, hash(key));
    REQUIRE(position != Map::kNone);
    REQUIRE(map[position].value == value);
  }
}

void agree_with_std_map(const std::function<std::uint64_t(const std::string&)>& hash, int keys) {
  std::mt19937 random{7};
  Map map;
  std::map<std::string, int> model;
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = std::to_string(random() % static_cast<unsigned>(keys));
    const std::size_t position = find(map, key, hash(key));
    REQUIRE((position != Map::kNone) == model.contains(key));
    if (position == Map::kNone) {
      insert(map, key, i, hash(key));
      model[key] = i;
    } else if (random() % 3 == 0) {
      int value = i;
      map.replace(position, value);
      model[key] = i;
    } else {
      map.erase(position);
      model.erase(key);
    }
    if (map.size() > 1 && random() % 8 == 0) map.swap_entries(random() % map.size(), random() % map.size());
  }
  require_same(map, model, hash);
}

}  // namespace

TEST_CASE("DenseMap: a random sequence of changes agrees with std::map") { agree_with_std_map(hash_of, 500); }

TEST_CASE("DenseMap: the same, with entries in many blocks") { agree_with_std_map(hash_of, 5000); }

TEST_CASE("DenseMap: it stays right when every hash collides") {
  agree_with_std_map([](const std::string&) { return std::uint64_t{0xabcdef0012345678U}; }, 40);
}

TEST_CASE("DenseMap: it stays right when hashes crowd at the end of the index") {
  agree_with_std_map([](const std::string& key) { return ~std::uint64_t{0} - (hash_of(key) & 0xFF); }, 200);
}

TEST_CASE("DenseMap: it stays right while it grows and shrinks over and over") {
  std::mt19937 random{9};
  Map map;
  std::map<std::string, int> model;
  for (const std::size_t wanted : {3000U, 10U, 0U, 40U, 3U, 5000U, 1000U, 200U, 6000U, 0U, 1U}) {
    while (model.size() < wanted) {
      const std::string key = std::to_string(random() % 100'000);
      if (!model.emplace(key, static_cast<int>(wanted)).second) continue;
      insert(map, key, static_cast<int>(wanted), hash_of(key));
    }
    while (model.size() > wanted) {
      const std::size_t position = random() % map.size();
      model.erase(map[position].key);
      map.erase(position);
    }
    require_same(map, model, hash_of);
  }
}

TEST_CASE("DenseMap: an index built over appended entries finds each of them") {
  Map map;
  std::map<std::string, int> model;
  for (int i = 0; i < 5000; ++i) {
    std::string key = std::to_string(i);
    model[key] = i;
    map.append(hash_of(key), std::move(key), int{i});
  }
  REQUIRE(map.build_index(std::equal_to<>{}) == Map::kNone);
  require_same(map, model, hash_of);
}

TEST_CASE("DenseMap: building an index names the first entry whose key stood before") {
  Map map;
  for (const char* key : {"a", "b", "c", "b", "a"}) map.append(hash_of(key), key, 0);
  REQUIRE(map.build_index(std::equal_to<>{}) == 3);
}

TEST_CASE("DenseMap: what a search will read may be asked for while another thread changes the table") {
  Map map;
  std::atomic<bool> done = false;
  std::jthread other{[&] {
    for (std::uint64_t i = 0; !done; ++i) map.prefetch(i * 0x9e3779b97f4a7c15U);
  }};
  for (int i = 0; i < 5000; ++i) insert(map, std::to_string(i), i, hash_of(std::to_string(i)));
  map = Map{};
  done = true;
  REQUIRE(map.size() == 0);
}

TEST_CASE("Hash: strings, views and literals of the same text hash alike") {
  const kvstore::Hash<std::string> hash;
  const std::string text = "a text longer than sixteen bytes";
  REQUIRE(hash(text) == hash("a text longer than sixteen bytes"));
  REQUIRE(hash(std::string_view{text}) == kvstore::Hash<std::string_view>{}(text));
}

TEST_CASE("Hash: one changed byte anywhere changes the hash") {
  for (std::size_t length = 1; length < 70; ++length) {
    const std::string text(length, 'x');
    for (std::size_t i = 0; i < length; ++i) {
      std::string other = text;
      other[i] = 'y';
      REQUIRE(hash_of(text) != hash_of(other));
    }
    REQUIRE(hash_of(text) != hash_of(text + 'x'));
  }
}

TEST_CASE("Hash: neighbouring integers spread over all segments") {
  std::map<std::uint64_t, int> segments;
  for (int i = 0; i < 256 * 64; ++i) ++segments[(kvstore::Hash<int>{}(i) >> 16) & 255];
  REQUIRE(segments.size() == 256);
  for (const auto& [segment, count] : segments) REQUIRE(count < 128);
}

}  // namespace dense_map_test
