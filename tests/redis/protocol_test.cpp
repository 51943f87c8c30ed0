// SPDX-License-Identifier: MIT

// A cluster's answers that are lost, late or refusals, from servers that give them on demand.

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/redis_cluster_key_value_store.hpp"
#include "redis/fake_leader.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/fake_redis.hpp"
#include "support/scripted_server.hpp"

namespace protocol_test {

using namespace std::chrono_literals;
using support::FakeRedis;
using Command = FakeRedis::Command;
using Store = kvstore::RedisClusterKeyValueStore<std::string, int>;
using fake_leader::always;
using fake_leader::Leader;
using fake_leader::share_slots;

TEST_CASE("Redis Cluster: a write that got no answer is not repeated, a read is") {
  std::atomic<int> calls = 0;
  Leader leader{[&](const Command&, std::size_t) -> std::optional<std::string> {
    if (calls++ == 0) return std::nullopt;
    return "$1\r\n7\r\n";
  }};
  Store store{leader.options()};
  REQUIRE(store.read("a") == 7);
  REQUIRE(leader.server().received({"GET"}) == 2);
  const auto is_unknown = [&](auto write) {
    calls = 0;
    REQUIRE_THROWS_AS(write(), kvstore::OutcomeUnknownError);
    REQUIRE(calls == 1);
  };
  is_unknown([&] { store.create("a", 1); });
  is_unknown([&] { store.update("a", 1); });
  is_unknown([&] { store.upsert("a", 1); });
  is_unknown([&] { store.remove("a"); });
  is_unknown([&] { store.compare_exchange("a", 1, 2); });
  is_unknown([&] { store.apply(Store::Batch{}.upsert("a", 1)); });
}

TEST_CASE("Redis Cluster: an answer counts as a write only if it says so") {
  const std::string answer = GENERATE("+QUEUED\r\n", "*0\r\n", "$2\r\nno\r\n", "*1\r\n:1\r\n");
  CAPTURE(answer);
  Leader leader{always(answer)};
  Store store{leader.options()};
  CHECK_THROWS_AS(store.create("a", 1), kvstore::OutcomeUnknownError);
  CHECK_THROWS_AS(store.update("a", 1), kvstore::OutcomeUnknownError);
  CHECK_THROWS_AS(store.remove("a"), kvstore::OutcomeUnknownError);
  CHECK_THROWS_AS(store.apply(Store::Batch{}.upsert("{t}a", 1).upsert("{t}b", 2)),
                  kvstore::OutcomeUnknownError);
  if (answer[0] == '+' || answer == "*0\r\n") {
    CHECK_THROWS_AS(store.upsert("a", 1), kvstore::OutcomeUnknownError);
    CHECK_THROWS_AS(store.compare_exchange("a", 1, 2), kvstore::OutcomeUnknownError);
  }
}

TEST_CASE("Redis Cluster: a connection that a server has closed meanwhile is not used for a write") {
  Leader leader{always("+OK\r\n")};
  Store store{leader.options()};
  store.create("a", 1);
  leader.server().hang_up();
  store.create("b", 1);
  REQUIRE(leader.server().received({"SET"}) == 2);
}

TEST_CASE(
    "Redis Cluster: replicas are waited for as long as the options say, and a server that hangs no longer") {
  std::atomic<bool> hangs = false;
  Leader leader{[&](const Command& command, std::size_t) -> std::optional<std::string> {
    if (command[0] != "WAIT") return "+OK\r\n";
    return hangs ? "" : ":1\r\n";
  }};
  kvstore::RedisClusterOptions options = leader.options();
  options.replicas = 1;
  options.replication_timeout = std::chrono::milliseconds::max();
  Store{options}.create("a", 1);
  REQUIRE(leader.server().received({"WAIT", "1"}) == 1);

  hangs = true;
  options.replication_timeout = options.response_timeout = 100ms;
  options.timeout = 1h;
  Store store{options};
  REQUIRE_THROWS_AS(store.create("b", 1), kvstore::OutcomeUnknownError);
}

TEST_CASE("Redis Cluster: an answer that comes too late is nobody's") {
  std::atomic<bool> slow = true;
  Leader leader{[&](const Command& command, std::size_t) -> std::optional<std::string> {
    if (slow.exchange(false)) std::this_thread::sleep_for(300ms);
    return command[1] == "slow" ? "$1\r\n1\r\n" : "$1\r\n2\r\n";
  }};
  kvstore::RedisClusterOptions options = leader.options();
  options.response_timeout = 100ms;
  Store store{options};
  REQUIRE_THROWS_AS(store.remove("slow"), kvstore::OutcomeUnknownError);
  std::this_thread::sleep_for(300ms);
  REQUIRE(store.read("fast") == 2);
}

TEST_CASE("Redis Cluster: a server that hangs up while a value is sent does not kill the program") {
  support::SlammingServer server;
  Leader leader{always("+OK\r\n")};
  leader.set_slots(FakeRedis::all_slots("127.0.0.1", std::stoi(server.endpoint().substr(10))));
  kvstore::RedisClusterKeyValueStore<std::string, std::string> store{leader.options()};
  std::signal(SIGPIPE, SIG_DFL);  // whatever started the test may have had it ignored
  const std::string large(8'000'000, 'x');
  for (int i = 0; i < 5; ++i) REQUIRE_THROWS_AS(store.upsert("a", large), kvstore::UnavailableError);
}

TEST_CASE("Redis Cluster: of a batch over several nodes an unknown outcome is told first, then a refusal") {
  std::atomic<bool> hang_up = true;
  Leader one{[&](const Command&, std::size_t) -> std::optional<std::string> {
    if (hang_up) return std::nullopt;
    return "+OK\r\n";
  }};
  Leader two{always("-OOM too much\r\n")};
  share_slots(one, two);
  kvstore::RedisClusterOptions options = one.options();
  options.timeout = 300ms;
  Store store{options};
  Store::Batch batch;  // "foo" is in slot 12182, "{user1}" in 8106
  batch.upsert("foo", 1).upsert("{user1}", 1);
  REQUIRE_THROWS_AS(store.apply(batch), kvstore::OutcomeUnknownError);
  hang_up = false;
  REQUIRE_THROWS_WITH(store.apply(batch), "redis://" + two.server().address() + ": OOM too much");
}

TEST_CASE("Redis Cluster: a batch of which only a part could be done says so") {
  Leader one{always("+OK\r\n")};
  Leader two{always("-CLUSTERDOWN for now\r\n")};
  share_slots(one, two);
  kvstore::RedisClusterOptions options = one.options();
  options.timeout = 300ms;
  Store store{options};
  try {
    store.apply(Store::Batch{}.upsert("foo", 1).upsert("{user1}", 1));
    FAIL("no error");
  } catch (const kvstore::UnavailableError& error) {
    const std::string_view words = error.what();
    REQUIRE(words.find("though 1 of 2 commands of the batch were carried out") != std::string_view::npos);
  }
  REQUIRE(one.server().received({"SET"}) == 1);
}

TEST_CASE("Redis Cluster: if nothing was written, a lost answer to WAIT matters to nobody") {
  std::atomic<int> calls = 0;
  Leader leader{[&](const Command& command, std::size_t) -> std::optional<std::string> {
    if (command[0] == "WAIT") return ++calls == 1 ? std::nullopt : std::optional<std::string>{":1\r\n"};
    return calls == 0 ? "-TRYAGAIN\r\n" : "+OK\r\n";
  }};
  kvstore::RedisClusterOptions options = leader.options();
  options.replicas = 1;
  Store store{options};
  REQUIRE(store.try_create("a", 1));
}

TEST_CASE("Redis Cluster: WAIT follows the write on its connection, and too few replicas are an error") {
  std::atomic<int> confirmed = 1;
  Leader leader{[&](const Command& command, std::size_t) {
    return command[0] == "WAIT" ? ":" + std::to_string(confirmed) + "\r\n" : std::string{"+OK\r\n"};
  }};
  kvstore::RedisClusterOptions options = leader.options();
  options.replicas = 1;
  options.replication_timeout = 250ms;
  Store store{options};
  store.create("a", 1);
  const auto log = leader.server().log();
  REQUIRE(log[log.size() - 2].second[0] == "SET");
  REQUIRE(log.back().second == Command{"WAIT", "1", "250"});
  REQUIRE(log[log.size() - 2].first == log.back().first);
  confirmed = 0;
  try {
    store.create("b", 1);
    FAIL("no error");
  } catch (const kvstore::ReplicationError& error) {
    REQUIRE(error.wanted() == 1);
    REQUIRE(error.confirmed() == 0);
    REQUIRE(std::string_view{error.what()}.find("only 0 of 1 replicas") != std::string_view::npos);
  }
  (void)store.contains("a");
  REQUIRE(leader.server().received({"WAIT"}) == 2);
}

TEST_CASE("Redis Cluster: a connection that breaks before WAIT is answered leaves the outcome unknown") {
  Leader leader{[&](const Command& command, std::size_t) -> std::optional<std::string> {
    if (command[0] == "WAIT") return std::nullopt;
    return "+OK\r\n";
  }};
  kvstore::RedisClusterOptions options = leader.options();
  options.replicas = 1;
  Store store{options};
  REQUIRE_THROWS_AS(store.create("a", 1), kvstore::OutcomeUnknownError);
}

TEST_CASE("Redis Cluster: keys and values of any bytes arrive as they are") {
  Leader leader{always("+OK\r\n")};
  kvstore::RedisClusterKeyValueStore<std::string, std::string> store{leader.options()};
  const std::string key{"a\0b\r\n$5 \"\\%s", 12};
  store.create(key, std::string{"\r\n\0*1", 5});
  REQUIRE(leader.server().log().back().second == Command{"SET", key, R"("\r\n\u0000*1")", "NX"});
}

TEST_CASE("Redis Cluster: user and password are sent first, and their refusal is final") {
  std::atomic<bool> refuse = false;
  Leader leader{[&](const Command&, std::size_t) {
    return refuse ? "-WRONGPASS invalid username-password pair\r\n" : "+OK\r\n";
  }};
  kvstore::RedisClusterOptions options = leader.options();
  options.user = "app";
  options.password = "secret";
  REQUIRE_NOTHROW(Store{options});
  REQUIRE(leader.server().log().front().second == Command{"AUTH", "app", "secret"});
  refuse = true;
  const auto start = std::chrono::steady_clock::now();
  REQUIRE_THROWS_WITH(Store{options}, leader.server().address() +
                                          ": the server refuses user and password: WRONGPASS "
                                          "invalid username-password pair "
                                          "(RedisClusterOptions::user, password or credentials)");
  REQUIRE(std::chrono::steady_clock::now() - start < 1s);
}

TEST_CASE("Redis Cluster: a server's refusal is an error with its words") {
  Leader leader{always("-OOM command not allowed when used memory > 'maxmemory'.\r\n")};
  Store store{leader.options()};
  REQUIRE_THROWS_WITH(store.create("a", 1), "redis://" + leader.server().address() +
                                                ": OOM command not allowed when used memory > 'maxmemory'.");
  REQUIRE_THROWS_AS(store.read("a"), kvstore::ServerError);
  REQUIRE_THROWS_AS(store.apply(Store::Batch{}.create("a", 1).create("b", 1)), kvstore::ServerError);
}

TEST_CASE("Redis Cluster: seeds are tried in turn, and bad ones named") {
  const auto make = [](std::vector<std::string> seeds) {
    return Store{{.seeds = std::move(seeds), .timeout = 300ms, .connect_timeout = 100ms}}.contains("a");
  };
  Leader leader{always(":1\r\n")};
  REQUIRE(make({"127.0.0.1:1", leader.server().address()}));
  REQUIRE_THROWS_AS(make({}), kvstore::UsageError);
  REQUIRE_THROWS_AS((Store{{.seeds = {leader.server().address()}, .user = "app"}}), kvstore::UsageError);
  for (const char* seed : {"", "localhost", "localhost:", ":7000", "a:0", "a:65536", "a:7x", "[::1]"}) {
    CAPTURE(seed);
    REQUIRE_THROWS_AS(make({seed}), kvstore::UsageError);
  }
  try {
    make({"127.0.0.1:1"});
    FAIL("no error");
  } catch (const kvstore::UnavailableError& error) {
    REQUIRE(std::string_view{error.what()} ==
            "Redis Cluster: no node could be reached within 300 ms: 127.0.0.1:1: Connection refused");
  }
}

TEST_CASE("Redis Cluster: what a program prints whose standard files are closed does not go to the server") {
  Leader leader{[](const Command&, std::size_t) { return "$-1\r\n"; }};
  const std::string taken = support::in_child([&] {
    for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(descriptor);
    Store store{leader.options()};
    store.upsert("a", 1);
    std::string descriptors = "printed to:";
    for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      if (::write(descriptor, "printed\r\n", 9) == 9) descriptors += ' ' + std::to_string(descriptor);
    }
    return descriptors;
  });
  CHECK(taken == "printed to:");
}

}  // namespace protocol_test
