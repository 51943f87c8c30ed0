// SPDX-License-Identifier: MIT

// What is promised when nodes die: no acknowledged write is lost, errors say the truth, and calls are
// linearizable all the while.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/etcd_key_value_store.hpp"
#include "support/catch.hpp"
#include "support/etcd.hpp"
#include "support/eventually.hpp"
#include "support/linearizability.hpp"
#include "support/map_calls.hpp"
#include "support/map_history.hpp"

namespace node_loss_test {

using namespace std::chrono_literals;
using support::MapOperation;
using support::MapState;
using support::MapVerb;

namespace {

using Store = kvstore::EtcdKeyValueStore<int, int>;

/// Options of a store that prefers endpoint `first`.
kvstore::EtcdOptions starting_at(kvstore::EtcdOptions options, std::size_t first) {
  std::rotate(options.endpoints.begin(),
              options.endpoints.begin() + static_cast<std::ptrdiff_t>(first % options.endpoints.size()),
              options.endpoints.end());
  return options;
}

/// What a call throws says; empty if it throws nothing.
template <class Call>
std::string why_not(const Call& call) {
  try {
    call();
  } catch (const kvstore::Error& error) { return error.what(); }
  return {};
}

enum class Fate { acknowledged, unchanged, unknown };

/// Creates keys from `first` on, until `enough` says so; notes what was said of each.
std::map<int, Fate> create_many(Store& store, int first, const std::atomic<bool>& enough) {
  std::map<int, Fate> fates;
  for (int key = first; !enough; ++key) {
    try {
      store.create(key, key);
      fates[key] = Fate::acknowledged;
    } catch (const kvstore::UnavailableError&) {
      fates[key] = Fate::unchanged;
    } catch (const kvstore::OutcomeUnknownError&) { fates[key] = Fate::unknown; }
  }
  return fates;
}

}  // namespace

TEST_CASE("etcd node loss: a store works though the first endpoint is down, and after it is back") {
  auto cluster = support::shared_cluster();
  const auto options = cluster.options("down/");
  cluster.kill(0);
  Store store{options};
  (void)store.size();  // answered once there is a leader, if that was the first node
  store.upsert(1, 1);
  REQUIRE(store.read(1) == 1);
  cluster.restart(0);
  cluster.kill(1);
  REQUIRE(support::eventually([&] { return store.try_read(1) == 1; }));
}

TEST_CASE("etcd node loss: without a majority no write is claimed, and reads are refused, not stale") {
  auto cluster = support::shared_cluster();
  auto options = cluster.options("minority/");
  Store writer{options};
  writer.upsert(1, 1);
  options.endpoints = {cluster.endpoints()[2]};
  options.timeout = 1s;
  options.response_timeout = 500ms;
  Store store{options};
  cluster.kill(0);
  cluster.kill(1);
  // Unknown, until the node notices that it is alone.
  REQUIRE(support::eventually([&] {
    return why_not([&] { store.upsert(1, 3); }).find("etcdserver: no leader") != std::string::npos;
  }));
  REQUIRE_THROWS_AS(store.upsert(1, 4), kvstore::UnavailableError);
  REQUIRE_THROWS_AS(store.read(1), kvstore::UnavailableError);
  cluster.restart(0);
  REQUIRE(support::eventually([&] { return store.try_read(1).has_value(); }));
  CHECK(store.read(1) != 4);
}

TEST_CASE("etcd node loss: a read sees what was just written through another node") {
  const auto cluster = support::shared_cluster();
  const auto options = cluster.options("fresh/");
  std::deque<Store> stores;
  for (std::size_t i = 0; i < 3; ++i) stores.emplace_back(starting_at(options, i));
  for (int n = 0; n < 300; ++n) {
    const auto i = static_cast<std::size_t>(n);
    stores[i % 3].upsert(1, n);
    REQUIRE(stores[(i + 1) % 3].read(1) == n);
    REQUIRE(stores[(i + 2) % 3].read(1) == n);
  }
}

TEST_CASE("etcd node loss: no acknowledged write is lost when the leader is killed under load") {
  auto cluster = support::shared_cluster();
  const auto options = cluster.options("acknowledged/");
  Store{options}.clear();
  constexpr int kThreads = 4;
  constexpr int kStride = 1'000'000;
  std::atomic<bool> enough = false;
  std::vector<std::map<int, Fate>> fates(kThreads);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      Store store{starting_at(options, static_cast<std::size_t>(thread))};
      fates[static_cast<std::size_t>(thread)] = create_many(store, thread * kStride, enough);
    });
  }
  Store store{options};
  REQUIRE(support::eventually([&] { return store.size() > 100; }));
  const std::size_t leader = cluster.leader();
  cluster.kill_now(leader);
  const std::size_t then = store.size();  // answered once there is a new leader
  REQUIRE(support::eventually([&] { return store.size() > then + 100; }));
  enough = true;
  for (std::thread& thread : threads) thread.join();
  cluster.restart(leader);

  std::map<int, int> found;
  store.for_each([&](int key, int value) { found[key] = value; });
  std::map<Fate, int> counts;
  for (const auto& each : fates) {
    for (const auto& [key, fate] : each) {
      ++counts[fate];
      INFO("key " << key);
      if (fate == Fate::acknowledged) REQUIRE((found.contains(key) && found[key] == key));
      if (fate == Fate::unchanged) REQUIRE_FALSE(found.contains(key));
    }
  }
  CHECK(counts[Fate::acknowledged] > 200);
  CHECK(counts[Fate::unknown] < kThreads * 4);
}

