// SPDX-License-Identifier: MIT

// Servers that hang, refuse or fill up: what a client makes of them, and how long that takes.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <latch>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/redis_cluster_key_value_store.hpp"
#include "redis/fake_leader.hpp"
#include "support/catch.hpp"
#include "support/fake_redis.hpp"
#include "support/scripted_server.hpp"

namespace health_test {

using namespace std::chrono_literals;
using support::FakeRedis;
using Command = FakeRedis::Command;
using Store = kvstore::RedisClusterKeyValueStore<std::string, int>;
using fake_leader::always;
using fake_leader::Leader;

namespace {

/// A leader that may hang, and the one that takes its slots over.
struct Pair {
  std::atomic<int> writes = 0;
  Leader old{always("$-1\r\n")};
  Leader successor{[this](const Command& command, std::size_t) {
    if (command[0] == "SET") ++writes;
    return "$-1\r\n";
  }};

  Pair() { successor.set_slots(FakeRedis::all_slots("127.0.0.1", old.port())); }
  ~Pair() { old.hang(false); }

  [[nodiscard]] kvstore::RedisClusterOptions options() const {
    return {.seeds = {old.options().seeds.front(), successor.options().seeds.front()},
            .timeout = 3s,
            .connect_timeout = 200ms,
            .response_timeout = 300ms};
  }
  void fail_over() {
    old.hang();
    successor.set_slots(FakeRedis::all_slots("127.0.0.1", successor.port()));
  }
};

template <class Call>
std::chrono::milliseconds time_of(const Call& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
}

}  // namespace

TEST_CASE("Redis Cluster: a leader that hangs leaves one write unknown; the next goes to its successor") {
  Pair pair;
  Store store{pair.options()};
  store.upsert("a", 1);
  pair.fail_over();
  CHECK_THROWS_AS(store.upsert("a", 2), kvstore::OutcomeUnknownError);
  for (int i = 0; i < 5; ++i) store.upsert("a", i);
  CHECK(pair.writes == 5);
}

TEST_CASE(
    "Redis Cluster: a leader that hangs and has no successor leaves one write unknown, none of the rest") {
  Pair pair;
  auto options = pair.options();
  options.timeout = 1s;
  Store store{options};
  store.upsert("a", 1);
  pair.old.hang();
  CHECK_THROWS_AS(store.upsert("a", 2), kvstore::OutcomeUnknownError);
  for (int i = 0; i < 2; ++i) {
    CHECK_THROWS_AS(store.upsert("a", 2), kvstore::UnavailableError);
    CHECK(time_of([&] { CHECK_THROWS_AS(store.upsert("a", 2), kvstore::UnavailableError); }) < 1500ms);
  }
  pair.old.hang(false);
  store.upsert("a", 3);
}

TEST_CASE("Redis Cluster: of many idle connections to a leader that hangs, one leaves a write unknown") {
  constexpr std::size_t kThreads = 8;
  Pair pair;
  Store store{pair.options()};
  {
    std::latch together{static_cast<std::ptrdiff_t>(kThreads)};
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        together.arrive_and_wait();
        for (int k = 0; k < 20; ++k) store.upsert(std::to_string(i), k);
      });
    }
  }
  pair.fail_over();
  int unknown = 0;
  for (int i = 0; i < 10; ++i) {
    try {
      store.upsert("a", i);
    } catch (const kvstore::OutcomeUnknownError&) { ++unknown; }
  }
  CHECK(unknown == 1);
}

TEST_CASE("Redis Cluster: a refused write is refused, whatever its replicas say") {
  Leader leader{[&](const Command& command, std::size_t) -> std::string {
    if (command[0] == "WAIT") return ":0\r\n";
    if (command[0] == "EVAL") return "*1\r\n$1\r\n9\r\n";
    return command[0] == "DEL" ? ":0\r\n" : "$-1\r\n";
  }};
  auto options = leader.options();
  options.replicas = 1;
  Store store{options};
  CHECK_THROWS_AS(store.create("a", 1), kvstore::DuplicateKeyError);
  CHECK_FALSE(store.try_create("a", 1));
  CHECK_FALSE(store.try_update("a", 1));
  CHECK_FALSE(store.try_remove("a"));
  CHECK_FALSE(store.compare_exchange("a", 1, 2));
  CHECK_THROWS_AS(store.apply(Store::Batch{}.create("a", 1)), kvstore::DuplicateKeyError);
  CHECK_THROWS_AS(store.upsert("a", 1), kvstore::ReplicationError);
}

TEST_CASE("Redis Cluster: a batch that changes nothing waits for no replicas") {
  Leader leader{[&](const Command& command, std::size_t) -> std::string {
    if (command[0] == "WAIT") return ":0\r\n";
    return command[0] == "EVAL" ? ":-1\r\n" : ":1\r\n";
  }};
  auto options = leader.options();
  options.replicas = 1;
  Store store{options};
  store.apply(Store::Batch{}.remove("{t}a").remove("{t}b"));
}

