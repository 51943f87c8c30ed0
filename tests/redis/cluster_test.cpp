// SPDX-License-Identifier: MIT

// The verbs on a real Redis Cluster: three leaders, three replicas.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "kvstore/redis_cluster_key_value_store.hpp"
#include "kvstore/store.hpp"
#include "support/catch.hpp"
#include "support/redis_servers.hpp"

namespace cluster_test {

using support::RedisServers;
using Counters = kvstore::RedisClusterKeyValueStore<std::string, int>;
using Texts = kvstore::RedisClusterKeyValueStore<std::string, std::string>;

namespace {

struct City {
  std::string name;
  double area = 0;
  friend bool operator==(const City&, const City&) = default;
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(City, name, area)
};

static_assert(kvstore::Store<Counters, std::string, int>);
static_assert(kvstore::Store<kvstore::RedisClusterKeyValueStore<int, City>, int, City>);

/// Every verb, through the concept.
template <kvstore::Store<std::string, int> Store>
void try_verbs(Store& store) {
  store.clear();
  REQUIRE(store.empty());
  store.create("a", 1);
  REQUIRE_FALSE(store.empty());
  REQUIRE_THROWS_AS(store.create("a", 2), kvstore::DuplicateKeyError);
  REQUIRE_FALSE(store.try_create("a", 2));
  REQUIRE(store.try_create("b", 2));
  REQUIRE(store.read("a") == 1);
  REQUIRE_THROWS_AS(store.read("c"), kvstore::KeyNotFoundError);
  REQUIRE_FALSE(store.try_read("c"));
  REQUIRE(store.contains("b"));
  REQUIRE_FALSE(store.contains("c"));
  store.update("a", 10);
  REQUIRE_THROWS_AS(store.update("c", 1), kvstore::KeyNotFoundError);
  REQUIRE_FALSE(store.try_update("c", 1));
  REQUIRE(store.upsert("c", 3));
  REQUIRE_FALSE(store.upsert("c", 4));
  REQUIRE(store.modify("a", [](int& value) { value += 5; }));
  REQUIRE_FALSE(store.modify("d", [](int& value) { value += 5; }));
  REQUIRE(store.read("a") == 15);
  REQUIRE(store.compare_exchange("a", 15, 16));
  REQUIRE_FALSE(store.compare_exchange("a", 15, 17));
  REQUIRE_FALSE(store.compare_exchange("d", 15, 17));
  REQUIRE(store.size() == 3);
  std::map<std::string, int> seen;
  store.for_each([&](const std::string& key, const int& value) { REQUIRE(seen.emplace(key, value).second); });
  REQUIRE(seen == std::map<std::string, int>{{"a", 16}, {"b", 2}, {"c", 4}});
  store.remove("b");
  REQUIRE_THROWS_AS(store.remove("b"), kvstore::KeyNotFoundError);
  REQUIRE_FALSE(store.try_remove("b"));
  int visited = 0;
  REQUIRE(store.visit("c", [&](const int& value) { visited = value; }));
  REQUIRE(visited == 4);
  store.clear();
  REQUIRE(store.size() == 0);
}

/// @returns how many of `count` keys, each another text, are there
std::size_t fill(Texts& store, std::size_t count) {
  Texts::Batch batch;
  for (std::size_t i = 0; i < count; ++i) batch.upsert("key" + std::to_string(i), std::to_string(i * i));
  store.apply(batch);
  return count;
}

}  // namespace

TEST_CASE("Redis Cluster: every verb does what it does on the other stores") {
  const RedisServers servers;
  Counters remote{servers.options("verbs:")};
  try_verbs(remote);
  kvstore::KeyValueStore<std::string, int> local;
  try_verbs(local);
}

TEST_CASE("Redis Cluster: keys and values of all kinds come back") {
  const RedisServers servers;
  kvstore::RedisClusterKeyValueStore<int, City> cities{servers.options("cities:")};
  cities.clear();
  const City town{"Großstadt \"x\"\n", -0.0};
  cities.create(-7, town);
  REQUIRE(cities.read(-7) == town);
  REQUIRE(cities.compare_exchange(-7, town, City{"b", 2.5}));
  REQUIRE(servers.cli(servers.leader_of("cities:-7"), "get cities:-7").find(R"({"area":2.5,"name":"b"})") ==
          0);
  cities.for_each([](const int& key, const City& city) {
    REQUIRE(key == -7);
    REQUIRE(city == City{"b", 2.5});
  });
  cities.clear();
  Texts texts{servers.options("{texts}*?[x]\\:")};
  Texts others{servers.options("{texts}other")};
  others.upsert("a", "untouched");
  const std::string key{"k\0\r\n\xC3\xA9", 6};
  texts.create(key, std::string(3'000'000, 'x') + key);
  REQUIRE(texts.read(key).ends_with(key));
  REQUIRE(texts.size() == 1);
  texts.clear();
  REQUIRE(texts.empty());
  REQUIRE(others.read("a") == "untouched");
  others.clear();
}

TEST_CASE("Redis Cluster: a store sees and clears what is under its prefix only") {
  const RedisServers servers;
  Texts mine{servers.options("mine:")};
  Texts yours{servers.options("yours:")};
  fill(mine, 5000);
  fill(yours, 100);
  REQUIRE(mine.size() == 5000);
  std::set<std::string> seen;
  mine.for_each([&](const std::string& key, const std::string& value) {
    REQUIRE(seen.insert(key).second);
    const auto number = std::stoull(key.substr(3));
    REQUIRE(value == std::to_string(number * number));
  });
  REQUIRE(seen.size() == 5000);
  mine.clear();
  REQUIRE(mine.empty());
  REQUIRE(yours.size() == 100);
  yours.clear();
}

TEST_CASE("Redis Cluster: a batch within one hash tag is all or nothing") {
  const RedisServers servers;
  Counters store{servers.options("{batch}:")};
  store.clear();
  using Batch = Counters::Batch;
  store.apply(Batch{}.create("a", 1).create("b", 2).upsert("c", 3));
  REQUIRE_THROWS_AS(store.apply(Batch{}.update("a", 9).remove("c").create("b", 9)),
                    kvstore::DuplicateKeyError);
  REQUIRE_THROWS_AS(store.apply(Batch{}.update("a", 9).create("d", 9).remove("e")),
                    kvstore::KeyNotFoundError);
  REQUIRE(store.size() == 3);
  REQUIRE(store.read("a") == 1);
  store.apply(Batch{}.update("a", 9).create("d", 4).remove("b").create("x", 1).remove("x"));
  std::map<std::string, int> seen;
  store.for_each([&](const std::string& key, const int& value) { seen[key] = value; });
  REQUIRE(seen == std::map<std::string, int>{{"a", 9}, {"c", 3}, {"d", 4}});
  store.clear();
}

TEST_CASE("Redis Cluster: readers never see half of a batch within one hash tag") {
  const RedisServers servers;
  Counters store{servers.options("{pair}:")};
  store.clear();
  store.apply(Counters::Batch{}.create("a", 0).create("b", 0));
  std::jthread writer{[&](const std::stop_token& stop) {
    for (int i = 1; !stop.stop_requested(); ++i) store.apply(Counters::Batch{}.update("a", i).update("b", i));
  }};
  for (int i = 0; i < 500; ++i) {
    const int b = store.read("b");
    REQUIRE(store.read("a") >= b);
  }
}

TEST_CASE("Redis Cluster: each change of a batch over many slots is refused or done") {
  const RedisServers servers;
  Counters store{servers.options("wide:")};
  store.clear();
  Counters::Batch batch;
  for (int i = 0; i < 2000; ++i) batch.create(std::to_string(i), i);
  store.apply(batch);
  REQUIRE(store.size() == 2000);
  REQUIRE_THROWS_WITH(store.apply(Counters::Batch{}.create("7", 0)),
                      "key \"7\" already exists; use update() or upsert() to replace its value");
  REQUIRE_THROWS_AS(store.apply(Counters::Batch{}.update("new", 0)), kvstore::KeyNotFoundError);
  REQUIRE_THROWS_AS(store.apply(Counters::Batch{}.remove("new")), kvstore::KeyNotFoundError);
  REQUIRE_THROWS_AS(store.apply(Counters::Batch{}.create("8", 0).remove("8")), kvstore::DuplicateKeyError);
  REQUIRE(store.read("8") == 8);
  Counters::Batch removal;
  for (int i = 0; i < 2000; ++i) removal.remove(std::to_string(i));
  store.apply(removal);
  REQUIRE(store.empty());
}

TEST_CASE("Redis Cluster: modify of one key by many threads and stores loses nothing") {
  constexpr int kThreads = 4;
  constexpr int kEach = 100;
  const RedisServers servers;
  Counters store{servers.options("modify:")};
  store.upsert("sum", 0);
  store.upsert("other", 0);
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      Counters own{servers.options("modify:")};
      for (int n = 0; n < kEach; ++n) own.modify("sum", [](int& value) { ++value; });
      for (int n = 0; n < kEach; ++n) {
        for (int seen = store.read("other"); !store.compare_exchange("other", seen, seen + 1);) {
          seen = store.read("other");
        }
      }
    });
  }
  threads.clear();
  REQUIRE(store.read("sum") == kThreads * kEach);
  REQUIRE(store.read("other") == kThreads * kEach);
  store.clear();
}

