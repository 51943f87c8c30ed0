// SPDX-License-Identifier: MIT
#pragma once

// Idle connections, and the health of each node. Each connection is used by one thread at a time.

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/credentials.hpp"
#include "kvstore/detail/redis/connection.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/remote/current_credentials.hpp"
#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/detail/remote/observer.hpp"
#include "kvstore/redis_cluster_options.hpp"
#include "kvstore/remote_metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: safe from any thread.
class RedisPool {
 public:
  explicit RedisPool(RedisClusterOptions options)
      : options_{std::move(options)},
        observer_{"redis://" + (options_.seeds.empty() ? std::string{} : options_.seeds.front()),
                  options_.logger, options_.log_level} {}

  [[nodiscard]] RemoteObserver& observer() noexcept { return observer_; }
  [[nodiscard]] RemoteMetrics metrics() const {
    RemoteMetrics all = observer_.metrics();
    const std::lock_guard lock{mutex_};
    for (const auto& [address, idle] : idle_) all.connections_idle += idle.size();
    return all;
  }

  [[nodiscard]] const RedisClusterOptions& options() const noexcept { return options_; }

  /// An idle connection, or a new one. A node under suspicion gets no command before it has answered a PING:
  /// of a process that hangs, the kernel still accepts connections. @throws RedisIoError; ServerError
  [[nodiscard]] std::unique_ptr<RedisConnection> take(const RedisAddress& address, const Deadline& until) {
    while (std::unique_ptr<RedisConnection> idle = pop(address)) {
      if (idle->is_usable()) return idle;  // a server closes idle connections, and all when it restarts
    }
    try {
      auto connection = std::make_unique<RedisConnection>(address, options_, credentials(address), until);
      RemoteObserver::count(observer_.opened);
      if (!is_suspect(address)) return connection;
      (void)connection->ask({"PING"}, until.within(options_.connect_timeout));
      trust(address);
      return connection;
    } catch (const RedisIoError& error) {
      suspect(address, error.what());
      throw;
    }
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
    std::erase_if(suspects_, [&](const RedisAddress& node) { return !nodes.contains(node); });
  }

  /// Call after a `RedisIoError`: whatever hit one connection has hit the idle ones of that node too.
  void suspect(const RedisAddress& address, const std::string& why) {
    std::vector<std::unique_ptr<RedisConnection>> closed;  // under no lock
    {
      const std::lock_guard lock{mutex_};
      suspects_.insert(address);
      if (const auto found = idle_.find(address); found != idle_.end()) closed.swap(found->second);
    }
    observer_.failure(address.text(), why);
  }
  /// Call after a node has done what it is there for: see `RemoteObserver::success`.
  void note_answer(const RedisAddress& address) noexcept {
    if (observer_.knows_failures()) observer_.success(address.text());
  }
  [[nodiscard]] bool is_suspect(const RedisAddress& address) const {
    const std::lock_guard lock{mutex_};
    return suspects_.contains(address);
  }

 private:
  static constexpr std::size_t kMaxIdle = 64;  // per node; more threads than that open and close theirs

  [[nodiscard]] Credentials credentials(const RedisAddress& address) const {
    if (!options_.sentinel_master.empty()) {
      const auto is_this = [&](const std::string& seed) { return RedisAddress::parse(seed) == address; };
      if (std::ranges::any_of(options_.seeds, is_this)) return options_.sentinel_credentials;
    }
    return current_credentials(options_.user, options_.password, options_.credentials);
  }

  void trust(const RedisAddress& address) {
    const std::lock_guard lock{mutex_};
    suspects_.erase(address);
  }

  [[nodiscard]] std::unique_ptr<RedisConnection> pop(const RedisAddress& address) {
    const std::lock_guard lock{mutex_};
    const auto found = idle_.find(address);
    if (found == idle_.end() || found->second.empty()) return nullptr;
    std::unique_ptr<RedisConnection> connection = std::move(found->second.back());
    found->second.pop_back();
    return connection;
  }

  const RedisClusterOptions options_;
  RemoteObserver observer_;
  mutable std::mutex mutex_;
  std::map<RedisAddress, std::vector<std::unique_ptr<RedisConnection>>> idle_;
  std::set<RedisAddress> suspects_;  // that failed, and have not answered since
};

}}}  // namespace kvstore::v1::detail
