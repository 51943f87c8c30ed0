// SPDX-License-Identifier: MIT

// The map of slots, and the redirections by which a cluster corrects it, from servers that send them on
// demand.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kvstore/detail/redis/slot.hpp"
#include "kvstore/redis_cluster_key_value_store.hpp"
#include "redis/fake_leader.hpp"
#include "support/catch.hpp"
#include "support/fake_redis.hpp"

namespace redirection_test {

using namespace std::chrono_literals;
using kvstore::detail::redis_slot;
using support::FakeRedis;
using Command = FakeRedis::Command;
using Store = kvstore::RedisClusterKeyValueStore<std::string, int>;
using fake_leader::always;
using fake_leader::Leader;
using fake_leader::moved;

TEST_CASE("Redis slots: keys and hash tags are hashed as the specification says") {
  STATIC_REQUIRE(kvstore::detail::crc16("123456789") == 0x31C3);
  REQUIRE(redis_slot("foo") == 12182);
  REQUIRE(redis_slot("{user1}.a") == 8106);
  REQUIRE(redis_slot("user1") == 8106);
  REQUIRE(redis_slot("x{}y") == 16116);
  REQUIRE(redis_slot("{}{abc}") == 7878);
  REQUIRE(redis_slot("foo{{bar}}zap") == redis_slot("{bar"));
  REQUIRE(redis_slot("foo{bar}{zap}") == redis_slot("bar"));
  REQUIRE(redis_slot("a{b") == kvstore::detail::crc16("a{b") % 16384);
  REQUIRE(redis_slot("") == 0);
}

TEST_CASE("Redis Cluster: CLUSTER SLOTS may name more than is needed, or no host") {
  Leader leader{always("$1\r\n7\r\n")};
  const std::string port = ":" + std::to_string(leader.port()) + "\r\n";
  const std::string more = "$2\r\nid\r\n*2\r\n$8\r\nhostname\r\n$1\r\nx\r\n";
  for (const std::string& host :
       {FakeRedis::bulk("127.0.0.1"), FakeRedis::bulk(""), FakeRedis::bulk("?"), std::string{"$-1\r\n"}}) {
    CAPTURE(host);
    leader.set_slots("*2\r\n*4\r\n:0\r\n:8000\r\n*4\r\n" + host + port + more + "*4\r\n" + host + ":1\r\n" +
                     more + "*3\r\n:8001\r\n:16383\r\n*4\r\n" + host + port + more);
    REQUIRE(Store{leader.options()}.read("a") == 7);
  }
}

TEST_CASE("Redis Cluster: what is no map of slots is refused") {
  Leader leader{always("$1\r\n7\r\n")};
  kvstore::RedisClusterOptions options = leader.options();
  options.timeout = 100ms;
  for (const char* reply :
       {"*0\r\n", ":1\r\n", "*1\r\n*2\r\n:0\r\n:1\r\n", "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:-1\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n", "-LOADING wait\r\n"}) {
    CAPTURE(reply);
    leader.set_slots(reply);
    REQUIRE_THROWS_AS(Store{options}, kvstore::UnavailableError);
  }
}

TEST_CASE("Redis Cluster: MOVED is followed, and gets a new map once for all threads") {
  constexpr int kThreads = 8;
  Leader after{always("$1\r\n7\r\n")};
  std::atomic<int> waiting = 0;
  Leader before{[&](const Command&, std::size_t) {
    for (++waiting; waiting < kThreads;) std::this_thread::sleep_for(1ms);  // until all have used the old map
    return moved(after);
  }};
  Store store{before.options()};
  before.set_slots(FakeRedis::all_slots("127.0.0.1", after.port()));
  std::vector<std::jthread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([&] { right += store.read("a") == 7; });
  threads.clear();
  REQUIRE(right == kThreads);
  REQUIRE(before.asked_for_slots() + after.asked_for_slots() == 2);
  REQUIRE(store.read("a") == 7);
  REQUIRE(before.server().received({"GET"}) == kThreads);
}

TEST_CASE(
    "Redis Cluster: a seed that leads another cluster by now is not followed while the known nodes answer") {
  Leader seed{always("$-1\r\n")};
  Leader* self = nullptr;
  std::atomic<int> asked = 0;
  Leader known{[&](const Command&, std::size_t) {
    return asked++ % 2 == 0 ? moved(*self) : std::string{"$1\r\n7\r\n"};  // every other answer ends the map
  }};
  self = &known;
  seed.set_slots(FakeRedis::all_slots("127.0.0.1", known.port()));
  Store store{seed.options()};
  seed.set_slots(FakeRedis::all_slots("127.0.0.1", seed.port()));
  for (int i = 0; i < 4; ++i) REQUIRE(store.try_read("a") == 7);
  REQUIRE(seed.server().received({"GET"}) == 0);
  REQUIRE(known.asked_for_slots() == 4);
}

TEST_CASE("Redis Cluster: ASK is followed once, with ASKING, and the map stays") {
  Leader target{
      [](const Command& command, std::size_t) { return command[0] == "ASKING" ? "+OK\r\n" : "$1\r\n7\r\n"; }};
  Leader leader{[&](const Command&, std::size_t) { return moved(target, "ASK"); }};
  Store store{leader.options()};
  REQUIRE(store.read("a") == 7);
  REQUIRE(store.read("a") == 7);
  REQUIRE(leader.server().received({"GET"}) == 2);
  REQUIRE(leader.asked_for_slots() == 1);
  const auto log = target.server().log();
  REQUIRE(log.size() == 4);
  for (std::size_t i = 0; i < log.size(); i += 2) {
    REQUIRE(log[i].second[0] == "ASKING");
    REQUIRE(log[i + 1].second[0] == "GET");
    REQUIRE(log[i].first == log[i + 1].first);
  }
}

TEST_CASE("Redis Cluster: what passes is waited for, also by writes") {
  for (const char* error : {"TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "BUSY"}) {
    CAPTURE(error);
    std::atomic<int> calls = 0;
    Leader leader{[&](const Command&, std::size_t) {
      return ++calls <= 3 ? "-" + std::string{error} + " not now\r\n" : "+OK\r\n";
    }};
    Store store{leader.options()};
    REQUIRE(store.try_create("a", 1));
    REQUIRE(calls == 4);
    if (std::string_view{error} == "READONLY") REQUIRE(leader.asked_for_slots() > 1);
  }
}

TEST_CASE("Redis Cluster: what does not pass before the deadline is an error that says why") {
  Leader leader{always("-CLUSTERDOWN The cluster is down\r\n")};
  kvstore::RedisClusterOptions options = leader.options();
  options.timeout = 200ms;
  Store store{options};
  const auto start = std::chrono::steady_clock::now();
  REQUIRE_THROWS_WITH(store.create("a", 1),
                      "Redis Cluster of " + leader.server().address() +
                          ": no node could do it within 200 ms, and nothing was changed; the "
                          "last reason: " +
                          leader.server().address() + ": CLUSTERDOWN The cluster is down");
  REQUIRE(std::chrono::steady_clock::now() - start < 2s);
  REQUIRE(leader.server().received({"SET"}) > 2);
}

TEST_CASE("Redis Cluster: redirections in circles end at the deadline") {
  Leader* other = nullptr;
  Leader leader{[&](const Command&, std::size_t) { return moved(*other); }};
  Leader second{[&](const Command&, std::size_t) { return moved(leader); }};
  other = &second;
  kvstore::RedisClusterOptions options = leader.options();
  options.timeout = 200ms;
  Store store{options};
  REQUIRE_THROWS_AS(store.read("a"), kvstore::UnavailableError);
  REQUIRE(leader.server().received({"GET"}) < 100);
}

}  // namespace redirection_test
