// SPDX-License-Identifier: MIT
#pragma once

// Servers that lead slots of a cluster, and answer as a test tells them.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "kvstore/redis_cluster_key_value_store.hpp"
#include "support/fake_redis.hpp"

namespace fake_leader {

using namespace std::chrono_literals;
using support::FakeRedis;
using Command = FakeRedis::Command;

/// A server that leads every slot, and answers all but CLUSTER SLOTS and PING as it is told.
class Leader {
 public:
  explicit Leader(FakeRedis::Answer answer)
      : server_{[this, answer](const Command& command, std::size_t connection) -> std::optional<std::string> {
          while (hangs_) std::this_thread::sleep_for(5ms);
          if (command[0] == "PING") return "+PONG\r\n";
          if (command[0] != "CLUSTER") return answer(command, connection);
          const std::lock_guard lock{mutex_};
          return slots_.value_or(FakeRedis::all_slots("127.0.0.1", server_.port()));
        }} {}

  [[nodiscard]] FakeRedis& server() { return server_; }
  [[nodiscard]] int port() const { return server_.port(); }
  [[nodiscard]] kvstore::RedisClusterOptions options() const {
    return {.seeds = {server_.address()}, .timeout = 2s, .response_timeout = 1s};
  }
  void set_slots(std::string reply) {
    const std::lock_guard lock{mutex_};
    slots_ = std::move(reply);
  }
  /// From now on no command is answered, although connections are accepted.
  void hang(bool on = true) { hangs_ = on; }
  [[nodiscard]] std::size_t asked_for_slots() const { return server_.received({"CLUSTER", "SLOTS"}); }

 private:
  std::mutex mutex_;
  std::optional<std::string> slots_;
  std::atomic<bool> hangs_ = false;
  FakeRedis server_;
};

inline std::string moved(const Leader& to, const char* word = "MOVED") {
  return std::string{"-"} + word + " 1 127.0.0.1:" + std::to_string(to.port()) + "\r\n";
}

/// The first half of the slots is with `one`, the second with `two`.
inline void share_slots(Leader& one, Leader& two) {
  const auto range = [](int first, int last, int port) {
    return "*3\r\n:" + std::to_string(first) + "\r\n:" + std::to_string(last) + "\r\n*2\r\n" +
           FakeRedis::bulk("127.0.0.1") + ":" + std::to_string(port) + "\r\n";
  };
  const std::string slots = "*2\r\n" + range(0, 8191, one.port()) + range(8192, 16383, two.port());
  one.set_slots(slots);
  two.set_slots(slots);
}

inline FakeRedis::Answer always(std::string answer) {
  return [answer](const Command&, std::size_t) { return answer; };
}

}  // namespace fake_leader