TEST_CASE("Redis Cluster: a clear that ends half-way says how far it got") {
  std::atomic<int> scans = 0;
  Leader leader{[&](const Command& command, std::size_t) -> std::string {
    if (command[0] == "UNLINK") return ":1\r\n";
    if (++scans > 1) return "-ERR broken\r\n";
    return "*2\r\n$1\r\n7\r\n*2\r\n" + FakeRedis::bulk("a") + FakeRedis::bulk("b");
  }};
  Store store{leader.options()};
  CHECK_THROWS_WITH(store.clear(), Catch::Contains("has removed 2 entries") && Catch::Contains("broken"));
  CHECK_THROWS_AS(store.clear(), kvstore::ServerError);
}

TEST_CASE("Redis Cluster: a clear goes on although replicas have not confirmed a part of it") {
  std::atomic<int> scans = 0;
  Leader leader{[&](const Command& command, std::size_t) -> std::string {
    if (command[0] == "WAIT") return ":0\r\n";
    if (command[0] == "UNLINK") return ":1\r\n";
    const std::string cursor = ++scans % 2 == 1 ? "7" : "0";
    return "*2\r\n$1\r\n" + cursor + "\r\n*1\r\n" + FakeRedis::bulk("key" + std::to_string(scans));
  }};
  auto options = leader.options();
  options.replicas = 1;
  Store store{options};
  CHECK_THROWS_AS(store.clear(), kvstore::ReplicationError);
  CHECK(leader.server().received({"UNLINK"}) == 2);
}

TEST_CASE("Redis Cluster: size and for_each wait for a leader, as long as the options say") {
  std::atomic<int> loading = 30;
  Leader leader{[&](const Command& command, std::size_t) -> std::string {
    if (command[0] == "GET") return "$1\r\n7\r\n";
    if (loading-- > 0) return "-LOADING soon\r\n";
    return "*2\r\n$1\r\n0\r\n*1\r\n" + FakeRedis::bulk("a");
  }};
  auto options = leader.options();
  options.timeout = 20s;
  options.connect_timeout = 100ms;
  options.response_timeout = 100ms;
  Store store{options};
  CHECK(store.size() == 1);
  options.timeout = 1s;
  const Store impatient{options};
  loading = 1'000'000;
  CHECK(time_of([&] { CHECK_THROWS_AS(impatient.size(), kvstore::UnavailableError); }) < 1500ms);
  leader.hang();
  CHECK(time_of([&] { CHECK_THROWS_AS(impatient.size(), kvstore::UnavailableError); }) < 1500ms);
  leader.hang(false);
}

TEST_CASE("Redis: a single server that is a replica is not taken for the one that leads") {
  const auto single = [](const std::string& role) {
    return [role](const Command& command, std::size_t) -> std::string {
      if (command[0] == "CLUSTER") return "-ERR This instance has cluster support disabled\r\n";
      return command[0] == "ROLE" ? role : "$1\r\n7\r\n";
    };
  };
  FakeRedis replica{single("*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:0\r\n")};
  FakeRedis leader{single("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n")};
  FakeRedis silent{single("-NOPERM this user has no permissions to run the 'role' command\r\n")};
  CHECK_THROWS_WITH((Store{{.seeds = {replica.address()}, .timeout = 300ms}}),
                    Catch::Contains("is a replica of 10.0.0.1:6379"));
  Store store{{.seeds = {replica.address(), leader.address()}, .timeout = 2s}};
  CHECK(store.read("a") == 7);
  CHECK(replica.received({"GET"}) == 0);
  CHECK(Store{{.seeds = {silent.address()}, .timeout = 2s}}.read("a") == 7);
}

TEST_CASE("Redis: a server that has no room for more clients is waited for, and its words are no refusal") {
  std::atomic<int> full = 3;
  Leader leader{[&](const Command& command, std::size_t) -> std::string {
    if (full-- > 0) return "-ERR max number of clients reached\r\n";
    return command[0] == "AUTH" ? "+OK\r\n" : "$1\r\n7\r\n";
  }};
  auto options = leader.options();
  SECTION("with a password") { options.password = "secret"; }
  SECTION("without") {}
  CHECK(Store{options}.read("a") == 7);
}

TEST_CASE("Redis: a command that was not wholly sent was certainly not carried out") {
  const support::Listener listener;
  Leader leader{always("+OK\r\n")};
  leader.set_slots(
      FakeRedis::all_slots("127.0.0.1", kvstore::detail::RedisAddress::parse(listener.endpoint())->port));
  kvstore::RedisClusterKeyValueStore<std::string, std::string> store{{.seeds = {leader.server().address()},
                                                                      .timeout = 1s,
                                                                      .connect_timeout = 200ms,
                                                                      .response_timeout = 200ms}};
  // The kernel accepts connections for the listener, and takes a part of what is sent.
  CHECK_THROWS_AS(store.upsert("a", std::string(64U << 20U, 'x')), kvstore::UnavailableError);
}

}  // namespace health_test
