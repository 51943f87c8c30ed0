// SPDX-License-Identifier: MIT

// Watching: every change once and in order, whatever happens to the node that is asked.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/etcd_key_value_store.hpp"
#include "support/catch.hpp"
#include "support/etcd.hpp"
#include "support/eventually.hpp"
#include "support/scripted_server.hpp"

namespace watch_test {

using namespace std::chrono_literals;

namespace {

using Store = kvstore::EtcdKeyValueStore<std::string, int>;

struct Event {
  std::string key;
  std::optional<int> value;
  std::int64_t revision;
};

/// What a watch was told, for another thread to look at.
class Told {
 public:
  [[nodiscard]] auto see() {
    return [this](const std::string& key, const std::optional<int>& value, std::int64_t revision) {
      const std::scoped_lock lock{mutex_};
      events_.push_back({key, value, revision});
    };
  }
  [[nodiscard]] auto on_error() {
    return [this](const std::exception& error) {
      const std::scoped_lock lock{mutex_};
      errors_.emplace_back(error.what());
    };
  }
  [[nodiscard]] std::vector<Event> events() const {
    const std::scoped_lock lock{mutex_};
    return events_;
  }
  [[nodiscard]] std::vector<std::string> errors() const {
    const std::scoped_lock lock{mutex_};
    return errors_;
  }
  [[nodiscard]] bool comes_to(std::size_t count) const {
    return support::eventually([&] { return events().size() >= count; });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  std::vector<std::string> errors_;
};

/// Whether the values are 0, 1, 2 ... and revisions grow.
bool is_complete(const std::vector<Event>& events) {
  std::int64_t revision = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].value != static_cast<int>(i) || events[i].revision <= revision) return false;
    revision = events[i].revision;
  }
  return true;
}

}  // namespace

TEST_CASE("etcd watch: tells of everything after it began, in order, removals too") {
  Store store{support::shared_cluster().options("watch/")};
  store.clear();
  store.upsert("before", 1);
  Told told;
  const auto watch = store.watch(told.see(), told.on_error());
  store.create("a", 1);
  store.update("a", 2);
  Store{support::shared_cluster().options("watch-not/")}.upsert("x", 1);
  store.remove("a");
  store.apply(kvstore::WriteBatch<std::string, int>{}.create("b", 3).create("c", 4));
  REQUIRE(told.comes_to(5));
  const std::vector<Event> events = told.events();
  REQUIRE(events.size() == 5);
  CHECK(events[0].key == "a");
  CHECK(events[0].value == 1);
  CHECK(events[1].value == 2);
  CHECK_FALSE(events[2].value);
  CHECK(events[2].key == "a");
  CHECK(events[3].revision == events[4].revision);
  CHECK(events[4].revision == store.revision());
  CHECK(told.errors().empty());
}

TEST_CASE("etcd watch: goes on where another one has ended") {
  Store store{support::shared_cluster().options("watch/")};
  store.clear();
  std::atomic<std::int64_t> seen = 0;
  std::mutex mutex;
  std::map<std::string, int> copy;
  const auto follow = [&] {
    return store.watch(
        [&](const std::string& key, const std::optional<int>& value, std::int64_t revision) {
          const std::scoped_lock lock{mutex};
          value ? void(copy[key] = *value) : void(copy.erase(key));  // no value: the key was removed
          seen = revision;
        },
        [](const std::exception& error) { std::cerr << "no longer followed: " << error.what() << '\n'; },
        seen == 0 ? 0 : seen + 1);
  };
  std::int64_t last = 0;
  {
    const auto first = follow();
    store.create("a", 1);
    store.create("b", 2);
    last = store.revision();
    REQUIRE(support::eventually([&] { return seen >= last; }));
  }
  store.remove("a");
  store.update("b", 3);
  const auto second = follow();
  REQUIRE(support::eventually([&] { return seen >= last + 2; }));
  const std::scoped_lock lock{mutex};
  CHECK(copy == std::map<std::string, int>{{"b", 3}});
}

TEST_CASE("etcd watch: ends at once although nothing happens") {
  const Store store{support::shared_cluster().options("silence/")};
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) (void)store.watch([](const std::string&, const std::optional<int>&, auto) {});
  std::optional watch{store.watch([](const std::string&, const std::optional<int>&, auto) {})};
  std::this_thread::sleep_for(100ms);  // so that it is waiting for etcd
  watch.reset();
  CHECK(std::chrono::steady_clock::now() - began < 2s);
}

TEST_CASE("etcd watch: goes on at another node when its own is killed, and misses and repeats nothing") {
  auto cluster = support::shared_cluster();
  auto watched = cluster.options("resume/");
  auto others = watched;
  others.endpoints.erase(others.endpoints.begin());  // a watch begins at the first endpoint
  others.response_timeout = 4s;
  Store writer{others};
  writer.clear();
  Told told;
  const Store store{watched};
  const auto watch = store.watch(told.see(), told.on_error());
  int n = 0;
  for (; n < 50; ++n) writer.upsert("n", n);
  REQUIRE(told.comes_to(50));
  cluster.kill_now(0);
  for (const auto until = std::chrono::steady_clock::now() + 300ms;
       std::chrono::steady_clock::now() < until;) {
    try {
      writer.upsert("n", n);
      ++n;
    } catch (const kvstore::OutcomeUnknownError&) {
      // Its leader was killed: find out.
      if (writer.read("n") == n) ++n;
    }
  }
  REQUIRE(told.comes_to(static_cast<std::size_t>(n)));
  cluster.restart(0);
  for (const int end = n + 20; n < end; ++n) writer.upsert("n", n);
  REQUIRE(told.comes_to(static_cast<std::size_t>(n)));
  CHECK(told.events().size() == static_cast<std::size_t>(n));
  CHECK(is_complete(told.events()));
  CHECK(told.errors().empty());
}

