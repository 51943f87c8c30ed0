// SPDX-License-Identifier: MIT

// Reading many keys at once gives the same result as reading them one by one.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"

namespace read_many_test {

namespace {

using Memory = kvstore::KeyValueStore<std::string, std::string>;
using Persistent = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;

const kvstore::Options kQuiet{.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}};

std::string key_of(std::uint32_t number) { return "a key of some length " + std::to_string(number); }

struct VectorHash {
  std::size_t operator()(const std::vector<int>& numbers) const {
    return std::accumulate(numbers.begin(), numbers.end(), std::size_t{0}, [](std::size_t sum, int number) {
      return sum * 31 + static_cast<std::size_t>(number);
    });
  }
};

/// Reads random keys: some exist, some occur twice. Their numbers fill whole groups or do not.
void agree_with_one_by_one(Memory& store) {
  std::mt19937 random{3};
  for (std::uint32_t i = 0; i < 3000; i += 2) store.create(key_of(i), "value " + std::to_string(i));
  for (const std::size_t count : {0U, 1U, 15U, 16U, 17U, 32U, 100U, 1000U}) {
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < count; ++i)
      keys.push_back(key_of(static_cast<std::uint32_t>(random() % 3000)));
    std::vector<std::optional<std::string>> expected;
    for (const std::string& key : keys) expected.push_back(store.try_read(key));
    REQUIRE(store.read_many(keys) == expected);
    std::vector<std::optional<std::string>> visited(count);
    std::size_t visits = 0;
    const std::size_t found = store.visit_many(keys, [&](std::size_t index, const std::string& value) {
      visited.at(index) = value;
      ++visits;
    });
    REQUIRE(visited == expected);
    REQUIRE(found == visits);
  }
}

}  // namespace

/// Stands in for the result of std::views::transform, which clang 14 does not accept from libstdc++ 12: a
/// range whose elements are made when they are read.
template <class Numbers, class Make>
class MadeOf {
 public:
  class Iterator {
   public:
    using Inner = decltype(std::declval<Numbers&>().begin());
    using value_type =
        std::remove_cvref_t<std::invoke_result_t<const Make&, decltype(*std::declval<Inner>())>>;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;

    Iterator() = default;
    Iterator(Inner at, const Make& make) : at_{at}, make_{&make} {}
    decltype(auto) operator*() const { return (*make_)(*at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++at_;
      return before;
    }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    Inner at_{};
    const Make* make_ = nullptr;
  };

  MadeOf(Numbers& numbers, Make make) : numbers_{numbers}, make_{std::move(make)} {}
  [[nodiscard]] Iterator begin() const { return {numbers_.begin(), make_}; }
  [[nodiscard]] Iterator end() const { return {numbers_.end(), make_}; }
  [[nodiscard]] std::size_t size() const { return numbers_.size(); }

