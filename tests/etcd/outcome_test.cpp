// SPDX-License-Identifier: MIT

// What is said of a request whose server misbehaves: a scripted one, since real ones seldom do.

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/detail/base/sigpipe_guard.hpp"
#include "kvstore/detail/etcd/base64.hpp"
#include "kvstore/etcd_key_value_store.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/etcd.hpp"
#include "support/scripted_server.hpp"

namespace outcome_test {

using namespace std::chrono_literals;
using support::http;
using support::ScriptedRequest;
using support::ScriptedServer;

namespace {

using Store = kvstore::EtcdKeyValueStore<std::string, int>;
using Reply = std::optional<std::string>;

constexpr const char* kNoLeader = R"({"error":"etcdserver: no leader","code":14})";
constexpr const char* kTimedOut = R"({"error":"etcdserver: request timed out","code":14})";
constexpr const char* kDone = R"({"header":{"revision":"2"},"succeeded":true})";
constexpr const char* kNumber = R"({"header":{"revision":"2"},"kvs":[{"key":"aw==","value":"Nw=="}]})";

bool is_status(const ScriptedRequest& request) { return request.path == "/v3/maintenance/status"; }

/// Answers what the constructor asks, and then as `answer` does.
ScriptedServer::Answer after_status(ScriptedServer::Answer answer) {
  return [answer = std::move(answer)](const ScriptedRequest& request) {
    return is_status(request) ? Reply{http(200, "{}")} : answer(request);
  };
}

kvstore::EtcdOptions options(std::vector<std::string> endpoints) {
  kvstore::EtcdOptions result;
  result.endpoints = std::move(endpoints);
  result.timeout = 400ms;
  result.response_timeout = 100ms;
  return result;
}

}  // namespace

TEST_CASE("etcd outcome: a node that hangs leaves one write unknown, and the next goes to another node") {
  std::atomic<bool> hangs = false;
  std::atomic<int> met = 0;
  std::atomic<int> first = 0;  // the node that the first write goes to: on a busy machine it may be either
  const auto node = [&](int number) {
    return after_status([&, number](const ScriptedRequest&) -> Reply {
      int none = 0;
      if (!first.compare_exchange_strong(none, number) && none != number) return http(200, kDone);
      ++met;
      while (hangs) std::this_thread::sleep_for(5ms);
      return http(200, kDone);
    });
  };
  const ScriptedServer one{node(1)};
  const ScriptedServer two{node(2)};
  Store store{options({one.endpoint(), two.endpoint()})};
  REQUIRE(store.try_create("k", 1));
  hangs = true;
  CHECK_THROWS_AS(store.try_create("k", 1), kvstore::OutcomeUnknownError);
  for (int i = 0; i < 3; ++i) CHECK(store.try_create("k", 1));
  CHECK(met == 2);
  hangs = false;
}

TEST_CASE("etcd: pages of large entries have few, those of small ones up to as many as the options say") {
  const bool large = GENERATE(false, true);
  const std::size_t entries = large ? 60 : 300;
  std::string value;
  kvstore::detail::append_base64(value, '"' + std::string(large ? 300'000 : 1, 'x') + '"');
  std::vector<std::size_t> limits;
  std::size_t next = 0;
  const ScriptedServer server{after_status([&](const ScriptedRequest& request) -> Reply {
    limits.push_back(std::stoul(nlohmann::json::parse(request.body)["limit"].get<std::string>()));
    nlohmann::json page{{"header", {{"revision", "2"}}}, {"kvs", nlohmann::json::array()}};
    for (std::size_t i = 0; i < limits.back() && next < entries; ++i, ++next)
      page["kvs"].push_back({{"key", "aw=="}, {"value", value}});
    page["more"] = next < entries;
    return http(200, page.dump());
  })};
  kvstore::EtcdOptions patient = options({server.endpoint()});
  patient.timeout = 20s;
  patient.response_timeout = 10s;
  patient.page_size = 100;
  std::size_t seen = 0;
  kvstore::EtcdKeyValueStore<std::string, std::string>{patient}.for_each(
      [&](const std::string&, const std::string&) { ++seen; });
  CHECK(seen == entries);
  CHECK(limits == (large ? std::vector<std::size_t>{16, 13, 13, 13, 13}
                         : std::vector<std::size_t>{16, 32, 64, 100, 100}));
}

TEST_CASE("etcd outcome: a write whose answer is lost is unknown, and sent once") {
  const auto answer = GENERATE(0, 1, 2, 3);
  std::atomic<int> writes = 0;
  const ScriptedServer server{after_status([&](const ScriptedRequest&) -> Reply {
    ++writes;
    if (answer == 0) return std::nullopt;                 // the connection ends
    if (answer == 1) std::this_thread::sleep_for(200ms);  // too late
    if (answer == 2) return http(503, kTimedOut);
    return http(answer == 1 ? 200 : 500, answer == 1 ? kDone : "oops");
  })};
  Store store{options({server.endpoint()})};
  CHECK_THROWS_AS(store.try_create("k", 1), kvstore::OutcomeUnknownError);
  CHECK(writes == 1);
  CHECK_THROWS_AS(store.upsert("k", 1), kvstore::OutcomeUnknownError);
  CHECK_THROWS_AS(store.remove("k"), kvstore::OutcomeUnknownError);
  if (answer == 1)
    store.clear();  // waits longer
  else
    CHECK_THROWS_AS(store.clear(), kvstore::OutcomeUnknownError);
  CHECK(writes == 4);
}

TEST_CASE("etcd outcome: a read whose answer is lost is sent again, elsewhere") {
  const ScriptedServer bad{after_status([](const ScriptedRequest&) { return Reply{}; })};
  const ScriptedServer good{after_status([](const ScriptedRequest&) { return Reply{http(200, kNumber)}; })};
  const Store store{options({bad.endpoint(), good.endpoint()})};
  CHECK(store.read("k") == 7);
  CHECK(store.read("k") == 7);
  CHECK(bad.requests() == 2);  // the status, and one read
}

TEST_CASE("etcd outcome: a write that was certainly not carried out is sent again, elsewhere") {
  const ScriptedServer bad{after_status([](const ScriptedRequest&) { return Reply{http(503, kNoLeader)}; })};
  const ScriptedServer good{after_status([](const ScriptedRequest&) { return Reply{http(200, kDone)}; })};
  Store store{options({bad.endpoint(), good.endpoint()})};
  CHECK(store.try_create("k", 1));
  CHECK(bad.requests() == 2);
  CHECK(good.requests() == 1);
}

TEST_CASE("etcd outcome: with no leader until the deadline, the error names the nodes and the reason") {
  const ScriptedServer server{
      after_status([](const ScriptedRequest&) { return Reply{http(503, kNoLeader)}; })};
  Store store{options({server.endpoint()})};
  const auto began = std::chrono::steady_clock::now();
  CHECK_THROWS_WITH(store.create("k", 1),
                    "etcd at " + server.endpoint() +
                        ": no node could carry it out within 400 ms; the last one tried said: " +
                        server.endpoint() + ": etcdserver: no leader");
  const auto took = std::chrono::steady_clock::now() - began;
  CHECK(took >= 340ms);
  CHECK(took < 1s);
  CHECK(server.requests() > 3);
  CHECK(server.connections() == 1);
}

TEST_CASE("etcd outcome: where no node is reachable the store cannot be made") {
  auto wanted = options({"127.0.0.1:1", "127.0.0.1:2"});
  CHECK_THROWS_AS(Store{wanted}, kvstore::UnavailableError);
  wanted.endpoints.clear();
  CHECK_THROWS_AS(Store{wanted}, kvstore::UsageError);
  for (const char* endpoint : {"localhost", "localhost:0", "localhost:70000", "localhost:99999999999",
                               "http://localhost:2379", "local host:2379", ":2379", "localhost:"}) {
    CAPTURE(endpoint);
    wanted.endpoints = {endpoint};
    CHECK_THROWS_AS(Store{wanted}, kvstore::UsageError);
  }
  wanted.endpoints = {"127.0.0.1:1"};
  wanted.timeout = 0ms;
  CHECK_THROWS_AS(Store{wanted}, kvstore::UsageError);
}

TEST_CASE("etcd outcome: what is no etcd says so") {
  const ScriptedServer server{[](const ScriptedRequest&) { return http(404, "nothing here"); }};
  CHECK_THROWS_AS(Store{options({server.endpoint()})}, kvstore::ServerError);
  const ScriptedServer odd{after_status([](const ScriptedRequest&) {
    return http(200, R"({"kvs":[{"key":"aw==","value":"!"}],"count":"many"})");
  })};
  const Store store{options({odd.endpoint()})};
  CHECK_THROWS_AS(store.read("k"), kvstore::ServerError);
  CHECK_THROWS_AS(store.size(), kvstore::ServerError);
  Store writer{options({odd.endpoint()})};
  CHECK_THROWS_AS(writer.upsert("k", 1), kvstore::OutcomeUnknownError);
  CHECK_THROWS_AS(writer.try_create("k", 1), kvstore::OutcomeUnknownError);
  CHECK_THROWS_AS(writer.try_remove("k"), kvstore::OutcomeUnknownError);
  CHECK_THROWS_AS(writer.clear(), kvstore::OutcomeUnknownError);
}

TEST_CASE("etcd outcome: a thread keeps its connection, and a closed one is replaced before it is used") {
  std::atomic<bool> close = false;
  const ScriptedServer server{after_status([&](const ScriptedRequest&) {
    std::string reply = http(200, kDone);
    if (close) reply.insert(reply.find("\r\n") + 2, "Connection: close\r\n");
    return Reply{reply};
  })};
  Store store{options({server.endpoint()})};
  for (int i = 0; i < 50; ++i) store.update("k", i);
  CHECK(server.connections() == 1);
  close = true;
  for (int i = 0; i < 3; ++i) store.update("k", i);
  CHECK(server.connections() == 3);
}

TEST_CASE("etcd outcome: a token that is too old is renewed once") {
  std::atomic<int> logins = 0;
  std::atomic<bool> accept = true;
  const ScriptedServer server{[&](const ScriptedRequest& request) {
    if (request.path == "/v3/auth/authenticate") {
      return Reply{http(200, nlohmann::json{{"token", "t" + std::to_string(++logins)}}.dump())};
    }
    if (is_status(request)) return Reply{http(200, "{}")};
    const bool good = request.head.find("Authorization: t2\r\n") != std::string::npos && accept;
    return Reply{good ? http(200, kDone)
                      : http(401, R"({"error":"etcdserver: invalid auth token","code":16})")};
  }};
  auto wanted = options({server.endpoint()});
  wanted.user = "ann";
  wanted.password = "secret";
  Store store{wanted};
  CHECK(store.try_create("k", 1));
  CHECK(store.try_create("l", 1));
  CHECK(logins == 2);
  accept = false;
  CHECK_THROWS_AS(store.try_create("k", 1), kvstore::ServerError);
  CHECK(logins == 3);
}

TEST_CASE("etcd outcome: writing to a closed connection raises no signal") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  ::close(ends[1]);
  const std::string unharmed = support::in_child([&]() -> std::string {
    ::signal(SIGPIPE, SIG_DFL);
    {
      const kvstore::detail::SigpipeGuard guard;
      const kvstore::detail::SigpipeGuard nested;
      if (::write(ends[0], "x", 1) >= 0) return "the write succeeded";
    }
    ::sigset_t pending;
    ::sigpending(&pending);
    return ::sigismember(&pending, SIGPIPE) == 1 ? "still pending" : "unharmed";
  });
  CHECK(unharmed == "unharmed");
  ::close(ends[0]);
}

TEST_CASE("etcd outcome: a server that closes while a request is being sent does not end the process") {
  const std::string survived = support::in_child([]() -> std::string {
    ::signal(SIGPIPE, SIG_DFL);
    const support::SlammingServer server;
    kvstore::EtcdOptions wanted;
    wanted.endpoints = {server.endpoint()};
    wanted.timeout = 300ms;
    kvstore::detail::SocketAlarm alarm;
    kvstore::detail::RemoteObserver::Counter opened = 0;
    kvstore::detail::EtcdConnection connection{wanted, server.endpoint(), alarm, opened};
    for (int i = 0; i < 20; ++i) {
      const auto reply = connection.post("/", "", std::string(8'000'000, 'x'),
                                         {300ms, kvstore::detail::Deadline::in(300ms)});
      if (reply.status != 0 || !reply.sent) return "not as expected: " + reply.reason;
    }
    return "survived";
  });
  CHECK(survived == "survived");
}

}  // namespace outcome_test
