// SPDX-License-Identifier: MIT
#pragma once

// Connections that wait for work, per node: a connection is one thread's at a time.

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

/// *Thread safety*: any thread.
class RedisPool {
 public:
  explicit RedisPool(RedisClusterOptions options) : options_{std::move(options)} {}

  [[nodiscard]] const RedisClusterOptions& options() const noexcept { return options_; }

  /// One that waits, or a new one. @throws RedisIoError; ServerError
  [[nodiscard]] std::unique_ptr<RedisConnection> take(const RedisAddress& address,
                                                      RedisClock::time_point until) {
    while (std::unique_ptr<RedisConnection> idle = pop(address)) {
      if (idle->is_usable()) return idle;  // a server closes what it thinks is dead, or when it restarts
    }
    return std::make_unique<RedisConnection>(address, options_, until);
  }

  /// Takes back a connection that is owed no reply. One after a `RedisIoError` is simply dropped instead.
  void give_back(std::unique_ptr<RedisConnection> connection) {
    const std::lock_guard lock{mutex_};
    auto& idle = idle_[connection->address()];
    if (idle.size() < kMaxIdle) idle.push_back(std::move(connection));
  }

  /// Closes what waits for other nodes than these, which have left.
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
