// SPDX-License-Identifier: MIT
#pragma once

// The leaders of the slots, as the cluster last reported them.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/redis/connection.hpp"
#include "kvstore/detail/redis/pool.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/redis/slot.hpp"
#include "kvstore/detail/redis/verdict.hpp"
#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/detail/remote/observer.hpp"
#include "kvstore/error.hpp"
#include "kvstore/log.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The nodes and the leader of each slot; immutable once other threads can see it.
class RedisSlotMap {
 public:
  /// Parses a reply to CLUSTER SLOTS from `asked`, whose host also stands in for hosts that the reply leaves
  /// out. Everything but ranges and addresses is skipped, since versions differ there. Nothing if the reply
  /// is not of this form.
  [[nodiscard]] static std::optional<RedisSlotMap> parse(const redisReply& reply, const RedisAddress& asked) {
    if (!is_array(reply)) return std::nullopt;
    RedisSlotMap map;
    for (std::size_t i = 0; i < reply.elements; ++i) {
      if (!map.add_range(*reply.element[i], asked)) return std::nullopt;
    }
    return map;
  }

  /// The map of a server without a cluster: it leads every slot.
  [[nodiscard]] static RedisSlotMap single(const RedisAddress& node) {
    RedisSlotMap map;
    map.owners_.fill(map.leader(node));
    return map;
  }

  /// The leader of a slot, or null while no node serves it.
  [[nodiscard]] const RedisAddress* owner(std::uint16_t slot) const noexcept {
    return owners_[slot] == kNobody ? nullptr : &leaders_[owners_[slot]];
  }
  [[nodiscard]] const std::vector<RedisAddress>& leaders() const noexcept { return leaders_; }
  /// Leaders and replicas.
  [[nodiscard]] const std::set<RedisAddress>& nodes() const noexcept { return nodes_; }

  friend bool operator==(const RedisSlotMap& a, const RedisSlotMap& b) {
    for (std::size_t slot = 0; slot < kRedisSlots; ++slot) {
      const RedisAddress* one = a.owner(static_cast<std::uint16_t>(slot));
      const RedisAddress* other = b.owner(static_cast<std::uint16_t>(slot));
      if ((one == nullptr) != (other == nullptr) || (one != nullptr && *one != *other)) return false;
    }
    return true;
  }

 private:
  static constexpr std::uint16_t kNobody = UINT16_MAX;

  RedisSlotMap() { owners_.fill(kNobody); }

  // [first, last, leader, replica...]
  [[nodiscard]] bool add_range(const redisReply& range, const RedisAddress& asked) {
    if (!is_array(range, 3) || !is_integer(*range.element[0]) || !is_integer(*range.element[1])) return false;
    const long long first = range.element[0]->integer;
    const long long last = range.element[1]->integer;
    if (first < 0 || last < first || last >= static_cast<long long>(kRedisSlots)) return false;
    const std::optional<RedisAddress> owner = node(*range.element[2], asked);
    if (!owner) return false;
    std::fill(owners_.begin() + first, owners_.begin() + last + 1, leader(*owner));
    for (std::size_t i = 3; i < range.elements; ++i) {
      if (std::optional<RedisAddress> replica = node(*range.element[i], asked)) nodes_.insert(*replica);
    }
    return true;
  }

  // [host or nil, port, ...]
  [[nodiscard]] static std::optional<RedisAddress> node(const redisReply& node, const RedisAddress& asked) {
    if (!is_array(node, 2) || !is_integer(*node.element[1])) return std::nullopt;
    const std::string_view host = text_of(*node.element[0]);
    const bool unknown = host.empty() || host == "?";
    return RedisAddress{unknown ? asked.host : std::string{host}, static_cast<int>(node.element[1]->integer)};
  }

  std::uint16_t leader(const RedisAddress& address) {
    nodes_.insert(address);
    const auto found = std::ranges::find(leaders_, address);
    const auto index = static_cast<std::uint16_t>(found - leaders_.begin());
    if (found == leaders_.end()) leaders_.push_back(address);
    return index;
  }

  std::vector<RedisAddress> leaders_;
  std::set<RedisAddress> nodes_;
  std::array<std::uint16_t, kRedisSlots> owners_;  // indices into leaders_
};

/// Keeps the map of slots, and requests a new one, once for all threads that found it outdated.
///
/// *Thread safety*: safe from any thread.
class RedisTopology {
 public:
  /// A map and its number, which grows with every new map.
  struct View {
    std::shared_ptr<const RedisSlotMap> map;  ///< null before the first
    std::uint64_t version = 0;
  };