 private:
  Numbers& numbers_;
  Make make_;
};

template <class Numbers, class Make>
MadeOf<Numbers, Make> made_of(Numbers& numbers, Make make) {
  return {numbers, std::move(make)};
}

TEST_CASE("read_many: it gives what reading one by one gives") {
  Memory memory;
  agree_with_one_by_one(memory);
  Persistent persistent{support::storage_on(std::make_shared<support::Disk>()), kQuiet};
  agree_with_one_by_one(persistent);
  kvstore::Options one = kQuiet;
  one.segments = 1;  // all keys use the same lock
  Persistent narrow{support::storage_on(std::make_shared<support::Disk>()), one};
  agree_with_one_by_one(narrow);
}

TEST_CASE("read_many: keys come as any list of what can be looked up") {
  kvstore::KeyValueStore<std::string, int> ages;
  ages.create("alice", 30);
  ages.create("bob", 40);
  const std::vector<std::optional<int>> expected{40, std::nullopt, 30};
  CHECK(ages.read_many({"bob", "carol", "alice"}) == expected);
  CHECK(ages.read_many(std::vector<std::string_view>{"bob", "carol", "alice"}) == expected);
  CHECK(ages.read_many(std::list<const char*>{"bob", "carol", "alice"}) == expected);
  kvstore::KeyValueStore<int, int> squares;
  squares.create(3, 9);
  CHECK(squares.read_many({3, 4}) == std::vector<std::optional<int>>{9, std::nullopt});
}

TEST_CASE("read_many: keys that a range makes as it is read live for as long as they are looked up") {
  const auto agrees = [](const Memory& store) {
    const std::vector<std::uint32_t> numbers{0,  1,  2,   3,   5,   8,   13,  21,  34,
                                             55, 89, 144, 233, 377, 610, 987, 1597};
    const auto keys = made_of(numbers, key_of);
    const std::vector<std::optional<std::string>> values = store.read_many(keys);
    std::size_t visited = 0;
    REQUIRE(values.size() == numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) CHECK(values[i] == std::to_string(numbers[i]));
    CHECK(store.visit_many(keys, [&](std::size_t i, const std::string& value) {
      visited += value == std::to_string(numbers[i]) ? 1U : 0U;
    }) == numbers.size());
    CHECK(visited == numbers.size());
  };
  const auto filled = [](auto&& store) -> auto& {
    for (std::uint32_t i = 0; i < 1600; ++i) store.create(key_of(i), std::to_string(i));
    return store;
  };
  agrees(filled(Memory{}));
  agrees(filled(Persistent{support::storage_on(std::make_shared<support::Disk>()), kQuiet}));
}

TEST_CASE("read_many: keys that are no strings are looked up as the range makes them") {
  kvstore::KeyValueStore<std::vector<int>, int, VectorHash> store;
  const auto key = [](int i) { return std::vector<int>{i, i}; };
  for (int i = 0; i < 20; ++i) store.create(key(i), i);
  const std::vector<int> numbers{3, 30, 19};
  CHECK(store.read_many(made_of(numbers, key)) == std::vector<std::optional<int>>{3, std::nullopt, 19});
  kvstore::KeyValueStore<bool, int> truths;
  truths.create(true, 1);
  CHECK(truths.read_many(std::vector<bool>{false, true}) == std::vector<std::optional<int>>{std::nullopt, 1});
}

TEST_CASE("read_many: a range that gives its keys away keeps them") {
  Memory store;
  store.create(key_of(1), "1");
  std::vector<std::string> keys{key_of(1), key_of(2)};
  const auto given_away = made_of(keys, [](std::string& key) -> std::string&& { return std::move(key); });
  CHECK(store.read_many(given_away) == std::vector<std::optional<std::string>>{"1", std::nullopt});
  CHECK(keys == std::vector<std::string>{key_of(1), key_of(2)});
}

TEST_CASE("read_many: a range may ask the same store for its keys") {
  Persistent store{support::storage_on(std::make_shared<support::Disk>()), kQuiet};
  for (std::uint32_t i = 0; i < 40; ++i) store.create(key_of(i), key_of(i + 1));
  std::vector<std::uint32_t> numbers(20);
  std::iota(numbers.begin(), numbers.end(), 0U);
  std::size_t asked = 0;
  const auto keys = made_of(numbers, [&](std::uint32_t i) {
    ++asked;
    return store.read(key_of(i));
  });
  const std::vector<std::optional<std::string>> values = store.read_many(keys);
  for (std::uint32_t i = 0; i < 20; ++i) CHECK(values[i] == key_of(i + 2));
  CHECK(asked == numbers.size());  // called once for each key, before any lock is taken
}

TEST_CASE("visit_many: calling the store from the function is refused, and what it throws comes out") {
  Persistent store{support::storage_on(std::make_shared<support::Disk>()), kQuiet};
  store.create("a", "1");
  CHECK_THROWS_AS(store.visit_many({"a"}, [&](std::size_t, const std::string&) { (void)store.size(); }),
                  kvstore::ReentryError);
  CHECK_THROWS_AS(
      store.visit_many({"a"}, [](std::size_t, const std::string&) { throw std::runtime_error{"no"}; }),
      std::runtime_error);
  store.update("a", "2");  // the lock was released
  CHECK(store.read("a") == "2");
}

TEST_CASE("read_many: each key is counted as a read, and as a visit by visit_many") {
  Persistent store{support::storage_on(std::make_shared<support::Disk>()), kQuiet};
  store.create("a", "1");
  (void)store.read_many({"a", "b", "a"});
  store.visit_many({"b", "b", "a"}, [](std::size_t, const std::string&) {});
  CHECK(store.metrics().of(kvstore::Verb::read) == kvstore::OperationMetrics{.done = 2, .refused = 1});
  CHECK(store.metrics().of(kvstore::Verb::visit) == kvstore::OperationMetrics{.done = 1, .refused = 2});
}

TEST_CASE("Keys of strings: one that exists is left to the caller, one that is added is moved") {
  Memory store;
  std::string key = "a key that needs memory of its own";
  const std::string copy = key;
  store.upsert(key, "1");
  CHECK(key == copy);
  CHECK_FALSE(store.try_create(std::move(key), "2"));
  CHECK(key == copy);  // NOLINT(bugprone-use-after-move): that is what is tested
  store.remove(copy);
  CHECK(store.try_create(std::move(key), "3"));
  CHECK(key.empty());  // NOLINT(bugprone-use-after-move)
  store.upsert(std::string_view{"a view"}, "4");
  store.create("a literal", "5");
  CHECK(store.size() == 3);
}

}  // namespace read_many_test
