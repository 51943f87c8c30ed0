// SPDX-License-Identifier: MIT

// Deadlines of stores on etcd, and of watches, against servers that trickle or hang.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/etcd_key_value_store.hpp"
#include "kvstore/log.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/scripted_server.hpp"

namespace etcd_deadline_test { namespace {

using namespace std::chrono_literals;
using support::http;
using support::ScriptedRequest;
using support::ScriptedServer;
using Store = kvstore::EtcdKeyValueStore<std::string, int>;
using Reply = std::optional<std::string>;
using Clock = std::chrono::steady_clock;

constexpr const char* kNumber = R"({"header":{"revision":"2"},"kvs":[{"key":"aw==","value":"Nw=="}]})";

/// Where a store asks one server first and then another, both of one machine.
kvstore::EtcdOptions options(std::vector<std::string> endpoints) {
  kvstore::EtcdOptions result;
  result.endpoints = std::move(endpoints);
  result.timeout = 600ms;
  result.response_timeout = 200ms;
  return result;
}

/// An answer that takes half a minute at 3 ms a byte: in its head, in its body, or in chunks without an end.
std::string endless_answer(int kind) {
  if (kind == 0) return "HTTP/1.1 200 X\r\nX-Slow: " + std::string(8000, 'x') + "\r\n";
  if (kind == 1) return http(200, std::string(8000, ' ') + kNumber);
  std::string chunks =
      "HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 2000; ++i) chunks += "1\r\n \r\n";
  return chunks;
}

TEST_CASE("etcd deadline: a server that trickles holds no call") {
  const int kind = GENERATE(0, 1, 2);
  std::atomic<bool> slow = false;
  const ScriptedServer good{[](const ScriptedRequest&) { return Reply{http(200, kNumber)}; }};
  // The first answer, to the question of the constructor, is short.
  const ScriptedServer bad{[&](const ScriptedRequest&) -> Reply {
                             return slow ? endless_answer(kind)
                                         : "HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}";
                           },
                           3ms};
  const auto patient = [](std::vector<std::string> endpoints) {
    auto result = options(std::move(endpoints));
    result.timeout = 1200ms;
    result.response_timeout = 500ms;
    return result;
  };
  Store alone{patient({bad.endpoint()})};
  Store other{patient({bad.endpoint(), good.endpoint()})};
  slow = true;
  const auto took = [](const auto& call) {
    const auto began = Clock::now();
    call();
    return Clock::now() - began;
  };
  CHECK(took([&] { CHECK_THROWS_AS(alone.upsert("k", 1), kvstore::OutcomeUnknownError); }) < 10s);
  CHECK(took([&] { CHECK_THROWS_AS(alone.read("k"), kvstore::UnavailableError); }) < 10s);
  CHECK(took([&] { CHECK(other.read("k") == 7); }) < 10s);
  CHECK_THROWS_AS(alone.clear(), kvstore::OutcomeUnknownError);
}

TEST_CASE("etcd deadline: a name is looked up, and each of its addresses is tried") {
  const ScriptedServer server{[](const ScriptedRequest&) { return Reply{http(200, kNumber)}; }};
  const std::string port = server.endpoint().substr(server.endpoint().rfind(':'));
  const Store store{options({"localhost" + port})};
  CHECK(store.read("k") == 7);
  CHECK_THROWS_AS(Store{options({"no.such.host.invalid" + port})}, kvstore::UnavailableError);
}

constexpr const char* kCreated = R"({"result":{"header":{"revision":"2"},"created":true}})";
constexpr const char* kEvent =
    R"({"result":{"header":{"revision":"3"},"events":[{"kv":{"key":"aw==","value":"OA==","mod_revision":"3"}}]}})";

/// A stream that stays open: its chunks are not the last.
std::string stream_of(const std::string& message) {
  std::ostringstream text;
  text << "HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
       << std::hex << message.size() + 1 << "\r\n"
       << message << "\n\r\n";
  return text.str();
}

/// A server that can hang: before it says anything to a watch, or after it has accepted one.
class HangingServer {
 public:
  explicit HangingServer(bool accepts)
      : server_{[this, accepts](const ScriptedRequest& request) -> Reply {
          if (request.path == "/v3/watch") {
            ++watches_;
            if (accepts) return stream_of(kCreated);
          }
          if (hangs_ && request.path == "/v3/kv/range") ++questions_;
          while (hangs_) std::this_thread::sleep_for(5ms);
          ++answers_;
          return http(200, kNumber);
        }} {}
  ~HangingServer() { hangs_ = false; }
  HangingServer(const HangingServer&) = delete;
  HangingServer& operator=(const HangingServer&) = delete;

