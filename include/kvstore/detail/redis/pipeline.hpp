// SPDX-License-Identifier: MIT
#pragma once

// Carries out commands on the nodes that own their slots, and follows the cluster's redirections until a
// deadline. Source: Redis Cluster specification, "Redirection and resharding".

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/base/printable.hpp"
#include "kvstore/detail/redis/connection.hpp"
#include "kvstore/detail/redis/pool.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/redis/topology.hpp"
#include "kvstore/detail/redis/verdict.hpp"
#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/detail/remote/observer.hpp"
#include "kvstore/error.hpp"
#include "kvstore/redis_cluster_options.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// A command whose keys are all in one slot. Its arguments must outlive the call that takes the command.
struct RedisCommand {
  std::uint16_t slot;
  RedisWrote wrote;  ///< unless null, it must not be repeated once it may have been carried out
  RedisArguments arguments;

  [[nodiscard]] bool writes() const noexcept { return wrote != nullptr; }
};

/// Commands under way: each is sent, and sent again if it was certainly not carried out.
class RedisPipeline {
 public:
  RedisPipeline(RedisPool& pool, RedisTopology& topology, std::span<const RedisCommand> commands,
                const Deadline& until)
      : pool_{pool}, options_{pool.options()}, topology_{topology}, until_{until} {
    items_.reserve(commands.size());
    for (const RedisCommand& command : commands) items_.push_back({&command});
  }

  /// The replies, one per command, none of them an error. @throws OutcomeUnknownError, ServerError,
  /// UnavailableError, ReplicationError: if several apply, the first of this list
  std::vector<RedisReply> run() {
    for (bool again = true; again;) again = round();
    if (!unknown_.empty()) throw OutcomeUnknownError{unknown_};
    if (refused_) throw ServerError{*refused_};
    if (std::ranges::any_of(items_, is_pending)) throw_unavailable();
    if (unconfirmed_) throw ReplicationError{*unconfirmed_};
    std::vector<RedisReply> replies;
    replies.reserve(items_.size());
    for (Item& item : items_) replies.push_back(std::move(item.reply));
    return replies;
  }

 private:
  struct Item {
    const RedisCommand* command;
    RedisReply reply{};                    // once it is done
    bool given_up = false;                 // refused, or its outcome is unknown
    std::optional<RedisAddress> target{};  // where a redirection sent it
    bool asking = false;
  };
  /// The commands for one node in one round.
  struct Share {
    std::vector<Item*> items{};
    std::unique_ptr<RedisConnection> connection{};
    std::vector<std::size_t> ends{};   // of each item's command, in bytes of what is sent
    std::size_t sent = 0;              // bytes
    std::chrono::milliseconds wait{};  // with which it ends; 0 = with none
    bool broken = false;               // not all commands were sent

    /// A server carries out whole commands only.
    [[nodiscard]] bool has_sent(std::size_t item) const noexcept { return !broken || ends[item] <= sent; }
  };

  /// @returns whether another round must follow
  bool round() {
    if (const auto view = topology_.view(); topology_.is_outdated(view)) refresh(view.version);
    if (refused_) return false;
    if (until_.has_passed()) {  // nothing is sent that could not be answered
      if (reason_.empty()) reason_ = "the time was up before anything was sent";
      return false;
    }
    const RedisTopology::View view = topology_.view();
    std::map<RedisAddress, Share> shares = divided(view);
    for (auto& [address, share] : shares) send(address, share);
    for (auto& [address, share] : shares) {
      if (share.connection) receive(address, share);
    }
    if (outdated_) topology_.outdate(view.version);  // for whoever comes next
    if (refused_ || std::ranges::none_of(items_, is_pending)) return false;
    if (outdated_ || !view.map) refresh(view.version);
    return !refused_ && pause() && !until_.has_passed();
  }

  void refresh(std::uint64_t version) {
    outdated_ = false;
    try {
      topology_.refresh(version, until_);
    } catch (const ServerError& error) { refused_ = error.what(); }
  }

  [[nodiscard]] static bool is_pending(const Item& item) noexcept { return !item.reply && !item.given_up; }

  [[nodiscard]] std::map<RedisAddress, Share> divided(const RedisTopology::View& view) {
    std::map<RedisAddress, Share> shares;
    for (Item& item : items_) {
      if (!is_pending(item)) continue;
      const RedisAddress* const owner = view.map ? view.map->owner(item.command->slot) : nullptr;
      if (item.target || owner != nullptr) {
        shares[item.target ? *item.target : *owner].items.push_back(&item);
      } else {
        retry_later(view.map ? "no node serves slot " + std::to_string(item.command->slot)
                             : topology_.why_not());
      }
    }
    return shares;
  }

  void send(const RedisAddress& address, Share& share) {
    try {
      share.connection = pool_.take(address, until_);
    } catch (const RedisIoError& error) {  // nothing was sent
      for (Item* item : share.items) item->target.reset();
      return retry_later(error.what());
    } catch (const ServerError& error) {  // other nodes may have done their share: read their replies first
      refused_ = error.what();
      return;
    }
    append(share);
    share.broken = !share.connection->send(until_, options_.response_timeout, share.sent);
    if (share.broken && share.sent == 0) {
      share.connection.reset();
      const std::string why = address.text() + ": the connection broke before anything was sent";
      pool_.suspect(address, why);
      return retry_later(why);
    }
  }

  void append(Share& share) const {
    share.ends.reserve(share.items.size());
    for (const Item* item : share.items) {
      if (item->asking) share.connection->append({"ASKING"});
      share.connection->append(item->command->arguments);
      share.ends.push_back(share.connection->buffered());
      if (options_.replicas != 0 && item->command->writes()) share.wait = replication_time();
    }
    if (share.wait.count() == 0) return;
    share.connection->append({"WAIT", std::to_string(options_.replicas), std::to_string(share.wait.count())});
  }

