// SPDX-License-Identifier: MIT

// How stores reach their servers: credentials that change, Sentinels, deadlines of single calls; and reading
// of many keys.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "kvstore/call_deadline.hpp"
#include "kvstore/detail/redis/engine.hpp"
#include "kvstore/detail/remote/engine.hpp"
#include "kvstore/log.hpp"
#include "kvstore/redis_cluster_key_value_store.hpp"
#include "kvstore/remote_prometheus.hpp"
#include "kvstore/write_batch.hpp"
#include "redis/fake_leader.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/fake_redis.hpp"
#include "support/own_redis.hpp"
#include "support/redis_servers.hpp"
#include "support/scripted_server.hpp"

namespace reach_test { namespace {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using support::OwnRedis;
using Store = kvstore::RedisClusterKeyValueStore<std::string, int>;

TEST_CASE("Redis: many keys are read at once, in their order, of all nodes") {
  const support::RedisServers servers;
  Store store{servers.options("many:")};
  store.clear();
  std::vector<std::string> keys;
  for (int i = 0; i < 500; ++i) {
    keys.push_back("key" + std::to_string(i));
    if (i % 3 != 0) store.create(keys.back(), i);
  }
  keys.push_back(keys[1]);
  const std::vector<std::optional<int>> values = store.read_many(keys);
  REQUIRE(values.size() == 501);
  for (int i = 0; i < 500; ++i)
    CHECK(values[static_cast<std::size_t>(i)].value_or(-1) == (i % 3 != 0 ? i : -1));
  CHECK(values.back() == 1);
  CHECK(store.read_many({"key2", "none"}) == std::vector<std::optional<int>>{2, std::nullopt});
  CHECK(store.read_many(std::vector<std::string>{}).empty());
  store.clear();
}

TEST_CASE("Redis: the entries of a prefix, up to a limit") {
  const support::RedisServers servers;
  Store store{servers.options("listed:")};
  store.clear();
  for (int i = 0; i < 30; ++i) {
    store.create("a*/" + std::to_string(i), i);  // no pattern of Redis
    store.create("ab/" + std::to_string(i), i);
  }
  const auto found = [&](const char* prefix, std::size_t limit) {
    const auto entries = store.read_prefix(prefix, limit);
    return std::map<std::string, int>{entries.begin(), entries.end()};
  };
  CHECK(found("a*/", 100).size() == 30);
  CHECK(found("a*/", 100).at("a*/7") == 7);
  CHECK(found("a*/", 7).size() == 7);
  CHECK(found("", 1000).size() == 60);
  CHECK(found("a", 0).empty());
  CHECK(found("b", 10).empty());
  store.clear();
}

TEST_CASE("Redis: a call's own deadline ends it before the store's") {
  OwnRedis server;
  Store store{{.seeds = {server.endpoint()}, .timeout = 1h, .response_timeout = 1h}};
  store.create("a", 1);
  {
    const kvstore::CallDeadline past{-1ms};
    CHECK_THROWS_WITH(store.upsert("a", 2), ContainsSubstring("nothing was changed"));
  }
  CHECK(store.read("a") == 1);
  server.kill();
  const auto began = std::chrono::steady_clock::now();
  {
    const kvstore::CallDeadline soon{200ms};
    CHECK_THROWS_AS(Store({.seeds = {server.endpoint()}, .timeout = 1h}), kvstore::UnavailableError);
  }
  {
    const kvstore::CallDeadline soon{200ms};
    const kvstore::CallDeadline later{1h};
    CHECK_THROWS_AS(store.try_read("a"), kvstore::UnavailableError);
    CHECK_THROWS_AS(store.size(), kvstore::UnavailableError);
    CHECK_THROWS_WITH(store.upsert("a", 2), ContainsSubstring("nothing was changed"));
  }
  CHECK(kvstore::CallDeadline::current() == std::chrono::steady_clock::time_point::max());
  {
    const kvstore::CallDeadline never{std::chrono::milliseconds::max()};
    CHECK(kvstore::CallDeadline::current() == std::chrono::steady_clock::time_point::max());
    const kvstore::CallDeadline long_ago{std::chrono::steady_clock::time_point::min()};
    CHECK_THROWS_AS(store.try_read("a"), kvstore::UnavailableError);
  }
  CHECK(std::chrono::steady_clock::now() - began < 10min);
}

TEST_CASE("Redis: an entry ends by itself, unless its holder extends it") {
  using kvstore::detail::RedisEngine;
  STATIC_REQUIRE(kvstore::detail::LeasingEngine<RedisEngine>);
  OwnRedis server;
  RedisEngine engine{{.seeds = {server.endpoint()}, .key_prefix = "locks:"}};
  CHECK(engine.create_for("a", "1", 1h));
  CHECK_FALSE(engine.create_for("a", "2", 1h));
  CHECK_FALSE(engine.extend_if("a", "2", 1ms));
  CHECK_FALSE(engine.extend_if("none", "", 1ms));
  CHECK(engine.replace_if("a", "1", "3").replaced);
  const auto lives = [&](const std::string& key) { return std::stoll(server.ask("pttl locks:" + key)); };
  CHECK(lives("a") > 3'000'000);
  CHECK(engine.extend_if("a", "3", 2h));
  CHECK(lives("a") > 6'000'000);
  CHECK(engine.extend_if("a", "3", std::chrono::milliseconds::max()));
  CHECK(lives("a") > 3'000'000'000'000);
  CHECK(engine.extend_if("a", "3", -1ms));  // as 1 ms
  CHECK(support::eventually([&] { return engine.create("a", "4"); }));
  CHECK(lives("a") == -1);
  CHECK(engine.create_for("b", "1", 1h));
  CHECK(engine.update("b", "2"));
  CHECK(lives("b") == -1);
}

TEST_CASE("Redis: a timeout of nothing is refused") {
  using Options = kvstore::RedisClusterOptions;
  const auto timeout = GENERATE(&Options::timeout, &Options::connect_timeout, &Options::response_timeout,
                                &Options::replication_timeout);
  Options options{.seeds = {"127.0.0.1:1"}};
  options.*timeout = std::chrono::milliseconds{GENERATE(0, -1)};
  CHECK_THROWS_AS(Store{options}, kvstore::UsageError);
}

TEST_CASE("Redis: a node that fails is told of once, and again after it has answered") {
  std::optional<OwnRedis> server{std::in_place};
  const std::string port = server->port();
  std::vector<std::string> events;
  Store store{
      {.seeds = {server->endpoint()}, .timeout = 300ms, .logger = [&](const kvstore::LogEvent& event) {
         if (event.event.starts_with("node")) events.emplace_back(event.event);
       }}};
  server->kill();
  CHECK_THROWS_AS(store.read("a"), kvstore::UnavailableError);
  CHECK_THROWS_AS(store.read("a"), kvstore::UnavailableError);
  CHECK(events == std::vector<std::string>{"node failed"});
  server.reset();
  server.emplace("", "", "--port", port);
  CHECK(support::eventually([&] {
    try {
      return !store.try_read("a");
    } catch (const kvstore::UnavailableError&) { return false; }
  }));
  server->kill();
  CHECK_THROWS_AS(store.read("a"), kvstore::UnavailableError);
  CHECK(events == std::vector<std::string>{"node failed", "node answers", "node failed"});
}

TEST_CASE("Redis: a node that answers a PING and no command is told of once, too") {
  fake_leader::Leader leader{[](const auto&...) { return std::optional<std::string>{}; }};
  std::vector<std::string> events;
  kvstore::RedisClusterOptions options = leader.options();
  options.timeout = 300ms;
  options.logger = [&](const kvstore::LogEvent& event) {
    if (event.event.starts_with("node")) events.emplace_back(event.event);
  };
  Store store{options};
  CHECK_THROWS_AS(store.read("a"), kvstore::UnavailableError);
  CHECK_THROWS_AS(store.read("a"), kvstore::UnavailableError);
  CHECK(leader.server().received({"GET"}) > 2);
  CHECK(events == std::vector<std::string>{"node failed"});
}

TEST_CASE("Redis: credentials may change while a store is open") {
  OwnRedis server{"--requirepass first", "--no-auth-warning -a first"};
  std::mutex mutex;
  std::optional<std::string> password = "first";
  Store store{{.seeds = {server.endpoint()},
               .credentials =
                   [&] {
                     const std::lock_guard lock{mutex};
                     if (!password) throw std::runtime_error{"the vault is closed"};
                     return kvstore::Credentials{{}, *password};
                   },
               .timeout = 2s}};
  store.create("a", 1);
  (void)server.ask("config set requirepass second");
  const auto cut_off = [&] {
    (void)support::answer_of("redis-cli --no-auth-warning -a second -p " + server.port() +
                             " client kill type normal");
  };
  cut_off();
  CHECK_THROWS_WITH(store.read("a"),
                    ContainsSubstring("refuses user and password") &&
                        ContainsSubstring("RedisClusterOptions::user, password or credentials"));
  {
    const std::lock_guard lock{mutex};
    password = "second";
  }
  CHECK(store.read("a") == 1);
  {
    const std::lock_guard lock{mutex};
    password.reset();
  }
  cut_off();
  CHECK_THROWS_WITH(store.read("a"), ContainsSubstring("the vault is closed"));
  CHECK_THROWS_AS(store.read("a"), kvstore::ServerError);
}

/// A master with a replica, and three Sentinels that watch them.
class Watched {
 public:
  Watched() {
    (void)replica_.ask("replicaof 127.0.0.1 " + master_.port());
    REQUIRE(support::eventually([this] {
      return replica_.ask("info replication").find("master_link_status:up") != std::string::npos;
    }));
    for (OwnRedis* sentinel : {&one_, &two_, &three_}) {
      (void)sentinel->ask("sentinel monitor mine 127.0.0.1 " + master_.port() + " 2");
      (void)sentinel->ask("sentinel set mine down-after-milliseconds 500");
      (void)sentinel->ask("sentinel set mine failover-timeout 2000");
    }
    REQUIRE(support::eventually([this] {
      const std::string known = one_.ask("sentinel master mine");
      return known.find("num-other-sentinels\n2") != std::string::npos &&
             known.find("num-slaves\n1") != std::string::npos;
    }));
  }