  [[nodiscard]] std::string endpoint() const { return server_.endpoint(); }
  [[nodiscard]] int watches() const noexcept { return watches_; }
  [[nodiscard]] int questions() const noexcept { return questions_; }
  [[nodiscard]] int answers() const noexcept { return answers_; }
  void hang() noexcept { hangs_ = true; }

 private:
  std::atomic<bool> hangs_ = false;
  std::atomic<int> watches_ = 0;
  std::atomic<int> questions_ = 0;
  std::atomic<int> answers_ = 0;
  ScriptedServer server_;
};

TEST_CASE("etcd watch: a node that hangs is left for another, before or after it has accepted the watch") {
  const bool accepts = GENERATE(false, true);
  HangingServer bad{accepts};
  const ScriptedServer good{[](const ScriptedRequest& request) -> Reply {
    return request.path == "/v3/watch" ? stream_of(kCreated + std::string{"\n"} + kEvent)
                                       : http(200, kNumber);
  }};
  auto told = options({bad.endpoint(), good.endpoint()});
  std::atomic<int> failures = 0;
  told.logger = [&](const kvstore::LogEvent& event) { failures += event.event == "node failed" ? 1 : 0; };
  const Store store{told};
  bad.hang();
  std::atomic<int> seen = 0;
  const auto watch = store.watch(
      [&](const std::string&, const std::optional<int>& value, std::int64_t) { seen = value.value_or(-1); },
      {}, 2);
  CHECK(support::eventually([&] { return seen == 8; }));
  CHECK(bad.watches() == 1);
  CHECK(failures == 1);
}

TEST_CASE("etcd watch: one that nothing happens to stays where it is while the node answers") {
  HangingServer quiet{true};
  const Store store{options({quiet.endpoint(), quiet.endpoint()})};
  const auto watch = store.watch([](const auto&...) {}, {}, 2);
  REQUIRE(support::eventually([&] { return quiet.watches() == 1; }));
  const int before = quiet.answers();
  CHECK(support::eventually([&] { return quiet.answers() >= before + 5; }));
  CHECK(quiet.watches() == 1);
}

TEST_CASE("etcd watch: one whose log-in hangs ends soon") {
  std::atomic<int> log_ins = 0;
  std::atomic<bool> ends = false;
  const ScriptedServer server{[&](const ScriptedRequest& request) -> Reply {
    if (request.path == "/v3/watch")
      return http(401, R"({"error":"etcdserver: invalid auth token","code":16})");
    if (request.path != "/v3/auth/authenticate") return http(200, kNumber);
    if (++log_ins > 1) {
      while (!ends) std::this_thread::sleep_for(5ms);
    }
    return http(200, R"({"token":"t"})");
  }};
  auto patient = options({server.endpoint()});
  patient.user = "u";
  patient.password = "p";
  patient.timeout = 1h;
  patient.response_timeout = 1h;
  const Store store{patient};
  std::optional<kvstore::EtcdWatch> watch{store.watch([](const auto&...) {}, {}, 2)};
  REQUIRE(support::eventually([&] { return log_ins == 2; }));
  watch.reset();  // for an hour, if it waits for an answer
  ends = true;
}

TEST_CASE("etcd watch: one whose node hangs ends at once") {
  const bool accepts = GENERATE(false, true);
  HangingServer bad{accepts};
  auto patient = options({bad.endpoint()});
  patient.timeout = 60s;
  patient.response_timeout = 60s;
  const Store store{patient};
  std::optional<kvstore::EtcdWatch> watch{store.watch([](const auto&...) {}, {}, 2)};
  bad.hang();
  REQUIRE(support::eventually([&] { return bad.watches() == 1; }));
  if (accepts) REQUIRE(support::eventually([&] { return bad.questions() == 1; }));
  const auto began = Clock::now();
  watch.reset();
  CHECK(Clock::now() - began < 10s);
}

}}  // namespace etcd_deadline_test