TEST_CASE("etcd watch: a connection that ends between two pieces of a revision repeats none of it") {
  // The first connection tells of revision 5 and of a piece of revision 6, and ends.
  std::vector<std::string> asked;
  std::mutex mutex;
  const auto event = [](const char* key, int revision) {
    return R"({"kv":{"key":")" + std::string{key} + R"(","mod_revision":")" + std::to_string(revision) +
           R"(","value":"MQ=="}})";
  };
  const auto line = [](const std::string& result) { return R"({"result":{)" + result + "}}\n"; };
  const support::ScriptedServer server{[&](const support::ScriptedRequest& request) {
    if (request.path != "/v3/watch") {
      return std::optional{support::http(200, R"({"header":{"revision":"4"}})")};
    }
    const std::scoped_lock lock{mutex};
    asked.push_back(nlohmann::json::parse(request.body)["create_request"]["start_revision"]);
    std::string text = line(R"("created":true)");
    if (asked.size() == 1) {
      text += line(R"("events":[)" + event("YQ==", 5) + "]");
      text += line(R"("fragment":true,"events":[)" + event("Yg==", 6) + "]");
    } else if (asked.size() == 2) {
      text += line(R"("fragment":true,"events":[)" + event("Yg==", 6) + "]");
      text += line(R"("events":[)" + event("Yw==", 6) + "]");
      text += line(R"("header":{"revision":"9"})");  // progress
    }
    return std::optional{support::http(200, text)};
  }};
  kvstore::EtcdOptions options;
  options.endpoints = {server.endpoint()};
  const Store store{options};
  Told told;
  const auto watch = store.watch(told.see(), told.on_error());
  REQUIRE(support::eventually([&] {
    const std::scoped_lock lock{mutex};
    return asked.size() >= 3;
  }));
  const std::scoped_lock lock{mutex};
  CHECK(asked[0] == "5");
  CHECK(asked[1] == "6");
  CHECK(asked[2] == "10");
  std::string keys;
  for (const Event& seen : told.events()) keys += seen.key;
  CHECK(keys == "abc");
}

TEST_CASE("etcd watch: from a revision on, also where the changes since are many and large") {
  kvstore::EtcdKeyValueStore<std::string, std::string> store{support::shared_cluster().options("old/")};
  store.clear();
  const std::int64_t first = store.revision() + 1;
  for (int i = 0; i < 6; ++i) store.upsert("k", std::string(1'000'000, static_cast<char>('a' + i)));
  std::mutex mutex;
  std::string seen;
  std::size_t bytes = 0;
  const auto watch = store.watch(
      [&](const std::string&, const std::optional<std::string>& value, std::int64_t) {
        const std::scoped_lock lock{mutex};
        seen += value->front();
        bytes += value->size();
      },
      {}, first);
  CHECK(support::eventually([&] {
    const std::scoped_lock lock{mutex};
    return seen == "abcdef" && bytes == 6'000'000;
  }));
  CHECK_THROWS_AS(store.watch([](const std::string&, const std::optional<std::string>&, auto) {}, {}, -1),
                  kvstore::UsageError);
}

TEST_CASE("etcd watch: a revision that was compacted away is an error that says so, not a gap") {
  const support::OwnEtcd own;
  Store store{own->options("w/")};
  for (int n = 0; n < 5; ++n) store.upsert("n", n);
  kvstore::detail::EtcdClient client{own->options("")};
  const std::string wanted = R"({"revision":")" + std::to_string(store.revision()) + R"("})";
  client.call("/v3/kv/compaction", wanted, kvstore::detail::EtcdRequest::read);
  Told told;
  const auto watch = store.watch(told.see(), told.on_error(), 2);
  REQUIRE(support::eventually([&] { return !told.errors().empty(); }));
  CHECK_THAT(told.errors().front(), Catch::Matchers::ContainsSubstring("cannot watch from revision 2 on"));
  CHECK(told.events().empty());
}

TEST_CASE("etcd watch: what is no value, and a callback that throws, end it with the reason") {
  kvstore::EtcdKeyValueStore<std::string, std::string> texts{support::shared_cluster().options("odd/")};
  const Store store{support::shared_cluster().options("odd/")};
  Told told;
  const auto watch = store.watch(told.see(), told.on_error());
  Told thrown;
  const auto other = texts.watch(
      [](const std::string&, const std::optional<std::string>&, auto) { throw std::runtime_error{"enough"}; },
      thrown.on_error());
  texts.upsert("k", "text");
  REQUIRE(support::eventually([&] { return !told.errors().empty() && !thrown.errors().empty(); }));
  CHECK_THAT(told.errors().front(), Catch::Matchers::ContainsSubstring("the value of key \"k\""));
  CHECK(thrown.errors().front() == "enough");
}

}  // namespace watch_test
