// SPDX-License-Identifier: MIT
#pragma once

// Idle connections, per node. Each connection is used by one thread at a time.

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "kvstore/detail/redis/connection.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/redis_cluster_options.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: safe from any thread.
class RedisPool {
 public:
  explicit RedisPool(RedisClusterOptions options) : options_{std::move(options)} {}

  [[nodiscard]] const RedisClusterOptions& options() const noexcept { return options_; }

  /// An idle connection, or a new one. @throws RedisIoError; ServerError
  [[nodiscard]] std::unique_ptr<RedisConnection> take(const RedisAddress& address,
                                                      RedisClock::time_point until) {
    while (std::unique_ptr<RedisConnection> idle = pop(address)) {
      if (idle->is_usable()) return idle;  // a server closes idle connections, and all when it restarts
    }
    return std::make_unique<RedisConnection>(address, options_, until);
  }

  /// Takes back a connection with no reply outstanding. After a `RedisIoError`, drop the connection instead.
  void give_back(std::unique_ptr<RedisConnection> connection) {
    const std::lock_guard lock{mutex_};
    auto& idle = idle_[connection->address()];
    if (idle.size() < kMaxIdle) idle.push_back(std::move(connection));
  }

  /// Closes idle connections to all other nodes, which have left the cluster.
  void keep_only(const std::set<RedisAddress>& nodes) {
    const std::lock_guard lock{mutex_};
    std::erase_if(idle_, [&](const auto& of_node) { return !nodes.contains(of_node.first); });
  }

 private:
  static constexpr std::size_t kMaxIdle = 64;  // per node; more threads than that open and close theirs

  [[nodiscard]] std::unique_ptr<RedisConnection> pop(const RedisAddress& address) {
    const std::lock_guard lock{mutex_};
    const auto found = idle_.find(address);
    if (found == idle_.end() || found->second.empty()) return nullptr;
    std::unique_ptr<RedisConnection> connection = std::move(found->second.back());
    found->second.pop_back();
    return connection;
  }

  const RedisClusterOptions options_;
  std::mutex mutex_;
  std::map<RedisAddress, std::vector<std::unique_ptr<RedisConnection>>> idle_;
};

}}}  // namespace kvstore::v1::detail
