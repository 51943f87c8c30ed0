// SPDX-License-Identifier: MIT
#pragma once

// Walks the keys of a Redis Cluster under a prefix.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kvstore/detail/function_ref.hpp"
#include "kvstore/detail/redis_cluster.hpp"
#include "kvstore/detail/redis_reply.hpp"
#include "kvstore/error.hpp"

namespace kvstore::inline v0::detail {

/// A pattern of SCAN that matches what starts with `prefix`.
[[nodiscard]] inline std::string pattern_of_prefix(std::string_view prefix) {
  std::string pattern;
  for (const char byte : prefix) {
    if (std::string_view{"*?[]\\^-"}.find(byte) != std::string_view::npos) pattern += '\\';
    pattern += byte;
  }
  return pattern + '*';
}

/// Scans every leader. SCAN may return a key twice, and so may two leaders while slots move, so that the keys
/// seen are remembered. Keys that are there from beginning to end are seen; if slots have moved meanwhile,
/// all leaders are scanned once more.
class RedisScan {
 public:
  RedisScan(RedisCluster& cluster, std::string_view prefix)
      : cluster_{cluster}, pattern_{pattern_of_prefix(prefix)} {}

  /// Hands over the keys in lists, each key once, until `see` returns false.
  /// @throws ServerError; UnavailableError
  void run(FunctionRef<bool(const std::vector<std::string>&)> see) {
    auto map = cluster_.refresh();
    while (true) {
      for (const RedisAddress& leader : map->leaders()) {
        if (!scan(leader, see)) return;
      }
      auto now = cluster_.refresh();
      if (*now == *map) return;
      map = std::move(now);
    }
  }

 private:
  static constexpr std::string_view kPerCall =
      "1000";  // keys looked at: about half a millisecond of the server

  /// False if `see` wants no more. A leader that is gone ends it: the map has changed, or is about to.
  [[nodiscard]] bool scan(const RedisAddress& leader,
                          FunctionRef<bool(const std::vector<std::string>&)> see) {
    const auto until = RedisClock::now() + cluster_.options().timeout;
    std::string cursor = "0";
    do {
      const RedisReply reply = ask(leader, cursor, until);
      if (!reply) return true;
      if (!is_array(*reply, 2) || !is_array(*reply->element[1])) {
        throw ServerError{leader.text() + ": SCAN: " + std::string{text_of(*reply)}};
      }
      cursor = text_of(*reply->element[0]);
      const std::vector<std::string> keys = new_keys(*reply->element[1]);
      if (!keys.empty() && !see(keys)) return false;
    } while (cursor != "0");
    return true;
  }

  /// No reply if the node is no leader any more. @throws UnavailableError
  [[nodiscard]] RedisReply ask(const RedisAddress& leader, std::string_view cursor,
                               RedisClock::time_point until) {
    while (true) {
      std::string why;
      try {
        RedisReply reply =
            cluster_.ask(leader, {"SCAN", cursor, "MATCH", pattern_, "COUNT", kPerCall, "TYPE", "string"});
        if (!is_error(*reply) ||
            RedisRefusal::of(text_of(*reply), leader).kind == RedisRefusal::Kind::final) {
          return reply;
        }
        why = leader.text() + ": " + std::string{text_of(*reply)};
      } catch (const RedisIoError& error) { why = error.what(); }
      const auto leaders = cluster_.refresh()->leaders();
      if (std::ranges::find(leaders, leader) == leaders.end()) return {};
      if (RedisClock::now() >= until) throw UnavailableError{"Redis Cluster: SCAN: " + why};
      std::this_thread::sleep_for(std::chrono::milliseconds{50});
    }
  }

  [[nodiscard]] std::vector<std::string> new_keys(const redisReply& list) {
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < list.elements; ++i) {
      std::string key{text_of(*list.element[i])};
      if (seen_.insert(key).second) keys.push_back(std::move(key));
    }
    return keys;
  }

  RedisCluster& cluster_;
  std::string pattern_;
  std::unordered_set<std::string> seen_;
};

}  // namespace kvstore::inline v0::detail
