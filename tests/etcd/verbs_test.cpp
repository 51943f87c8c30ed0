// SPDX-License-Identifier: MIT

// Every verb, type and limit on a real cluster.

#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/etcd_key_value_store.hpp"
#include "kvstore/store.hpp"
#include "support/catch.hpp"
#include "support/etcd.hpp"
#include "support/eventually.hpp"

namespace verbs_test {

namespace {

using Store = kvstore::EtcdKeyValueStore<std::string, int>;
using Batch = kvstore::WriteBatch<std::string, int>;

struct Person {
  std::string name;
  int age = 0;
  friend bool operator==(const Person&, const Person&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Person, name, age)

static_assert(kvstore::Store<Store, std::string, int>);
static_assert(kvstore::Store<kvstore::EtcdKeyValueStore<int, Person>, int, Person>);

}  // namespace

TEST_CASE("etcd: the verbs tell existing keys from missing ones") {
  Store store{support::shared_cluster().options("verbs/")};
  store.clear();
  REQUIRE(store.empty());
  store.create("a", 1);
  REQUIRE_THROWS_AS(store.create("a", 2), kvstore::DuplicateKeyError);
  REQUIRE_FALSE(store.try_create("a", 2));
  REQUIRE(store.read("a") == 1);
  REQUIRE_THROWS_AS(store.read("b"), kvstore::KeyNotFoundError);
  REQUIRE_FALSE(store.try_read("b"));
  store.update("a", 3);
  REQUIRE_THROWS_AS(store.update("b", 3), kvstore::KeyNotFoundError);
  REQUIRE_FALSE(store.contains("b"));
  REQUIRE(store.upsert("b", 4));
  REQUIRE_FALSE(store.upsert("b", 5));
  REQUIRE(store.read("b") == 5);
  REQUIRE(store.contains("b"));
  REQUIRE(store.size() == 2);
  store.remove("b");
  REQUIRE_THROWS_AS(store.remove("b"), kvstore::KeyNotFoundError);
  int seen = 0;
  REQUIRE(store.visit("a", [&](const int& value) { seen = value; }));
  REQUIRE(seen == 3);
  REQUIRE_FALSE(store.visit("b", [](const int&) {}));
  REQUIRE(store.modify("a", [](int& value) { value *= 2; }));
  REQUIRE_FALSE(store.modify("b", [](int& value) { value *= 2; }));
  REQUIRE(store.compare_exchange("a", 6, 7));
  REQUIRE_FALSE(store.compare_exchange("a", 6, 8));
  REQUIRE_FALSE(store.compare_exchange("b", 6, 8));
  REQUIRE(store.read("a") == 7);
  store.clear();
  REQUIRE(store.size() == 0);
}

TEST_CASE("etcd: keys and values of other types come back as they were") {
  kvstore::EtcdKeyValueStore<int, Person> people{support::shared_cluster().options("people/")};
  people.clear();
  people.create(-7, {"Ada \"\\\xC3\xA9", 36});
  people.create(12, {std::string("\0x", 2), 0});
  REQUIRE(people.read(-7) == Person{"Ada \"\\\xC3\xA9", 36});
  REQUIRE(people.compare_exchange(12, Person{std::string("\0x", 2), 0}, Person{"Bob", 1}));
  std::map<int, std::string> names;
  people.for_each([&](int id, const Person& person) { names[id] = person.name; });
  REQUIRE(names == std::map<int, std::string>{{-7, "Ada \"\\\xC3\xA9"}, {12, "Bob"}});

  kvstore::EtcdKeyValueStore<std::string, std::string> texts{support::shared_cluster().options("texts/")};
  texts.clear();
  texts.create("", "empty key");
  texts.create("/a b\n%\xE2\x82\xAC", "");
  REQUIRE(texts.read("") == "empty key");
  REQUIRE(texts.read("/a b\n%\xE2\x82\xAC").empty());
}

TEST_CASE("etcd: a store sees its own prefix alone") {
  Store outer{support::shared_cluster().options("prefix-a/")};
  Store other{support::shared_cluster().options("prefix-b/")};
  outer.clear();
  other.clear();
  outer.create("k", 1);
  other.create("k", 2);
  REQUIRE(outer.read("k") == 1);
  REQUIRE(outer.size() == 1);
  outer.clear();
  REQUIRE(other.read("k") == 2);
}

TEST_CASE("etcd: without a prefix a store has the whole key space, but no empty key") {
  const support::OwnEtcd own;
  Store store{own->options("")};
  Store part{own->options("part/")};
  part.create("x", 1);
  store.create("y", 2);
  std::map<std::string, int> seen;
  store.for_each([&](const std::string& key, int value) { seen[key] = value; });
  REQUIRE(seen == std::map<std::string, int>{{"part/x", 1}, {"y", 2}});
  REQUIRE(store.size() == 2);
  REQUIRE_THROWS_AS(store.create("", 1), kvstore::ValueError);
  store.clear();
  REQUIRE(part.empty());
}

TEST_CASE("etcd: modify and compare_exchange lose no increment among four threads") {
  Store store{support::shared_cluster().options("count/")};
  store.upsert("n", 0);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&store] {
      for (int i = 0; i < 20; ++i) {
        store.modify("n", [](int& n) { ++n; });
        for (int n = store.read("n"); !store.compare_exchange("n", n, n + 1);) n = store.read("n");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(store.read("n") == 160);
}

TEST_CASE("etcd: a batch is carried out wholly, or refused and nothing is changed") {
  Store store{support::shared_cluster().options("batch/")};
  store.clear();
  store.create("a", 1);
  store.apply(Batch{}.create("b", 2).update("b", 3).update("a", 4).create("c", 5).remove("c"));
  REQUIRE(store.read("a") == 4);
  REQUIRE(store.read("b") == 3);
  REQUIRE(store.size() == 2);
  REQUIRE_THROWS_WITH(store.apply(Batch{}.upsert("x", 1).update("a", 9).create("b", 2).remove("y")),
                      Catch::Matchers::ContainsSubstring("key \"b\" already exists"));
  REQUIRE_THROWS_WITH(store.apply(Batch{}.create("x", 1).upsert("a", 9).remove("y").create("b", 1)),
                      Catch::Matchers::ContainsSubstring("key \"y\" does not exist"));
  REQUIRE(store.read("a") == 4);
  REQUIRE(store.size() == 2);
  store.apply(Batch{});
}

TEST_CASE("etcd: a batch has at most as many keys as a transaction has operations") {
  Store store{support::shared_cluster().options("limit/")};
  store.clear();
  Batch batch;
  for (int i = 0; i < 128; ++i) batch.create("k" + std::to_string(i), i);
  store.apply(batch);
  REQUIRE(store.size() == 128);
  REQUIRE_THROWS_AS(store.apply(batch), kvstore::DuplicateKeyError);
  batch.create("one more", 1);
  REQUIRE_THROWS_WITH(store.apply(batch),
                      Catch::Matchers::ContainsSubstring("129 keys is more than the 128 operations"));
  REQUIRE(store.size() == 128);
}

TEST_CASE("etcd: what is too large is refused before it is sent, and said to be so") {
  kvstore::EtcdKeyValueStore<std::string, std::string> store{support::shared_cluster().options("large/")};
  store.clear();
  const std::string nearly(1'572'000, 'x');
  store.create("k", nearly);
  REQUIRE(store.read("k") == nearly);
  store.remove("k");
  const std::string large(1'572'900, 'x');
  const auto too_large = Catch::Matchers::ContainsSubstring("the change of key \"k\" takes 15729");
  REQUIRE_THROWS_WITH(store.create("k", large), too_large);
  REQUIRE_THROWS_WITH(store.upsert("k", large), too_large);
  REQUIRE_THROWS_AS(store.compare_exchange("k", large, ""), kvstore::ValueError);
  kvstore::WriteBatch<std::string, std::string> batch;
  batch.create("a", std::string(800'000, 'x')).create("b", std::string(800'000, 'x'));
  REQUIRE_THROWS_WITH(store.apply(batch), Catch::Matchers::ContainsSubstring("a batch that changes 2 keys"));
  REQUIRE(store.empty());
}

TEST_CASE("etcd: for_each shows one moment over many pages while others write") {
  auto options = support::shared_cluster().options("pages/");
  options.page_size = 100;
  Store store{options};
  store.clear();
  for (int first = 0; first < 1100; first += 100) {
    Batch batch;
    for (int i = first; i < first + 100; ++i) batch.create("k" + std::to_string(i), 0);
    store.apply(batch);
  }
  // Every batch sets a first and a last key to the same value, adds one and removes another.
  std::jthread writer{[&store](const std::stop_token& stop) {
    for (int n = 1; !stop.stop_requested(); ++n) {
      Batch batch;
      batch.update("k0", n).update("k999", n).create("x" + std::to_string(n), n);
      n == 1 ? batch.remove("k500") : batch.remove("x" + std::to_string(n - 1));
      store.apply(batch);
    }
  }};
  REQUIRE(support::eventually([&] { return store.read("k0") > 3; }));
  for (int round = 0; round < 5; ++round) {
    std::map<std::string, int> seen;
    std::size_t calls = 0;
    store.for_each([&](const std::string& key, int value) {
      seen[key] = value;
      ++calls;
    });
    CHECK(calls == 1100);
    CHECK(seen.size() == 1100);
    CHECK(seen["k0"] == seen["k999"]);
    CHECK(seen.contains("x" + std::to_string(seen["k0"])));
  }
}

TEST_CASE("etcd: for_each says so when etcd compacts away the moment that it shows") {
  const support::OwnEtcd own;
  auto options = own->options("k/");
  options.page_size = 2;
  Store store{options};
  for (int i = 0; i < 5; ++i) store.create(std::to_string(i), i);
  kvstore::detail::EtcdClient client{options};
  int seen = 0;
  const auto compact = [&](const std::string&, int) {
    if (++seen > 1) return;
    store.upsert("5", 5);
    const std::string wanted = R"({"revision":")" + std::to_string(store.revision()) + R"("})";
    client.call("/v3/kv/compaction", wanted, kvstore::detail::EtcdRequest::read);
  };
  REQUIRE_THROWS_WITH(store.for_each(compact),
                      Catch::Matchers::ContainsSubstring("required revision has been compacted"));
  REQUIRE(seen == 2);
}

TEST_CASE("etcd: for_each over large values, and one whose callback throws") {
  auto options = support::shared_cluster().options("heavy/");
  kvstore::EtcdKeyValueStore<int, std::string> store{options};
  store.clear();
  for (int i = 0; i < 6; ++i) store.create(i, std::string(1'000'000, static_cast<char>('a' + i)));
  std::size_t bytes = 0;
  store.for_each([&](int, const std::string& value) { bytes += value.size(); });
  REQUIRE(bytes == 6'000'000);
  REQUIRE_THROWS_AS(store.for_each([](int, const std::string&) { throw std::out_of_range{"enough"}; }),
                    std::out_of_range);
  store.clear();
}

TEST_CASE("etcd: what is no value of the store's type is named, with its key") {
  kvstore::EtcdKeyValueStore<std::string, std::string> texts{support::shared_cluster().options("mixed/")};
  texts.upsert("k", "text");
  const Store numbers{support::shared_cluster().options("mixed/")};
  REQUIRE_THROWS_WITH(numbers.read("k"), Catch::Matchers::ContainsSubstring("the value of key \"k\""));
}

}  // namespace verbs_test
