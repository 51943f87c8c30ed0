// SPDX-License-Identifier: MIT

// How stores reach etcd: members that are replaced, credentials that change, deadlines of single calls; and
// reading of many keys.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/call_deadline.hpp"
#include "kvstore/detail/etcd/client.hpp"
#include "kvstore/detail/etcd/engine.hpp"
#include "kvstore/detail/etcd/gateway.hpp"
#include "kvstore/detail/remote/engine.hpp"
#include "kvstore/etcd_key_value_store.hpp"
#include "kvstore/log.hpp"
#include "kvstore/remote_prometheus.hpp"
#include "support/catch.hpp"
#include "support/etcd.hpp"
#include "support/eventually.hpp"
#include "support/scripted_server.hpp"

namespace etcd_reach_test { namespace {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using support::http;
using support::ScriptedRequest;
using support::ScriptedServer;
using Reply = std::optional<std::string>;
using Store = kvstore::EtcdKeyValueStore<std::string, int>;
using Entries = std::vector<std::pair<std::string, int>>;

constexpr const char* kNumber = R"({"header":{"revision":"2"},"kvs":[{"key":"aw==","value":"Nw=="}]})";

kvstore::EtcdOptions options(const std::string& endpoint) {
  kvstore::EtcdOptions result;
  result.endpoints = {endpoint};
  result.timeout = 600ms;
  result.response_timeout = 200ms;
  return result;
}

TEST_CASE("etcd: many keys are read in their order, more than fit into a transaction") {
  const auto cluster = support::shared_cluster();
  Store store{cluster.options("many/")};
  store.clear();
  std::vector<std::string> keys;
  for (int i = 0; i < 300; ++i) {
    keys.push_back("key" + std::to_string(i));
    if (i % 3 == 0) store.create(keys.back(), i);
  }
  const std::vector<std::optional<int>> values = store.read_many(keys);
  REQUIRE(values.size() == 300);
  for (int i = 0; i < 300; ++i)
    CHECK(values[static_cast<std::size_t>(i)].value_or(-1) == (i % 3 == 0 ? i : -1));
  CHECK(store.read_many({"key3", "none", "key3"}) == std::vector<std::optional<int>>{3, std::nullopt, 3});
  CHECK(store.read_many(std::vector<std::string>{}).empty());
}

TEST_CASE("etcd: the first entries of a prefix, in the order of their keys") {
  const auto cluster = support::shared_cluster();
  Store store{cluster.options("listed/")};
  store.clear();
  for (int i = 10; i < 60; ++i) {
    store.create("a/" + std::to_string(i), i);
    store.create("b/" + std::to_string(i), i);
  }
  CHECK(store.read_prefix("b/", 3) == Entries{{"b/10", 10}, {"b/11", 11}, {"b/12", 12}});
  CHECK(store.read_prefix("b/", 1000).size() == 50);
  CHECK(store.read_prefix("b/", 33).size() == 33);  // two pages
  CHECK(store.read_prefix("", 1000).size() == 100);
  CHECK(store.read_prefix("", 0).empty());
  CHECK(store.read_prefix("c", 5).empty());
}

TEST_CASE("etcd: members that the cluster names take over when those of the options are gone") {
  const bool follows = GENERATE(false, true);
  std::atomic<bool> is_gone = false;
  std::atomic<int> reads = 0;
  const ScriptedServer other{[&](const ScriptedRequest&) {
    ++reads;
    return Reply{http(200, kNumber)};
  }};
  const std::string members =
      nlohmann::json{{"members",
                      {{{"clientURLs", {"https://127.0.0.1:1", "unix://odd", "http://no-port"}}},
                       {{"clientURLs", {"http://127.0.0.1:2"}}, {"isLearner", true}},
                       {{"clientURLs", {"http://" + other.endpoint()}}}}}}
          .dump();
  const ScriptedServer first{[&](const ScriptedRequest& request) -> Reply {
    if (is_gone) return std::nullopt;
    return http(200, request.path == "/v3/cluster/member/list" ? members : kNumber);
  }};
  kvstore::EtcdOptions wanted = options(first.endpoint());
  wanted.follow_members = follows;
  const Store store{wanted};
  CHECK(store.read("k") == 7);
  is_gone = true;
  if (follows) {
    CHECK(store.read("k") == 7);
    CHECK(reads == 1);
  } else {
    CHECK_THROWS_AS(store.read("k"), kvstore::UnavailableError);
  }
}

TEST_CASE("etcd: credentials may change while a store is open") {
  std::mutex mutex;
  std::string valid = "first";
  const ScriptedServer server{[&](const ScriptedRequest& request) -> Reply {
    const std::lock_guard lock{mutex};
    if (request.path == "/v3/auth/authenticate") {
      if (nlohmann::json::parse(request.body)["password"] != valid)
        return http(400,
                    R"({"error":"etcdserver: authentication failed, invalid user ID or password","code":3})");
      return http(200, nlohmann::json{{"token", valid}}.dump());
    }
    if (request.head.find("Authorization: " + valid + "\r\n") != std::string::npos) return http(200, kNumber);
    return http(401, R"({"error":"etcdserver: invalid auth token","code":16})");
  }};
  std::string mine = "first";
  kvstore::EtcdOptions wanted = options(server.endpoint());
  wanted.credentials = [&] {
    const std::lock_guard lock{mutex};
    return kvstore::Credentials{"ann", mine};
  };
  const Store store{wanted};
  CHECK(store.read("k") == 7);
  {
    const std::lock_guard lock{mutex};
    valid = "second";
  }
  CHECK_THROWS_WITH(store.read("k"), ContainsSubstring("authentication failed"));
  {
    const std::lock_guard lock{mutex};
    mine = "second";
  }
  CHECK(store.read("k") == 7);
}

TEST_CASE("etcd: an entry ends by itself, unless its holder extends it") {
  using kvstore::detail::EtcdEngine;
  STATIC_REQUIRE(kvstore::detail::LeasingEngine<EtcdEngine>);
  EtcdEngine engine{support::shared_cluster().options("locks/")};
  engine.clear();
  const auto ask = [&](const std::string& path, const std::string& body) {
    return engine.client()->call(path, body, kvstore::detail::EtcdRequest::read);
  };
  const auto lease_of = [&](const std::string& key) {
    const auto fields = kvstore::detail::range_fields({"locks/" + key, {}});
    return ask("/v3/kv/range", kvstore::detail::json_object(fields)).at("kvs").at(0).value("lease", "0");
  };
  const auto life_of = [&](const std::string& lease) {
    return std::stoll(ask("/v3/lease/timetolive", R"({"ID":")" + lease + "\"}").at("TTL").get<std::string>());
  };
  const auto leases = [&] {
    return ask("/v3/lease/leases", "{}").value("leases", nlohmann::json::array()).size();
  };
  const std::size_t before = leases();
  CHECK(engine.create_for("a", "1", 1h));
  CHECK_FALSE(engine.create_for("a", "2", 1h));
  CHECK_FALSE(engine.extend_if("a", "2", 1ms));
  CHECK_FALSE(engine.extend_if("none", "", 1ms));
  CHECK(leases() == before + 1);  // what was refused has left none
  const std::string lease = lease_of("a");
  CHECK(life_of(lease) > 3000);
  CHECK(engine.replace_if("a", "1", "3").replaced);
  CHECK(lease_of("a") == lease);
  CHECK(engine.extend_if("a", "3", 2h));
  CHECK(life_of(lease_of("a")) > 6000);
  CHECK(engine.extend_if("a", "3", std::chrono::milliseconds::max()));
  CHECK(life_of(lease_of("a")) > 3'000'000'000);
  CHECK(engine.extend_if("a", "3", -1ms));
  CHECK(support::eventually([&] { return engine.create("a", "4"); }));
  CHECK(lease_of("a") == "0");
  CHECK(engine.create_for("b", "1", 1h));
  CHECK(engine.update("b", "2"));
  CHECK(lease_of("b") == "0");
  const std::size_t now = leases();
  CHECK_THROWS_AS(engine.create_for("huge", std::string(3'000'000, 'x'), 1h), kvstore::ValueError);
  CHECK(leases() <= now);
  engine.clear();
}

TEST_CASE("etcd: many entries are set within the limits that the options say") {
  kvstore::EtcdOptions narrow = support::shared_cluster().options(std::string(500, 'p'));
  narrow.max_operations = 7;
  narrow.max_request_bytes = 5000;
  kvstore::EtcdKeyValueStore<std::string, std::string> store{narrow};
  store.clear();
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 60; ++i) many.emplace_back(std::to_string(i), std::string(i < 30 ? 5 : 2000, 'x'));
  store.upsert_many(many);
  CHECK(store.size() == 60);
  CHECK(store.remove_unless([](std::string_view) { return false; }) == 60);
}

TEST_CASE("etcd: a lease that ends before its entry is written, or is not taken back, does no harm") {
  std::atomic<bool> exists = false;
  const ScriptedServer server{[&](const ScriptedRequest& request) -> Reply {
    if (request.path == "/v3/lease/grant") return http(200, R"({"ID":"7","TTL":"1"})");
    if (request.path == "/v3/lease/revoke") return {};
    if (request.path != "/v3/kv/txn") return http(200, kNumber);
    if (exists) return http(200, R"({"header":{"revision":"2"},"responses":[]})");
    return http(404, R"({"error":"etcdserver: requested lease not found","code":5})");
  }};
  kvstore::EtcdOptions wanted = options(server.endpoint());
  wanted.timeout = 1h;
  std::vector<std::string> events;
  wanted.logger = [&](const kvstore::LogEvent& event) { events.emplace_back(event.event); };
  kvstore::detail::EtcdEngine engine{wanted};
  CHECK_THROWS_AS(engine.create_for("a", "1", 1s), kvstore::UnavailableError);
  events.clear();
  exists = true;
  CHECK_FALSE(engine.create_for("a", "1", 1s));  // in an hour, if the revoking were a call
  CHECK(std::ranges::count(events, "call failed") == 0);
}

TEST_CASE("etcd: a call's own deadline ends it before the store's, and what happens is counted") {
  std::atomic<bool> is_gone = false;
  const ScriptedServer server{
      [&](const ScriptedRequest&) { return is_gone ? Reply{} : Reply{http(200, kNumber)}; }};
  std::vector<std::string> events;
  kvstore::EtcdOptions wanted = options(server.endpoint());
  wanted.timeout = 1h;
  wanted.logger = [&](const kvstore::LogEvent& event) { events.emplace_back(event.event); };
  Store store{wanted};
  is_gone = true;
  {
    const kvstore::CallDeadline soon{100ms};
    CHECK_THROWS_AS(store.read("k"), kvstore::UnavailableError);
  }
  CHECK_THROWS_AS(store.upsert("k", 1), kvstore::OutcomeUnknownError);
  {
    const kvstore::CallDeadline past{-1ms};
    CHECK_THROWS_AS(store.upsert("k", 1), kvstore::UnavailableError);  // not even sent
  }
  const kvstore::RemoteMetrics metrics = store.metrics();
  CHECK(metrics.calls.count() == 4);
  CHECK(metrics.unavailable == 2);
  CHECK(metrics.unknown == 1);
  CHECK(metrics.retries > 0);
  CHECK(metrics.connections_failed > 1);
  CHECK(metrics.connections_opened == 1);  // no failed attempt counts as one
  const std::vector<std::string> expected{"node failed", "call failed", "call failed", "call failed"};
  CHECK(events == expected);  // not at each try
  CHECK(kvstore::to_prometheus(metrics).find("kvstore_remote_failures_total{outcome=\"unknown\"} 1\n") !=
        std::string::npos);
}

}}  // namespace etcd_reach_test