  /// @throws UsageError if a seed is not of the form host:port
  explicit RedisTopology(RedisPool& pool) : pool_{pool} {
    for (const std::string& seed : pool.options().seeds) {
      std::optional<RedisAddress> address = RedisAddress::parse(seed);
      if (!address || address->host.empty()) {
        throw UsageError{"RedisClusterOptions::seeds: \"" + seed + "\" is not of the form host:port"};
      }
      seeds_.push_back(*std::move(address));
    }
    if (seeds_.empty()) throw UsageError{"RedisClusterOptions::seeds names no node"};
    const RedisClusterOptions& options = pool.options();
    if (options.timeout.count() <= 0 || options.connect_timeout.count() <= 0 ||
        options.response_timeout.count() <= 0 || options.replication_timeout.count() <= 0) {
      throw UsageError{"the timeouts of RedisClusterOptions must be above zero"};
    }
    if (!pool.options().user.empty() && pool.options().password.empty()) {
      throw UsageError{"RedisClusterOptions::user is set, and password is not"};
    }
  }

  [[nodiscard]] View view() const {
    const std::lock_guard lock{view_mutex_};
    return view_;
  }

  /// Lets the next command ask for a new map first.
  void outdate(std::uint64_t version) noexcept {
    std::uint64_t known = outdated_;
    while (known < version && !outdated_.compare_exchange_weak(known, version)) {}
  }
  [[nodiscard]] bool is_outdated(const View& view) const noexcept {
    return view.version != 0 && view.version <= outdated_;
  }

  /// Asks the nodes in turn for a new map, unless another thread has already got one newer than `outdated`.
  /// If no node answers, nothing changes, and `why_not` gives the reasons. @throws ServerError
  void refresh(std::uint64_t outdated, const Deadline& until) {
    const std::unique_lock lock{refresh_mutex_, until.time()};
    if (!lock || view().version > outdated) return;
    std::string reasons;
    std::optional<ServerError> refused;
    for (const RedisAddress& node : candidates()) {
      try {
        if (ask(node, until)) return;
        reasons += node.text() + ": " + why_no_map_ + "; ";
      } catch (const RedisIoError& error) {
        reasons += std::string{error.what()} + "; ";
      } catch (const ServerError& error) {  // another node may know this user
        if (!refused) refused = error;
      }
    }
    // Of several Sentinels one that refuses does not count while another one answers.
    if (refused && (reasons.empty() || pool_.options().sentinel_master.empty())) throw ServerError{*refused};
    if (refused) reasons += std::string{refused->what()} + "; ";
    const std::lock_guard guard{view_mutex_};
    why_not_ = reasons.substr(0, reasons.size() - 2);
  }

  /// The reasons why the last `refresh` got no map; empty if it got one.
  [[nodiscard]] std::string why_not() const {
    const std::lock_guard lock{view_mutex_};
    return why_not_;
  }

  /// The first seed, which stands for the cluster in messages.
  [[nodiscard]] const RedisAddress& first_seed() const noexcept { return seeds_.front(); }

 private:
  // The nodes of the present map, each time starting with another one, since a node that was cut off from the
  // others still answers. Only then the seeds, since a seed may have joined another cluster meanwhile. Nodes
  // under suspicion come last, since a dead host costs a whole timeout.
  [[nodiscard]] std::vector<RedisAddress> candidates() {
    std::vector<RedisAddress> all;
    if (const auto map = view().map; map && pool_.options().sentinel_master.empty())
      all = {map->nodes().begin(), map->nodes().end()};
    const auto rotate = [this](auto first, auto last) {
      if (first != last)
        std::rotate(first,
                    first + static_cast<std::ptrdiff_t>(asked_ % static_cast<std::size_t>(last - first)),
                    last);
    };
    const auto known = static_cast<std::ptrdiff_t>(all.size());
    for (const RedisAddress& seed : seeds_) {
      if (std::ranges::find(all, seed) == all.end()) all.push_back(seed);
    }
    rotate(all.begin(), all.begin() + known);
    rotate(all.begin() + known, all.end());
    ++asked_;
    std::vector<RedisAddress> suspects;
    std::erase_if(all, [&](const RedisAddress& node) {
      const bool is_suspect = pool_.is_suspect(node);
      if (is_suspect) suspects.push_back(node);
      return is_suspect;
    });
    all.insert(all.end(), suspects.begin(), suspects.end());
    return all;
  }