  /// Ends a little before the deadline, so that the number of replicas arrives by then.
  [[nodiscard]] std::chrono::milliseconds replication_time() const {
    const std::chrono::milliseconds left = until_.left();
    return std::max(std::chrono::milliseconds{1}, std::min(options_.replication_timeout, left - left / 8));
  }

  void receive(const RedisAddress& address, Share& share) {
    std::size_t answered = 0;
    bool wrote = false;
    const std::chrono::milliseconds idle = share.broken
                                               ? std::min(options_.connect_timeout, options_.response_timeout)
                                               : options_.response_timeout;
    try {
      for (; answered < share.items.size(); ++answered) {
        Item& item = *share.items[answered];
        if (item.asking) (void)share.connection->receive(until_, idle);
        take(address, item, share.connection->receive(until_, idle));
        wrote = wrote || (item.reply && item.command->writes() && item.command->wrote(*item.reply));
      }
      if (share.wait.count() != 0)
        confirm(address, share.connection->receive(until_, idle + share.wait), wrote);
      pool_.note_answer(address);
      if (!share.broken) pool_.give_back(std::move(share.connection));
    } catch (const RedisIoError& error) {
      pool_.suspect(address, error.what());
      outdated_ = true;
      lose(share, answered, wrote, error.what());
    }
  }

  /// Handles commands that were not answered: those that read, or that were not wholly sent, start over; the
  /// others may have been carried out.
  void lose(const Share& share, std::size_t answered, bool wrote, const std::string& why) {
    if (answered == share.items.size() && wrote) {
      unknown_ = why + "; the write was carried out, and whether replicas have it is unknown";
    }
    for (; answered < share.items.size(); ++answered) {
      Item& item = *share.items[answered];
      item.target.reset();
      item.asking = false;
      item.given_up = item.command->writes() && share.has_sent(answered);
      if (item.given_up) {
        unknown_ = why + "; the write may have been carried out or not: read before writing again";
      } else {
        retry_later(why);
      }
    }
  }

  void take(const RedisAddress& address, Item& item, RedisReply reply) {
    item.target.reset();
    item.asking = false;
    if (!is_error(*reply)) {
      item.reply = std::move(reply);
      return;
    }
    const std::string_view error = text_of(*reply);
    RedisRefusal refusal = RedisRefusal::of(error, address);
    switch (refusal.kind) {
      case RedisRefusal::Kind::final:
        item.given_up = true;
        if (!refused_)
          refused_ = "redis://" + address.text() + ": " + std::string{error} + key_of(*item.command, error);
        return;
      case RedisRefusal::Kind::ask:
        item.asking = true;
        [[fallthrough]];
      case RedisRefusal::Kind::moved:
        RemoteObserver::count(pool_.observer().redirections);
        outdated_ = outdated_ || refusal.kind == RedisRefusal::Kind::moved;
        item.target = std::move(refusal.target);
        reason_ = address.text() + ": " + std::string{error};
        return;
      case RedisRefusal::Kind::stale:
      case RedisRefusal::Kind::later:
        return retry_later(address.text() + ": " + std::string{error});
    }
  }

  /// Of an entry that is none of ours, the key. It stands first, and in a script's arguments third.
  [[nodiscard]] static std::string key_of(const RedisCommand& command, std::string_view error) {
    const std::size_t place = command.arguments.front() == "EVAL" ? 3 : 1;
    if (!error.starts_with("WRONGTYPE") || command.arguments.size() <= place) return {};
    return " (key " + printable(command.arguments[place], "\"") + ")";
  }

  /// Handles the reply to WAIT; `wrote` tells whether there was a write to wait for.
  void confirm(const RedisAddress& address, const RedisReply& reply, bool wrote) {
    if (!wrote) return;
    const std::size_t confirmed = is_integer(*reply) ? static_cast<std::size_t>(reply->integer) : 0;
    if (confirmed >= options_.replicas) return;
    if (!unconfirmed_ || confirmed < unconfirmed_->confirmed()) {
      unconfirmed_ = ReplicationError{address.text(), options_.replicas, confirmed};
    }
  }

  /// Some command could not be carried out for now, and no redirection says where to go instead.
  void retry_later(std::string why) {
    RemoteObserver::count(pool_.observer().retries);
    reason_ = std::move(why);
    outdated_ = true;
    pause_ = true;
  }

  /// Waits between tries. Redirected commands continue at once, unless they go round in circles. @returns
  /// false if the deadline has passed
  bool pause() {
    if (!pause_ && ++redirections_ <= 5) return true;
    pause_ = false;
    return pauses_.pause(until_);
  }

  [[noreturn]] void throw_unavailable() const {
    const auto done =
        std::ranges::count_if(items_, [](const Item& item) { return item.reply && item.command->writes(); });
    throw UnavailableError{
        "Redis Cluster of " + topology_.first_seed().text() + ": no node could do it within " +
        std::to_string(until_.given().count()) + " ms, " +
        (done == 0 ? std::string{"and nothing was changed"}
                   : "though " + std::to_string(done) + " of " + std::to_string(items_.size()) +
                         " commands of the batch were carried out, and the others were not") +
        "; the last reason: " + reason_};
  }

  RedisPool& pool_;
  const RedisClusterOptions& options_;
  RedisTopology& topology_;
  Deadline until_;
  std::vector<Item> items_;
  bool outdated_ = false;  // the map of slots
  bool pause_ = false;
  Backoff pauses_;
  unsigned redirections_ = 0;
  std::string reason_;
  std::string unknown_;
  std::optional<std::string> refused_;
  std::optional<ReplicationError> unconfirmed_;
};

}}}  // namespace kvstore::v1::detail
