// SPDX-License-Identifier: MIT
#pragma once

// Visits the keys of a Redis Cluster that have a prefix.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/detail/redis/cluster.hpp"
#include "kvstore/detail/redis/connection.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/redis/topology.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// A SCAN pattern that matches all keys starting with `prefix`.
[[nodiscard]] inline std::string pattern_of_prefix(std::string_view prefix) {
  std::string pattern;
  for (const char byte : prefix) {
    if (std::string_view{"*?[]\\^-"}.find(byte) != std::string_view::npos) pattern += '\\';
    pattern += byte;
  }
  return pattern + '*';
}

/// Scans every leader. SCAN may return a key twice, and so may two leaders while slots move, so the keys seen
/// are remembered. Keys that exist from beginning to end are seen: if the map of slots has changed by the
/// end, a second scan finds the keys that moved during the first. Only a key that moved twice meanwhile, or
/// whose slot is still being moved, may be missed.
class RedisScan {
 public:
  using Visit = FunctionRef<bool(const std::vector<std::string>&)>;

  RedisScan(RedisCluster& cluster, std::string_view prefix)
      : cluster_{cluster}, pattern_{pattern_of_prefix(prefix)} {}

  /// Passes the keys on in lists, each key once, until `visit` returns false. @throws ServerError;
  /// UnavailableError
  void run(Visit visit) {
    const auto before = cluster_.refresh();
    if (!scan_all(*before, visit)) return;
    const auto after = cluster_.refresh();
    if (*after != *before) scan_all(*after, visit);
  }

 private:
  static constexpr std::string_view kPerCall = "1000";  // keys examined: half a millisecond of server time
  static constexpr int kTries = 20;

  bool scan_all(const RedisSlotMap& map, Visit visit) {
    return std::ranges::all_of(map.leaders(),
                               [&](const RedisAddress& leader) { return scan_until_done(leader, visit); });
  }

  /// False if `visit` wants no more. A leader that is gone ends the scan: the map has changed, or soon will.
  [[nodiscard]] bool scan_until_done(const RedisAddress& leader, Visit visit) {
    for (int tries = 0;; ++tries) {
      std::string why;
      try {
        return scan(leader, visit);
      } catch (const RedisIoError& error) { why = error.what(); }
      const auto leaders = cluster_.refresh()->leaders();
      if (std::ranges::find(leaders, leader) == leaders.end()) return true;
      if (tries == kTries) throw UnavailableError{"Redis Cluster: SCAN: " + why};
      std::this_thread::sleep_for(std::chrono::milliseconds{100});
    }
  }

  /// Uses one connection from beginning to end: a restarted server would misread an old cursor, and silently
  /// skip keys.
  [[nodiscard]] bool scan(const RedisAddress& leader, Visit visit) {
    std::unique_ptr<RedisConnection> connection = cluster_.connect(leader);
    std::string cursor = "0";
    do {
      const RedisReply reply =
          connection->ask({"SCAN", cursor, "MATCH", pattern_, "COUNT", kPerCall, "TYPE", "string"},
                          RedisClock::now() + cluster_.options().response_timeout);
      if (is_error(*reply)) throw_refused(leader, text_of(*reply));
      if (!is_array(*reply, 2) || !is_array(*reply->element[1]))
        throw_refused(leader, "no answer that makes sense");
      cursor = text_of(*reply->element[0]);
      const std::vector<std::string> keys = new_keys(*reply->element[1]);
      if (!keys.empty() && !visit(keys)) return false;
    } while (cursor != "0");
    cluster_.give_back(std::move(connection));
    return true;
  }

  /// @throws RedisIoError for passing errors; ServerError
  [[noreturn]] static void throw_refused(const RedisAddress& leader, std::string_view error) {
    const std::string message = leader.text() + ": SCAN: " + std::string{error};
    if (RedisRefusal::of(error, leader).kind != RedisRefusal::Kind::final) throw RedisIoError{message};
    throw ServerError{message};
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
  std::unordered_set<std::string, SecretTextHash> seen_;
};

}}}  // namespace kvstore::v1::detail
