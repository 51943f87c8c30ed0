// SPDX-License-Identifier: MIT

// What a store on a real Redis Cluster promises while slots move, replicas stall, and leaders die.

#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/redis_cluster_key_value_store.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/redis_servers.hpp"

namespace failover_test {

using namespace std::chrono_literals;
using support::RedisServers;
using Clock = std::chrono::steady_clock;
using Counters = kvstore::RedisClusterKeyValueStore<std::string, int>;

namespace {

/// Writes its own keys one after another until it is told to stop, and remembers what came of each.
class Writer {
 public:
  Writer(Counters& store, std::string name)
      : store_{store}, name_{std::move(name)}, thread_{[this](const std::stop_token& stop) { work(stop); }} {}

  void stop() {
    thread_.request_stop();
    thread_.join();
  }

  [[nodiscard]] const std::map<std::string, int>& acknowledged() const { return acknowledged_; }
  [[nodiscard]] std::size_t unknown() const { return unknown_; }
  [[nodiscard]] std::size_t unconfirmed() const { return unconfirmed_; }
  [[nodiscard]] Clock::duration longest() const { return longest_; }
  [[nodiscard]] std::size_t done() const { return done_; }
  [[nodiscard]] std::string error() const { return error_; }

 private:
  void work(const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) {
      const std::string key = name_ + std::to_string(i);
      const auto start = Clock::now();
      try {
        store_.create(key, i);
        acknowledged_[key] = i;
        ++done_;
      } catch (const kvstore::OutcomeUnknownError&) { ++unknown_; } catch (const kvstore::ReplicationError&) {
        ++unconfirmed_;
      } catch (const std::exception& error) { error_ = error.what(); }
      longest_ = std::max(longest_, Clock::now() - start);
    }
  }

  Counters& store_;
  std::string name_;
  std::map<std::string, int> acknowledged_;
  std::size_t unknown_ = 0;
  std::size_t unconfirmed_ = 0;
  Clock::duration longest_{};
  std::atomic<std::size_t> done_ = 0;
  std::string error_;
  std::jthread thread_;
};

std::size_t missing(const Counters& store, const Writer& writer) {
  std::size_t count = 0;
  for (const auto& [key, value] : writer.acknowledged()) count += store.try_read(key) != value;
  return count;
}

}  // namespace

TEST_CASE("Redis Cluster: clients go on while slots move") {
  const RedisServers servers;
  Counters store{servers.options("reshard:")};
  store.clear();
  const std::vector<int> leaders = servers.leaders();
  const auto id = [&](int node) { return servers.cli(node, "cluster myid").substr(0, 40); };
  const auto move = [&](int from, int to) {
    servers.wait_until_whole();
    return servers.cli(from, "--cluster reshard 127.0.0.1:" + servers.port(from) + " --cluster-from " +
                                 id(from) + " --cluster-to " + id(to) +
                                 " --cluster-slots 1500 --cluster-yes --cluster-pipeline 5");
  };
  for (int i = 0; i < 3000; ++i) store.upsert("old" + std::to_string(i), i);
  Writer one{store, "one"};
  Writer two{store, "two"};
  std::jthread batches{[&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) {
      Counters::Batch batch;
      for (int k = 0; k < 50; ++k) batch.upsert("{tag" + std::to_string(k / 2) + "}" + std::to_string(k), i);
      store.apply(batch);
      (void)store.size();
    }
  }};
  for (const auto& text : {move(leaders[0], leaders[1]), move(leaders[1], leaders[0])}) {
    CAPTURE(text);
    REQUIRE(text.find("ERR") == std::string::npos);
  }
  std::this_thread::sleep_for(200ms);
  batches = {};
  one.stop();
  two.stop();
  CAPTURE(one.error(), two.error(), one.done(), two.done());
  REQUIRE(one.error().empty());
  REQUIRE(two.error().empty());
  REQUIRE(one.unknown() + two.unknown() == 0);
  REQUIRE(missing(store, one) + missing(store, two) == 0);
  REQUIRE(store.size() == 3000 + one.done() + two.done() + 50);
  store.clear();
  servers.restart_replicas();
}

TEST_CASE("Redis Cluster: a leader killed under load is replaced, and what its replica confirmed is there") {
  const RedisServers servers;
  kvstore::RedisClusterOptions options = servers.options("failover:");
  options.replicas = 1;
  options.replication_timeout = 200ms;  // what each write costs to a leader whose replica is down
  Counters store{options};
  store.clear();
  std::vector<std::unique_ptr<Writer>> writers;
  for (int i = 0; i < 4; ++i)
    writers.push_back(std::make_unique<Writer>(store, "w" + std::to_string(i) + "-"));
  std::this_thread::sleep_for(500ms);
  const int victim = servers.leader_of("failover:its");
  auto outage = servers.kill(victim);
  const auto killed = Clock::now();
  REQUIRE_FALSE(store.contains("its"));  // waits for the replica to take over
  std::vector<std::size_t> before;
  for (const auto& writer : writers) before.push_back(writer->done());
  for (std::size_t i = 0; i < writers.size(); ++i) {
    CAPTURE(i, writers[i]->error());
    REQUIRE(support::eventually([&] { return writers[i]->done() > before[i] + 10; }));  // service is back
  }
  std::size_t lost = 0;
  std::size_t unknown = 0;
  for (std::size_t i = 0; i < writers.size(); ++i) {
    CAPTURE(i);
    writers[i]->stop();
    REQUIRE(writers[i]->error().empty());
    REQUIRE(writers[i]->longest() < 20s);
    unknown += writers[i]->unknown();
    lost += missing(store, *writers[i]);
  }
  CAPTURE(unknown, Clock::now() - killed);
  REQUIRE(lost == 0);
  REQUIRE(unknown <= 3 * writers.size());  // only what was on its way when a connection broke
  outage.end();
  Counters{servers.options("failover:")}.clear();  // the replica that came back may not confirm in time
}

TEST_CASE("Redis Cluster: a replica that stalls is reported, and reads go on") {
  const RedisServers servers;
  kvstore::RedisClusterOptions options = servers.options("{stall}:");
  options.replicas = 1;
  options.replication_timeout = 200ms;
  Counters store{options};
  store.clear();
  store.upsert("a", 1);
  const int replica = servers.replica_of(servers.leader_of("{stall}:"));
  auto outage = servers.freeze(replica);
  try {
    store.update("a", 2);
    FAIL("no error");
  } catch (const kvstore::ReplicationError& error) {
    REQUIRE(error.wanted() == 1);
    REQUIRE(error.confirmed() == 0);
  }
  REQUIRE(store.read("a") == 2);  // carried out, as the error says
  REQUIRE_THROWS_AS(store.apply(Counters::Batch{}.update("a", 3).create("b", 3)), kvstore::ReplicationError);
  outage.end();
  store.update("a", 4);
  store.clear();
}

TEST_CASE("Redis Cluster: a leader that stalls leaves writes unknown and reads waiting for its successor") {
  const RedisServers servers;
  kvstore::RedisClusterOptions options = servers.options("{frozen}:");
  options.response_timeout = 500ms;
  options.replicas = 1;
  Counters store{options};
  store.clear();
  store.upsert("a", 1);
  const int leader = servers.leader_of("{frozen}:");
  auto outage = servers.freeze(leader);
  REQUIRE_THROWS_AS(store.update("a", 2), kvstore::OutcomeUnknownError);
  const int seen = store.read("a");
  REQUIRE((seen == 1 || seen == 2));
  outage.end();
  store.update("a", 3);
  REQUIRE(store.read("a") == 3);
  store.clear();
}

}  // namespace failover_test