TEST_CASE("etcd node loss: calls are linearizable while the leader is killed") {
  auto cluster = support::shared_cluster();
  auto options = cluster.options("history/");
  options.response_timeout = 700ms;  // so that some outcomes are unknown, and overlap others
  Store{options}.clear();
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::deque<Store> stores;
  std::deque<support::MapCaller<Store>> callers;
  for (unsigned i = 0; i < 4; ++i)
    callers.emplace_back(stores.emplace_back(starting_at(options, i)), seed + i);
  const std::size_t leader = cluster.leader();
  std::size_t overlaps = 0;
  for (int round = 0; round < 14; ++round) {
    const support::MaybeHistory history = support::burst(callers, round, [&] {
      if (round == 4) cluster.kill_now(leader);
    });
    overlaps += support::overlaps(history);
    if (!support::is_linearizable(history, MapState{}))
      FAIL("no order explains:\n" << support::to_text(history));
  }
  CHECK(overlaps > 200);
}

TEST_CASE("etcd node loss: the check knows calls of unknown outcome, and still finds what cannot be") {
  const auto call = [](std::uint64_t began, std::uint64_t returned, MapVerb verb, int value, bool succeeded,
                       bool unknown = false) {
    MapOperation operation;
    operation.verb = verb;
    operation.first = {verb, 0, value};
    operation.succeeded = succeeded;
    if (verb == MapVerb::read && succeeded) operation.seen = value;
    return support::Recorded<support::MaybeOperation>{began, returned, {operation, unknown}};
  };
  const auto lost = call(0, UINT64_MAX, MapVerb::upsert, 7, false, true);
  const auto late = call(5, 6, MapVerb::read, 7, true);
  const auto never = call(5, 6, MapVerb::read, 0, false);
  const auto early = call(1, 2, MapVerb::read, 0, false);
  CHECK(support::is_linearizable(support::MaybeHistory{lost, early, late}, MapState{}));
  CHECK(support::is_linearizable(support::MaybeHistory{lost, early, never}, MapState{}));
  const auto back = call(7, 8, MapVerb::read, 0, false);
  CHECK_FALSE(support::is_linearizable(support::MaybeHistory{lost, early, late, back}, MapState{}));
}

}  // namespace node_loss_test
