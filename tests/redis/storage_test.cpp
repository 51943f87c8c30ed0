// SPDX-License-Identifier: MIT

// A persistent store whose batches go to a real Redis Cluster.

#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "kvstore/kvstore.hpp"
#include "kvstore/storage/redis_cluster_storage.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/redis_servers.hpp"

namespace storage_test {

using namespace std::chrono_literals;
using support::RedisServers;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

std::unique_ptr<kvstore::RedisClusterStorage> storage(const std::string& name, std::size_t replicas = 0,
                                                      std::chrono::milliseconds lease = 10s) {
  kvstore::RedisClusterOptions options = RedisServers{}.options("stored:");
  options.replicas = replicas;
  return std::make_unique<kvstore::RedisClusterStorage>(options, name, lease);
}

std::map<std::string, int> contents(const Store& store) {
  std::map<std::string, int> all;
  store.for_each([&](const std::string& key, const int& value) { all[key] = value; });
  return all;
}

/// A name that no earlier run has used.
std::string fresh(const std::string& name) {
  return name + std::to_string(std::chrono::system_clock::now().time_since_epoch().count());
}

}  // namespace

TEST_CASE("Redis storage: another process goes on with what one has saved") {
  const std::string name = fresh("handed-over");
  const std::string words = support::in_child([&]() -> std::string {
    Store store{storage(name, 1), {.batch_size = 3}};
    for (int i = 0; i < 10; ++i) store.create(std::to_string(i), i);
    store.remove("7");
    store.close();
    return "done";
  });
  REQUIRE(words == "done");
  Store store{storage(name)};
  REQUIRE(store.size() == 9);
  REQUIRE(store.read("9") == 9);
  const std::string nothing = fresh("nothing");
  REQUIRE_THROWS_AS(store.load_from(*storage(nothing)), kvstore::StorageError);  // nobody made it
  Store{storage(nothing)}.close();
  store.load_from(*storage(nothing));
  store.create("only", 1);
  store.close();
  REQUIRE(contents(Store{storage(name)}) == std::map<std::string, int>{{"only", 1}});
}

