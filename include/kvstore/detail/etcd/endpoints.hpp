// SPDX-License-Identifier: MIT
#pragma once

// The nodes of a cluster, the one that is preferred, and their idle connections.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/etcd/connection.hpp"
#include "kvstore/detail/remote/observer.hpp"
#include "kvstore/detail/remote/socket_alarm.hpp"
#include "kvstore/etcd_options.hpp"
#include "kvstore/log.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// One node, which lives as long as anybody uses it.
struct EtcdNode {
  explicit EtcdNode(std::string where) : address{std::move(where)} {}

  const std::string address;
  std::mutex mutex;
  std::vector<std::unique_ptr<EtcdConnection>> idle;  // guarded by mutex
};
using EtcdNodePtr = std::shared_ptr<EtcdNode>;

/// *Thread safety*: safe from any thread.
class EtcdEndpoints {
 public:
  EtcdEndpoints(const EtcdOptions& options, RemoteObserver& observer)
      : options_{options}, observer_{observer} {
    for (const std::string& address : options.endpoints)
      nodes_.push_back(std::make_shared<EtcdNode>(address));
  }

  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock{mutex_};
    return nodes_.size();
  }
  [[nodiscard]] EtcdNodePtr preferred() const {
    const std::lock_guard lock{mutex_};
    return nodes_[preferred_];
  }
  /// Prefers the next node, unless another thread has already switched.
  void give_up_on(const EtcdNodePtr& node) {
    EtcdNodePtr next;
    {
      const std::lock_guard lock{mutex_};
      if (nodes_[preferred_] != node || nodes_.size() == 1) return;
      preferred_ = (preferred_ + 1) % nodes_.size();
      next = nodes_[preferred_];
    }
    RemoteObserver::count(observer_.refreshes);
    observer_.log(LogLevel::info, "endpoint changed", {{"node", next->address}});
  }

  /// The nodes are from now on those of the options, and these.
  void set_members(const std::vector<std::string>& addresses) {
    std::vector<EtcdNodePtr> left;  // whose connections are closed under no lock
    const std::lock_guard lock{mutex_};
    const EtcdNodePtr preferred = nodes_[preferred_];
    const std::size_t fixed = options_.endpoints.size();
    std::vector<EtcdNodePtr> nodes{nodes_.begin(), nodes_.begin() + static_cast<std::ptrdiff_t>(fixed)};
    for (const std::string& address : addresses) {
      const auto has_address = [&](const EtcdNodePtr& node) { return node->address == address; };
      if (std::ranges::any_of(nodes, has_address)) continue;
      const auto known = std::ranges::find_if(nodes_, has_address);
      nodes.push_back(known != nodes_.end() ? *known : std::make_shared<EtcdNode>(address));
    }
    left.swap(nodes_);
    nodes_ = std::move(nodes);
    const auto still = std::ranges::find(nodes_, preferred);
    preferred_ = still == nodes_.end() ? 0 : static_cast<std::size_t>(still - nodes_.begin());
  }

  // --- connections ---

  /// One that does not connect yet. @throws UsageError as EtcdConnection
  [[nodiscard]] std::unique_ptr<EtcdConnection> prepared(const std::string& address) {
    return std::make_unique<EtcdConnection>(options_, address, alarm(), observer_.opened);
  }
  /// An idle connection, or a new one.
  [[nodiscard]] std::unique_ptr<EtcdConnection> borrow(EtcdNode& node) {
    while (true) {
      std::unique_ptr<EtcdConnection> connection;
      {
        const std::lock_guard lock{node.mutex};
        if (node.idle.empty()) break;
        connection = std::move(node.idle.back());
        node.idle.pop_back();
      }
      // A closed connection detected now is harmless; detected after sending, it makes a write's outcome
      // unknown.
      if (!connection->is_stale()) return connection;
    }
    return prepared(node.address);
  }
  static void give_back(EtcdNode& node, std::unique_ptr<EtcdConnection> connection) {
    if (connection->is_stale()) return;
    const std::lock_guard lock{node.mutex};
    node.idle.push_back(std::move(connection));
  }
  static void close_idle(EtcdNode& node) {
    std::vector<std::unique_ptr<EtcdConnection>> closed;  // under no lock
    const std::lock_guard lock{node.mutex};
    closed.swap(node.idle);
  }
  /// The number of idle connections.
  [[nodiscard]] std::uint64_t idle() const {
    const std::lock_guard lock{mutex_};
    std::uint64_t all = 0;
    for (const EtcdNodePtr& node : nodes_) {
      const std::lock_guard of_node{node->mutex};
      all += node->idle.size();
    }
    return all;
  }

 private:
  /// A forked child has none of the parent's threads, and needs an alarm of its own.
  [[nodiscard]] SocketAlarm& alarm() {
    const std::lock_guard lock{alarm_mutex_};
    if (!alarm_ || alarm_home_.is_foreign_by_id()) {
      alarm_.emplace();
      alarm_home_ = ForkGuard{};
    }
    return *alarm_;
  }

  const EtcdOptions& options_;
  RemoteObserver& observer_;
  std::mutex alarm_mutex_;
  LeftToParent<SocketAlarm> alarm_;  // outlives the connections
  ForkGuard alarm_home_;             // the process of that alarm
  mutable std::mutex mutex_;
  std::vector<EtcdNodePtr> nodes_;  // those of the options first; guarded by mutex_, as is the next
  std::size_t preferred_ = 0;
};

}}}  // namespace kvstore::v1::detail