  [[nodiscard]] kvstore::RedisClusterOptions options() const {
    return {.seeds = {one_.endpoint(), two_.endpoint(), three_.endpoint()}, .sentinel_master = "mine"};
  }
  OwnRedis& master() { return master_; }
  OwnRedis& replica() { return replica_; }

 private:
  OwnRedis master_;
  OwnRedis replica_;
  OwnRedis one_{"--sentinel"};
  OwnRedis two_{"--sentinel"};
  OwnRedis three_{"--sentinel"};
};

TEST_CASE("Redis: Sentinels name the master, and its successor") {
  Watched servers;
  Store store{servers.options()};
  for (int i = 0; i < 100; ++i) store.create(std::to_string(i), i);
  CHECK(store.size() == 100);
  REQUIRE(support::eventually([&] { return servers.replica().ask("dbsize") == "100\n"; }));
  servers.master().kill();
  store.upsert("after", 1);
  CHECK(store.read("99") == 99);
  CHECK(store.size() == 101);

  auto wrong = servers.options();
  wrong.sentinel_master = "theirs";
  wrong.timeout = 300ms;
  CHECK_THROWS_WITH(Store{wrong}, ContainsSubstring("knows no master \"theirs\""));
  OwnRedis server;
  CHECK_THROWS_WITH(Store({.seeds = {server.endpoint()}, .sentinel_master = "mine"}),
                    ContainsSubstring("is this a Sentinel?"));
}

/// A Sentinel that answers as it is told.
support::FakeRedis sentinel_that(std::function<std::string()> answers) {
  return support::FakeRedis{
      [answers = std::move(answers)](const support::FakeRedis::Command& command, std::size_t) {
        return std::optional{command[0] == "SENTINEL" ? answers() : std::string{"+PONG\r\n"}};
      }};
}
std::string master_at(const std::string& port) {
  return "*2\r\n" + support::FakeRedis::bulk("127.0.0.1") + support::FakeRedis::bulk(port);
}

TEST_CASE("Redis: a Sentinel that fails is told of once, and again after it has answered") {
  std::atomic<bool> is_down = false;
  std::atomic<bool> drops = false;
  fake_leader::Leader master{
      [&](const support::FakeRedis::Command& command, std::size_t) -> std::optional<std::string> {
        if (command[0] == "ROLE") return "-NOPERM no\r\n";
        return drops ? std::nullopt : std::optional<std::string>{"$-1\r\n"};
      }};
  const support::FakeRedis sentinel{
      [&](const support::FakeRedis::Command& command, std::size_t) -> std::optional<std::string> {
        if (is_down) return std::nullopt;
        return command[0] == "SENTINEL" ? master_at(std::to_string(master.port())) : "+PONG\r\n";
      }};
  std::vector<std::string> events;
  Store store{{.seeds = {sentinel.address()},
               .sentinel_master = "mine",
               .timeout = 300ms,
               .logger = [&](const kvstore::LogEvent& event) {
                 for (const kvstore::LogField& field : event.fields) {
                   const auto* const node = std::get_if<std::string_view>(&field.value);
                   if (event.event.starts_with("node") && field.name == "node" && node != nullptr &&
                       *node == sentinel.address())
                     events.emplace_back(event.event);
                 }
               }}};
  for (const bool down : {true, false, true}) {
    is_down = down;
    drops = true;
    CHECK_THROWS_AS(store.read("a"), kvstore::UnavailableError);
    drops = false;
  }
  CHECK(events == std::vector<std::string>{"node failed", "node answers", "node failed"});
}

TEST_CASE(
    "Redis: what is wrong with one Sentinel, or with the master that it names, is not wrong with the "
    "others") {
  const OwnRedis server;
  const std::string dead = support::Listener{}.endpoint().substr(10);
  const std::string refusal = GENERATE("-NOPERM no\r\n", "-LOADING yet\r\n", "*-1\r\n");
  std::atomic<int> asked = 0;
  const support::FakeRedis refusing = sentinel_that([&] { return refusal; });
  const support::FakeRedis naming =
      sentinel_that([&] { return master_at(++asked < 4 ? dead : server.port()); });
  std::vector<std::string> failed;
  const Store store{{.seeds = {refusing.address(), naming.address()},
                     .sentinel_master = "mine",
                     .logger = [&](const kvstore::LogEvent& event) {
                       if (event.event == "node failed") failed.push_back(to_string(event));
                     }}};
  CHECK(asked == 4);
  CHECK(store.size() == 0);
  REQUIRE_FALSE(failed.empty());
  for (const std::string& line : failed) CHECK_THAT(line, ContainsSubstring(dead));
}

TEST_CASE("Redis: a store counts and reports what happens to it") {
  OwnRedis server;
  std::vector<std::string> events;
  Store store{{.seeds = {server.endpoint()}, .timeout = 300ms, .logger = [&](const kvstore::LogEvent& event) {
                 events.emplace_back(event.event);
               }}};
  CHECK(events == std::vector<std::string>{"map changed"});
  store.create("a", 1);
  CHECK(store.read("a") == 1);
  kvstore::RemoteMetrics metrics = store.metrics();
  CHECK(metrics.calls.count() == 3);
  CHECK(metrics.connections_opened == 1);
  CHECK(metrics.connections_idle == 1);
  CHECK(metrics.refreshes == 1);
  CHECK(metrics.retries + metrics.unavailable + metrics.unknown + metrics.refused == 0);

  CHECK(server.ask("set b text") == "OK\n");
  CHECK(server.ask("lpush l x") == "1\n");
  CHECK_THROWS_WITH(store.read("l"), ContainsSubstring("WRONGTYPE") && ContainsSubstring("(key \"l\")"));
  CHECK_THROWS_WITH(store.compare_exchange("l", 1, 2),
                    ContainsSubstring("WRONGTYPE") && ContainsSubstring("key \"l\""));
  server.kill();
  CHECK_THROWS_AS(store.read("a"), kvstore::UnavailableError);
  metrics = store.metrics();
  CHECK(metrics.refused == 2);
  CHECK(metrics.unavailable == 1);
  CHECK(metrics.retries > 0);
  CHECK(metrics.connections_failed > 0);
  CHECK(metrics.connections_idle == 0);
  CHECK(std::ranges::count(events, "call failed") == 3);
  CHECK(std::ranges::count(events, "node failed") == 1);  // not at each try

  const std::string page = kvstore::to_prometheus(metrics, {{"store", "mine"}});
  CHECK(page.find("kvstore_remote_failures_total{store=\"mine\",outcome=\"unavailable\"} 1\n") !=
        std::string::npos);
  CHECK(page.find("kvstore_remote_call_duration_seconds_count{store=\"mine\"} 6\n") != std::string::npos);
}

TEST_CASE("Redis: a batch that the user may not carry out wholly is not carried out at all") {
  OwnRedis server;
  CHECK(server.ask("acl setuser half on '>secret' '~*' '+@all' -del") == "OK\n");
  Store store{{.seeds = {server.endpoint()}, .user = "half", .password = "secret"}};
  store.create("{t}b", 1);
  kvstore::WriteBatch<std::string, int> batch;
  batch.upsert("{t}a", 1);
  batch.remove("{t}b");
  batch.upsert("{t}c", 1);
  CHECK_THROWS_WITH(store.apply(batch), ContainsSubstring("NOPERM"));
  CHECK(store.size() == 1);
}

}}  // namespace reach_test