TEST_CASE("Redis storage: saves of any size are put in place as a whole") {
  const std::string name = fresh("large");
  Store writer{storage(name), {.batch_size = 0, .auto_save_interval = 0ms}};
  for (int i = 0; i < 50'000; ++i) writer.create(std::to_string(i), i);
  writer.save();  // more than one part
  for (int i = 0; i < 25'000; ++i) writer.remove(std::to_string(2 * i));
  writer.upsert("1", -1);
  Store follower{storage(name), {.read_only = true}};
  REQUIRE(follower.size() == 50'000);
  writer.save();
  follower.refresh();
  REQUIRE(contents(follower) == contents(writer));
  const RedisServers servers;
  const int leader = servers.leader_of("stored:{" + name + "}:x");
  REQUIRE(servers.cli(leader, "hget stored:{" + name + "}:entries 1") == "-1\n");
  REQUIRE(servers.cli(leader, "keys '*staged*'") == "\n");
}

TEST_CASE("Redis storage: there is one owner, and after its death another once the lease has run out") {
  const std::string name = fresh("owned");
  support::ChildProcess owner{[&]() -> std::string {
    Store store{storage(name, 0, 1s), {.batch_size = 1}};
    store.create("a", 1);
    while (true) std::this_thread::sleep_for(1s);
  }};
  for (int tries = 0; tries < 500; ++tries) {
    if (Store{storage(name), {.read_only = true, .allow_missing = true}}.contains("a")) break;
    std::this_thread::sleep_for(10ms);
  }
  std::this_thread::sleep_for(1500ms);  // longer than the lease, which is renewed
  try {
    const Store second{storage(name)};
    FAIL("two owners");
  } catch (const kvstore::LockedError& error) { REQUIRE(error.holder() == owner.id()); }
  owner.kill();
  for (int tries = 0;; ++tries) {
    try {
      Store next{storage(name)};
      REQUIRE(next.read("a") == 1);
      break;
    } catch (const kvstore::LockedError&) { REQUIRE(tries < 500); }
    std::this_thread::sleep_for(10ms);
  }
}

TEST_CASE("Redis storage: an owner that another has replaced cannot save any more") {
  const std::string name = fresh("fenced");
  support::ChildProcess frozen{[&]() -> std::string {
    Store store{storage(name, 0, 500ms), {.batch_size = 2, .auto_save_interval = 0ms}};
    store.create("a", 1);
    store.save();
    ::raise(SIGSTOP);
    store.create("late", 1);
    const auto words_of = [](const auto& call) -> std::string {
      try {
        call();
      } catch (const kvstore::Error& error) { return error.what(); }
      return "saved";
    };
    const std::string saving = words_of([&] { store.save(); });
    return saving + "|" + words_of([&] { (void)store.try_create("later", 1); });
  }};
  std::unique_ptr<Store> next;
  for (int tries = 0; next == nullptr; ++tries) {
    REQUIRE(tries < 1000);
    std::this_thread::sleep_for(10ms);
    try {
      if (Store{storage(name), {.read_only = true, .allow_missing = true}}.contains("a"))
        next = std::make_unique<Store>(storage(name));
    } catch (const kvstore::LockedError&) {}
  }
  next->create("b", 2);
  next->save();
  ::kill(frozen.id(), SIGCONT);
  const std::string words = frozen.result();
  CAPTURE(words);
  REQUIRE(words.find("already open for writing by process " + std::to_string(::getpid()) + " on host ") !=
          std::string::npos);
  REQUIRE(words.find("|") < words.find("another program owns the data by now"));
  REQUIRE(words.find("retried") == std::string::npos);
  next->close();
  REQUIRE(contents(Store{storage(name)}) == std::map<std::string, int>{{"a", 1}, {"b", 2}});
}

TEST_CASE("Redis storage: what replicas have confirmed survives the death of the leader") {
  const RedisServers servers;
  const std::string name = fresh("failover");
  Store store{storage(name, 1), {.batch_size = 1}};
  for (int i = 0; i < 100; ++i) store.create(std::to_string(i), i);
  const int leader = servers.leader_of("stored:{" + name + "}:x");
  auto outage = servers.kill(leader);
  const auto saved = [&] {
    try {
      store.save();
      return true;
    } catch (const kvstore::StorageError&) { return false; }  // no replica there yet, say
  };
  REQUIRE_THROWS_AS(store.create("100", 100), kvstore::StorageError);
  REQUIRE(contents(Store{storage(name), {.read_only = true}}).size() >= 100);  // its successor has them
  outage.end();
  for (int tries = 0; !saved(); ++tries) REQUIRE(tries < 100);
  store.close();
  REQUIRE(Store{storage(name)}.size() == 101);
}

TEST_CASE("Redis storage: a leader that comes back without its data is filled again") {
  const RedisServers servers;
  const std::string name = fresh("refilled");
  Store store{storage(name), {.batch_size = 0, .auto_save_interval = 0ms}};
  for (int i = 0; i < 100; ++i) store.create(std::to_string(i), i);
  store.save();
  const std::string key = "stored:{" + name + "}:";
  const int leader = servers.leader_of(key);
  servers.cli(leader, "del " + key + "entries " + key + "meta " + key + "lock");
  store.create("100", 100);
  REQUIRE_THROWS_AS(store.save(), kvstore::StorageError);
  store.save();
  REQUIRE(Store{storage(name), {.read_only = true}}.size() == 101);
  servers.cli(leader,
              "hset " + key + "meta save older");  // a replica that lacked the last saves has taken over
  store.create("101", 101);
  REQUIRE_THROWS_AS(store.save(), kvstore::StorageError);
  store.save();
  store.close();
  REQUIRE(Store{storage(name)}.size() == 102);
}

TEST_CASE(
    "Redis storage: a save whose parts were lost on the way changes nothing, and the next one is whole") {
  const RedisServers servers;
  const std::string name = fresh("parts");
  const std::string key = "stored:{" + name + "}:";
  const int leader = servers.leader_of(key);
  std::atomic<bool> lose = false;
  Store* opened = nullptr;
  kvstore::Options options{.batch_size = 0, .auto_save_interval = 0ms};
  options.on_progress = [&](const kvstore::Progress& progress) {  // while it hands over its entries
    if (progress.entries < 40'000 || opened == nullptr || !lose.exchange(false)) return;
    servers.cli(leader, "--scan --pattern '" + key + "*staged*' | xargs redis-cli -h 127.0.0.1 -p " +
                            servers.port(leader) + " del");
  };
  Store store{storage(name), options};
  for (int i = 0; i < 60'000; ++i) store.create(std::to_string(i), i);
  opened = &store;
  for (const bool everything : {false, true}) {
    CAPTURE(everything);
    for (int i = 0; i < 60'000; ++i) store.update(std::to_string(i), i + 1 + everything);
    lose = true;
    REQUIRE_THROWS_AS(store.save(), kvstore::StorageError);
    REQUIRE_FALSE(lose);
    REQUIRE(Store{storage(name), {.read_only = true}}.size() == (everything ? 60'000U : 0U));
    store.save();
    REQUIRE(contents(Store{storage(name), {.read_only = true}}) == contents(store));
    if (!everything) {
      Store{storage(name + "-none")}.close();
      store.load_from(*storage(name + "-none"));  // the next save is one of everything
      for (int i = 0; i < 60'000; ++i) store.create(std::to_string(i), i);
      store.save();
    }
  }
  REQUIRE(servers.cli(leader, "keys '*" + name + "*staged*'") == "\n");
}

TEST_CASE("Redis storage: what an owner left staged when it died is cleared away by the next one's save") {
  const RedisServers servers;
  const std::string name = fresh("staged");
  const std::string key = "stored:{" + name + "}:";
  const int leader = servers.leader_of(key);
  servers.cli(leader, "hset " + key + "meta staged " + key + "entries:staged:dead:1");
  servers.cli(leader, "rpush " + key + "entries:staged:dead:1 s a 1");
  Store store{storage(name)};
  store.create("b", 2);
  store.close();
  REQUIRE(servers.cli(leader, "keys '" + key + "*staged*'") == "\n");
  REQUIRE(contents(Store{storage(name)}) == std::map<std::string, int>{{"b", 2}});
}

TEST_CASE("Redis storage: what is stored there and cannot be read is refused by name") {
  const RedisServers servers;
  const std::string name = fresh("damaged");
  const std::string key = "stored:{" + name + "}:";
  const int leader = servers.leader_of(key);
  servers.cli(leader, "hset " + key + "entries a true");
  REQUIRE_THROWS_AS(Store{storage(name)}, kvstore::CorruptionError);
  servers.cli(leader, "hset " + key + "entries a 1");
  servers.cli(leader, "hset " + key + "meta format 2");
  REQUIRE_THROWS_AS(Store{storage(name)}, kvstore::StorageError);
  servers.cli(leader, "del " + key + "entries " + key + "meta");
  servers.cli(leader, "set " + key + "entries text");
  REQUIRE_THROWS_AS(Store{storage(name)}, kvstore::StorageError);
  REQUIRE(servers.cli(leader, "get " + key + "entries") == "text\n");
  REQUIRE_THROWS_AS(storage(""), kvstore::UsageError);
  REQUIRE_THROWS_AS(storage("a}b"), kvstore::UsageError);
}

TEST_CASE("Redis storage: entries that others have removed are missed, by a save and by an opening") {
  const RedisServers servers;
  const std::string name = fresh("removed");
  const std::string key = "stored:{" + name + "}:";
  const int leader = servers.leader_of(key);
  const std::map<std::string, int> all{{"a", 1}, {"b", 2}, {"c", 3}};
  {
    Store store{storage(name), {.batch_size = 0, .complain = false}};
    store.create("a", 1);
    store.create("b", 2);
    store.save();
    servers.cli(leader, "del " + key + "entries");
    store.create("c", 3);
    CHECK_THROWS_AS(store.save(), kvstore::StorageError);
    store.save();
    store.close();
  }
  CHECK(contents(Store{storage(name)}) == all);
  servers.cli(leader, "hdel " + key + "entries b");
  CHECK_THROWS_WITH(Store{storage(name)}, Catch::Contains("has 2 entries, and 3 were saved"));
  CHECK_THROWS_WITH((Store{storage(name), {.read_only = true}}), Catch::Contains("3 were saved"));
  servers.cli(leader, "hdel " + key + "meta count");
  CHECK(Store{storage(name)}.size() == 2);
}

TEST_CASE("Redis storage: a server that evicts any key is refused, since it would lose the store") {
  const RedisServers servers;
  const std::string name = fresh("evicted");
  const int leader = servers.leader_of("stored:{" + name + "}:");
  Store{storage(name)}.close();
  servers.cli(leader, "config set maxmemory 1gb");
  servers.cli(leader, "config set maxmemory-policy allkeys-lru");
  CHECK_THROWS_WITH(Store{storage(name)}, Catch::Contains("allkeys-lru"));
  CHECK(Store{storage(name), {.read_only = true}}.empty());
  servers.cli(leader, "config set maxmemory-policy volatile-lru");
  CHECK(Store{storage(name)}.empty());
  servers.cli(leader, "config set maxmemory 0");
  servers.cli(leader, "config set maxmemory-policy noeviction");
}

TEST_CASE("Redis storage: a JSON file moves there and back") {
  const std::string name = fresh("moved");
  {
    const auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
    contents->entries = {{"a", "1"}, {"b", "[2]"}};
    kvstore::MemoryStorage memory{contents};
    kvstore::migrate(memory, *storage(name));
  }
  const auto back = std::make_shared<kvstore::MemoryStorage::Contents>();
  kvstore::MemoryStorage memory{back};
  kvstore::migrate(*storage(name), memory);
  REQUIRE(back->entries == decltype(back->entries){{"a", "1"}, {"b", "[2]"}});
}

}  // namespace storage_test
