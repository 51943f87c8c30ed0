// SPDX-License-Identifier: MIT

// Stores on etcd in a forked child: the connections are the parent's, and stay open for it.

#include <unistd.h>

#include <chrono>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "kvstore/etcd_key_value_store.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/scripted_server.hpp"

namespace etcd_fork_test { namespace {

using namespace std::chrono_literals;
using support::in_child;
using support::ScriptedRequest;
using support::ScriptedServer;
using Store = kvstore::EtcdKeyValueStore<std::string, int>;

constexpr const char* kNumber = R"({"header":{"revision":"2"},"kvs":[{"key":"aw==","value":"Nw=="}]})";

kvstore::EtcdOptions options(const ScriptedServer& server) {
  kvstore::EtcdOptions result;
  result.endpoints = {server.endpoint()};
  return result;
}

TEST_CASE("etcd: a forked child asks on connections of its own, and the parent goes on with its") {
  const ScriptedServer server{
      [](const ScriptedRequest&) { return std::optional{support::http(200, kNumber)}; }};
  auto store = std::make_unique<Store>(options(server));
  REQUIRE(store->read("k") == 7);
  const std::size_t before = server.connections();
  CHECK(in_child([&] {
          const std::string number = std::to_string(store->read("k"));
          store.reset();
          return number;
        }) == "7");
  CHECK(server.connections() == before + 1);
  REQUIRE(store->read("k") == 7);
  CHECK(server.connections() == before + 1);
}

TEST_CASE("etcd: a forked child ends a watch without waiting for the thread that follows") {
  std::latch followed{1};
  std::latch over{1};
  const ScriptedServer server{[&](const ScriptedRequest& request) {
    if (request.path == "/v3/watch") {
      followed.count_down();
      over.wait();
    }
    return std::optional{support::http(200, kNumber)};
  }};
  const Store store{options(server)};
  std::optional<kvstore::EtcdWatch> watch{
      store.watch([](const std::string&, const std::optional<int>&, std::int64_t) {}, {}, 1)};
  followed.wait();
  CHECK(in_child([&] {
          ::alarm(60);
          watch.reset();
          return std::string{"ended"};
        }) == "ended");
  watch.reset();
  over.count_down();
}

}  // namespace
}  // namespace etcd_fork_test
