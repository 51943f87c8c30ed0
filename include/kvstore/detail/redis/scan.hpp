// SPDX-License-Identifier: MIT
#pragma once

// Visits the keys of a Redis Cluster that have a prefix.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/detail/redis/cluster.hpp"
#include "kvstore/detail/redis/connection.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/redis/topology.hpp"
#include "kvstore/detail/redis/verdict.hpp"
#include "kvstore/detail/remote/deadline.hpp"
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
/// end, a second scan finds the keys that moved during the first, and another one follows as long as leaders
/// go. Only a key that moved twice meanwhile, or whose slot is still being moved, may be missed.
class RedisScan {
 public:
  using Visit = FunctionRef<bool(const std::vector<std::string>&)>;

  RedisScan(RedisCluster& cluster, std::string_view prefix)
      : cluster_{cluster}, pattern_{pattern_of_prefix(prefix)} {}

  /// Passes the keys on in lists, each key once, until `visit` returns false. Waits no longer than `timeout`
  /// for the next list. @throws ServerError; UnavailableError
  void run(Visit visit) {
    auto map = cluster_.refresh(deadline());
    for (int scans = 0; scans < 2 || left_; ++scans) {
      left_ = false;
      if (!scan_all(*map, visit)) return;
      auto after = cluster_.refresh(deadline());
      if (*after == *map) return;
      map = std::move(after);
    }
  }

 private:
  static constexpr std::string_view kPerCall = "1000";  // keys examined: half a millisecond of server time

  [[nodiscard]] Deadline deadline() const { return Deadline::of_call(cluster_.options().timeout); }

  bool scan_all(const RedisSlotMap& map, Visit visit) {
    return std::ranges::all_of(map.leaders(),
                               [&](const RedisAddress& leader) { return scan_until_done(leader, visit); });
  }

  /// False if `visit` wants no more. A leader that is gone ends the scan: another one has its keys.
  [[nodiscard]] bool scan_until_done(const RedisAddress& leader, Visit visit) {
    return cluster_.observer().observe([&] { return try_to_scan(leader, visit); });
  }
  [[nodiscard]] bool try_to_scan(const RedisAddress& leader, Visit visit) {
    Deadline until = deadline();
    for (Backoff pauses;;) {
      std::string why;
      try {
        return scan(leader, visit, until);
      } catch (const RedisIoError& error) { why = error.what(); }
      cluster_.suspect(leader, why);
      const auto leaders = cluster_.refresh(until)->leaders();
      if (std::ranges::find(leaders, leader) == leaders.end()) return left_ = true;
      if (!pauses.pause(until)) throw_unavailable(why, until);
    }
  }

  /// Uses one connection from beginning to end: a restarted server would misread an old cursor, and silently
  /// skip keys. Each answer renews the deadline.
  [[nodiscard]] bool scan(const RedisAddress& leader, Visit visit, Deadline& until) {
    std::unique_ptr<RedisConnection> connection = cluster_.connect(leader, until);
    std::string cursor = "0";
    do {
      const RedisReply reply =
          connection->ask({"SCAN", cursor, "MATCH", pattern_, "COUNT", kPerCall, "TYPE", "string"},
                          until.within(cluster_.options().response_timeout));
      if (is_error(*reply)) throw_refused(leader, text_of(*reply));
      if (!is_array(*reply, 2) || !is_array(*reply->element[1]))
        throw_refused(leader, "no answer that makes sense");
      cursor = text_of(*reply->element[0]);
      const std::vector<std::string> keys = new_keys(*reply->element[1]);
      if (!keys.empty() && !visit(keys)) {
        cluster_.give_back(std::move(connection));
        return false;
      }
      until = deadline();
    } while (cursor != "0");
    cluster_.give_back(std::move(connection));
    return true;
  }

  [[noreturn]] static void throw_unavailable(const std::string& why, const Deadline& until) {
    throw UnavailableError{"Redis Cluster: SCAN: no answer within " + std::to_string(until.given().count()) +
                           " ms: " + why};
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
  bool left_ = false;  // some leader has gone during the scan
  std::unordered_set<std::string, SecretTextHash> seen_;
};

}}}  // namespace kvstore::v1::detail
