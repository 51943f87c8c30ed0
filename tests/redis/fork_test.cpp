// SPDX-License-Identifier: MIT

// Stores on servers in a forked child: the connections are the parent's, and nothing is sent there.

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "kvstore/redis_cluster_key_value_store.hpp"
#include "kvstore/storage/redis_cluster_storage.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/fake_redis.hpp"
#include "support/text_entries.hpp"

namespace redis_fork_test { namespace {

using namespace std::chrono_literals;
using support::FakeRedis;
using support::in_child;

/// Answers that make sense to a store, and to a storage that opens an empty place.
std::string answer(const FakeRedis::Command& command, const FakeRedis& server) {
  if (command[0] == "CLUSTER") return FakeRedis::all_slots("127.0.0.1", server.port());
  if (command[0] == "EVAL") return "*1\r\n$0\r\n\r\n";
  if (command[0] == "HMGET") return "*5\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n";
  if (command[0] == "HSCAN") return "*2\r\n$1\r\n0\r\n*0\r\n";
  if (command[0] == "HLEN") return ":0\r\n";
  return "$1\r\n5\r\n";
}

class Server {
 public:
  [[nodiscard]] kvstore::RedisClusterOptions options() const {
    return {.seeds = {server_.address()}, .timeout = 10s};
  }
  /// The connections that commands of this name came on, in order.
  [[nodiscard]] std::string connections(const std::string& name) const {
    std::string numbers;
    for (const auto& [connection, command] : server_.log()) {
      if (command[0] == name) numbers += std::to_string(connection) + " ";
    }
    return numbers;
  }

 private:
  FakeRedis server_{[this](const FakeRedis::Command& command, std::size_t) -> std::optional<std::string> {
    return answer(command, server_);
  }};
};

TEST_CASE("Redis: a forked child asks on connections of its own, and the parent goes on with its") {
  const Server server;
  const kvstore::RedisClusterKeyValueStore<std::string, int> store{server.options()};
  REQUIRE(store.read("a") == 5);
  const std::string first = server.connections("GET");
  CHECK(in_child([&] { return std::to_string(store.read("a")); }) == "5");
  const std::string second = server.connections("GET");
  CHECK(second.substr(first.size()) != first);
  REQUIRE(store.read("a") == 5);
  CHECK(server.connections("GET") == second + first);
}

TEST_CASE("Redis: a forked child's end does not give its parent's place up") {
  const Server server;
  auto storage = std::make_unique<kvstore::RedisClusterStorage>(server.options(), "place", 1h);
  support::load_from(*storage);
  const std::string before = server.connections("EVAL");
  CHECK(in_child([&] {
          storage.reset();
          return std::string{"ended"};
        }) == "ended");
  CHECK(server.connections("EVAL") == before);
  storage.reset();
  CHECK(server.connections("EVAL") != before);
}

}  // namespace
}  // namespace redis_fork_test
