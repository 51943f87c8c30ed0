// SPDX-License-Identifier: MIT
#pragma once

// A Redis Cluster as one server for commands on keys: connections, the map of slots, and the sender of
// commands.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/detail/redis/connection.hpp"
#include "kvstore/detail/redis/pipeline.hpp"
#include "kvstore/detail/redis/pool.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/redis/topology.hpp"
#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/detail/remote/observer.hpp"
#include "kvstore/error.hpp"
#include "kvstore/redis_cluster_options.hpp"
#include "kvstore/remote_metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: safe from any thread.
class RedisCluster {
 public:
  /// Asks the seeds for the map of slots until one answers. @throws UsageError; ServerError if none answers
  /// and one refuses user or password; UnavailableError
  explicit RedisCluster(RedisClusterOptions options) : pool_{std::move(options)}, topology_{pool_} {
    pool_.observer().observe([this] { return refresh(Deadline::of_call(this->options().timeout)); });
  }

  [[nodiscard]] const RedisClusterOptions& options() const noexcept { return pool_.options(); }
  [[nodiscard]] RemoteMetrics metrics() const { return pool_.metrics(); }
  [[nodiscard]] RemoteObserver& observer() noexcept { return pool_.observer(); }
  /// For messages.
  [[nodiscard]] std::string name() const { return "redis://" + topology_.first_seed().text(); }

  /// As `RedisPipeline::run`.
  [[nodiscard]] std::vector<RedisReply> run(std::span<const RedisCommand> commands) {
    return run(commands, Deadline::of_call(options().timeout));
  }
  [[nodiscard]] std::vector<RedisReply> run(std::span<const RedisCommand> commands, const Deadline& until) {
    return pool_.observer().observe([&] { return RedisPipeline{pool_, topology_, commands, until}.run(); });
  }
  [[nodiscard]] RedisReply run(const RedisCommand& command, const Deadline& until) {
    return std::move(run(std::span{&command, 1}, until).front());
  }
  [[nodiscard]] RedisReply run(const RedisCommand& command) {
    return std::move(run(std::span{&command, 1}).front());
  }

  /// A connection to one node, for commands that must stay on one. @throws RedisIoError; ServerError
  [[nodiscard]] std::unique_ptr<RedisConnection> connect(const RedisAddress& node, const Deadline& until) {
    return pool_.take(node, until);
  }
  /// Returns a connection to the pool. No reply may be outstanding on it.
  void give_back(std::unique_ptr<RedisConnection> connection) {
    pool_.note_answer(connection->address());
    pool_.give_back(std::move(connection));
  }
  /// Call after a `RedisIoError` of a connection to this node.
  void suspect(const RedisAddress& node, const std::string& why) { pool_.suspect(node, why); }

  /// The current map of slots of the cluster. @throws ServerError; UnavailableError
  std::shared_ptr<const RedisSlotMap> refresh(const Deadline& until) {
    const std::uint64_t outdated = topology_.view().version;
    Backoff pauses;
    do {
      topology_.refresh(outdated, until);
      if (const RedisTopology::View view = topology_.view(); view.version > outdated) return view.map;
    } while (pauses.pause(until));
    throw UnavailableError{"Redis Cluster: no node could be reached within " +
                           std::to_string(until.given().count()) + " ms: " + topology_.why_not()};
  }

 private:
  RedisPool pool_;
  RedisTopology topology_;
};

}}}  // namespace kvstore::v1::detail