TEST_CASE("Redis Cluster: another program's keys and values are refused by name") {
  const RedisServers servers;
  Counters store{servers.options("{other}:")};
  const int node = servers.leader_of("{other}:");
  servers.cli(node, "rpush {other}:list a b");
  servers.cli(node, "set {other}:text hello");
  REQUIRE_THROWS_AS(store.upsert("list", 1), kvstore::ServerError);
  REQUIRE_THROWS_AS(store.read("list"), kvstore::ServerError);
  REQUIRE_THROWS_AS(store.modify("list", [](int&) {}), kvstore::ServerError);
  REQUIRE_THROWS_AS(store.create("list", 1), kvstore::DuplicateKeyError);
  REQUIRE(servers.cli(node, "llen {other}:list") == "2\n");
  try {
    (void)store.read("text");
    FAIL("no error");
  } catch (const kvstore::CorruptionError& error) {
    REQUIRE(std::string_view{error.what()}.find("the value of key \"text\": expected") !=
            std::string_view::npos);
  }
  servers.cli(node, "del {other}:list {other}:text");
}

TEST_CASE("Redis Cluster: a value over the server's limit is refused with the server's words") {
  const RedisServers servers;
  for (int node = 1; node <= RedisServers::kNodes; ++node) {
    servers.cli(node, "config set proto-max-bulk-len 1048576");
  }
  Texts store{servers.options("large:")};
  store.upsert("a", "small");
  REQUIRE_THROWS_AS(store.upsert("a", std::string(1'100'000, 'x')), kvstore::Error);
  REQUIRE(store.read("a") == "small");
  for (int node = 1; node <= RedisServers::kNodes; ++node) {
    servers.cli(node, "config set proto-max-bulk-len 536870912");
  }
  store.clear();
}