  /// False if the node has no map; `why_no_map_` then says why.
  [[nodiscard]] bool ask(const RedisAddress& node, const Deadline& until) {
    std::unique_ptr<RedisConnection> connection = pool_.take(node, until);
    std::optional<RedisSlotMap> map;
    try {
      map = ask(*connection, until.within(pool_.options().response_timeout));
    } catch (const RedisIoError& error) {
      pool_.suspect(node, error.what());
      throw;
    }
    pool_.give_back(std::move(connection));
    // A leader is there for commands. One that hangs up at each of them may answer this.
    const bool leads = map && std::ranges::find(map->leaders(), node) != map->leaders().end();
    if (!leads) pool_.note_answer(node);
    if (!map || map->leaders().empty()) return false;
    pool_.keep_only(map->nodes());
    const bool is_new = !view().map || !(*view().map == *map);
    publish(*std::move(map));
    if (is_new) pool_.observer().log(LogLevel::info, "map changed", {{"node", node.text()}});
    return true;
  }
  [[nodiscard]] std::optional<RedisSlotMap> ask(RedisConnection& connection, const Deadline& until) {
    const RedisAddress& node = connection.address();
    if (!pool_.options().sentinel_master.empty()) return ask_sentinel(connection, until);
    why_no_map_ = "no answer to CLUSTER SLOTS that makes sense";
    const RedisReply reply = connection.ask({"CLUSTER", "SLOTS"}, until);
    if (!is_error(*reply)) return RedisSlotMap::parse(*reply, node);
    if (text_of(*reply).find("cluster support disabled") != std::string_view::npos) {
      if (is_leader(connection, until)) return RedisSlotMap::single(node);
    } else if (RedisRefusal::of(text_of(*reply), node).kind == RedisRefusal::Kind::final) {
      throw ServerError{node.text() + ": CLUSTER SLOTS: " + std::string{text_of(*reply)} +
                        hint_of_password(text_of(*reply))};
    }
    return std::nullopt;
  }
  /// The master that a Sentinel names, if it says of itself that it is one.
  [[nodiscard]] std::optional<RedisSlotMap> ask_sentinel(RedisConnection& connection, const Deadline& until) {
    const std::string& name = pool_.options().sentinel_master;
    const RedisReply reply = connection.ask({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", name}, until);
    if (is_error(*reply)) {
      why_no_map_ = text_of(*reply);
      if (RedisRefusal::of(why_no_map_, connection.address()).kind != RedisRefusal::Kind::final)
        return std::nullopt;
      throw ServerError{connection.address().text() + ": " + why_no_map_ +
                        " (is this a Sentinel? RedisClusterOptions::sentinel_master is set)"};
    }
    why_no_map_ = "this Sentinel knows no master \"" + name + "\"";
    if (!is_array(*reply, 2)) return std::nullopt;
    const std::string host{text_of(*reply->element[0])};
    const std::optional<RedisAddress> master =
        RedisAddress::parse(host + ":" + std::string{text_of(*reply->element[1])});
    if (!master) return std::nullopt;
    if (!is_reachable_leader(*master, until)) return std::nullopt;
    return RedisSlotMap::single(*master);
  }
  /// The same as `is_leader`, but a failure is not the Sentinel's.
  [[nodiscard]] bool is_reachable_leader(const RedisAddress& master, const Deadline& until) {
    try {
      std::unique_ptr<RedisConnection> connection = pool_.take(master, until);
      const bool leads = is_leader(*connection, until);
      pool_.give_back(std::move(connection));
      return leads;
    } catch (const RedisIoError& error) {
      pool_.suspect(master, error.what());
      why_no_map_ = error.what();
      return false;
    }
  }
  /// Whether a server without a cluster takes writes. A replica would answer reads too, with old values. A
  /// user who may not ask for the role is believed to have named the right server.
  [[nodiscard]] bool is_leader(RedisConnection& connection, const Deadline& until) {
    const RedisReply role = connection.ask({"ROLE"}, until);
    if (!is_array(*role, 3) || text_of(*role->element[0]) != "slave") return true;
    why_no_map_ = "is a replica of " + std::string{text_of(*role->element[1])} + ":" +
                  std::to_string(role->element[2]->integer) +
                  "; name that server in RedisClusterOptions::seeds";
    return false;
  }

  void publish(RedisSlotMap map) {
    RemoteObserver::count(pool_.observer().refreshes);
    auto shared = std::make_shared<const RedisSlotMap>(std::move(map));
    const std::lock_guard lock{view_mutex_};
    view_ = {std::move(shared), view_.version + 1};
    why_not_.clear();
  }

  RedisPool& pool_;
  std::vector<RedisAddress> seeds_;
  std::timed_mutex refresh_mutex_;  // held while nodes are asked
  std::string why_no_map_;          // guarded by refresh_mutex_, as is the next
  std::size_t asked_ = 0;
  std::atomic<std::uint64_t> outdated_ = 0;  // maps up to this version
  mutable std::mutex view_mutex_;
  View view_;
  std::string why_not_;
};

}}}  // namespace kvstore::v1::detail