TEST_CASE("Redis Cluster: users come in with their password only") {
  const RedisServers servers;
  for (int node = 1; node <= RedisServers::kNodes; ++node) {
    servers.cli(node, "acl setuser app on '>secret' '~app:*' +@all");
  }
  kvstore::RedisClusterOptions options = servers.options("app:");
  options.user = "app";
  options.password = "secret";
  Counters store{options};
  REQUIRE(store.upsert("a", 1));
  options.key_prefix = "elsewhere:";
  REQUIRE_THROWS_AS(Counters{options}.upsert("a", 1), kvstore::ServerError);
  options.password = "wrong";
  REQUIRE_THROWS_AS(Counters{options}, kvstore::ServerError);
  store.clear();
  for (int node = 1; node <= RedisServers::kNodes; ++node) servers.cli(node, "acl deluser app");
}

TEST_CASE("Redis Cluster: a single Redis that is no cluster works as one") {
  const RedisServers servers;
  const std::string port =
      std::to_string(std::stoi(servers.port(1)) + 20000);  // free: its cluster bus + 10000
  const std::string pid =
      support::answer_of("redis-server --port " + port + " --bind 127.0.0.1 --save '' > /dev/null & echo $!");
  kvstore::RedisClusterOptions options{.seeds = {"127.0.0.1:" + port}};
  {
    Counters store{options};
    try_verbs(store);
    store.apply(Counters::Batch{}.create("a", 1).create("b", 2));
    REQUIRE(store.size() == 2);
  }
  ::kill(static_cast<::pid_t>(std::stol(pid)), SIGKILL);
}

}  // namespace cluster_test
