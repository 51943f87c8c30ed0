// SPDX-License-Identifier: MIT
#pragma once

// A store's verbs as Redis commands. Each entry is one Redis string: its key is the prefix followed by the
// key's text, its value the value's JSON.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/printable.hpp"
#include "kvstore/detail/redis/cluster.hpp"
#include "kvstore/detail/redis/pipeline.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/redis/scan.hpp"
#include "kvstore/detail/redis/slot.hpp"
#include "kvstore/detail/redis/verdict.hpp"
#include "kvstore/detail/remote/engine.hpp"
#include "kvstore/error.hpp"
#include "kvstore/redis_cluster_options.hpp"
#include "kvstore/remote_metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Replaces KEYS[1] by ARGV[2] if it equals ARGV[1]; otherwise returns its current value.
inline constexpr std::string_view kRedisReplaceIf =
    "local current = redis.call('GET', KEYS[1]) "
    "if current ~= ARGV[1] then return {current} end "
    "redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') "
    "return 1";

/// Lets KEYS[1] live for ARGV[2] ms from now on if it equals ARGV[1]. Returns whether it does.
inline constexpr std::string_view kRedisExtendIf =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// Changes all KEYS, which are in one slot, or none. Each key has three ARGV: the required state before (a =
/// absent, p = present), whether to set or delete (s, d), and the value. Returns 0, or -1 if that changed
/// nothing, or the number of the first key that was not in its required state. Rights are checked first,
/// where the server (7.0 or newer) can tell: a script that is refused a command half-way is half done.
inline constexpr std::string_view kRedisChangeAll =
    "local may = redis.acl_check_cmd "
    "for i, key in ipairs(KEYS) do "
    "  local before = ARGV[3 * i - 2] "
    "  if before ~= '' and (redis.call('EXISTS', key) == 1) ~= (before == 'p') then return i end "
    "  if may and ARGV[3 * i - 1] == 's' and not may('SET', key, '') then "
    "    return redis.error_reply('NOPERM this user may not SET ' .. key) end "
    "  if may and ARGV[3 * i - 1] == 'd' and not may('DEL', key) then "
    "    return redis.error_reply('NOPERM this user may not DEL ' .. key) end "
    "end "
    "local wrote = 0 "
    "for i, key in ipairs(KEYS) do "
    "  if ARGV[3 * i - 1] == 's' then redis.call('SET', key, ARGV[3 * i]) wrote = 1 "
    "  else wrote = wrote + redis.call('DEL', key) end "
    "end "
    "return wrote > 0 and 0 or -1";

/// *Thread safety*: safe from any thread.
class RedisEngine {
 public:
  using Text = std::string_view;

  explicit RedisEngine(RedisClusterOptions options) : cluster_{std::move(options)} {}

  /// `redis://HOST:PORT/PREFIX`
  [[nodiscard]] std::string name() const {
    return prefix().empty() ? cluster_.name() : cluster_.name().append("/").append(prefix());
  }

  [[nodiscard]] RemoteMetrics metrics() const { return cluster_.metrics(); }

  bool create(Text key, Text value) {
    return has_set(*call(key, redis_wrote::kUnlessNil, {"SET", {}, checked(key, value), "NX"}));
  }
  bool create_for(Text key, Text value, std::chrono::milliseconds life) {
    const std::string time = std::to_string(possible_life(life).count());
    return has_set(*call(key, redis_wrote::kUnlessNil, {"SET", {}, checked(key, value), "NX", "PX", time}));
  }
  bool extend_if(Text key, Text value, std::chrono::milliseconds life) {
    const std::string time = std::to_string(possible_life(life).count());
    return number(*call(key, redis_wrote::kIfCounted, {"EVAL", kRedisExtendIf, "1", {}, value, time}, 3)) ==
           1;
  }
  bool update(Text key, Text value) {
    return has_set(*call(key, redis_wrote::kUnlessNil, {"SET", {}, checked(key, value), "XX"}));
  }
  /// GET makes SET return the previous value, and refuse a key that does not hold a string.
  bool upsert(Text key, Text value) {
    const RedisReply before = call(key, redis_wrote::kAlways, {"SET", {}, checked(key, value), "GET"});
    if (!is_nil(*before) && !is_string(*before)) throw_misunderstood(*before);
    return is_nil(*before);
  }
  bool remove(Text key) { return number(*call(key, redis_wrote::kIfCounted, {"DEL", {}})) == 1; }

  [[nodiscard]] std::optional<std::string> read(Text key) {
    const RedisReply reply = call(key, redis_wrote::kNever, {"GET", {}});
    if (is_nil(*reply)) return std::nullopt;
    return std::string{text_of(*reply)};
  }
  [[nodiscard]] std::vector<std::optional<std::string>> read_many(std::span<const std::string> keys) {
    std::vector<std::string> names;
    names.reserve(keys.size());
    for (const std::string& key : keys) names.push_back(full(key));
    std::vector<std::optional<std::string>> values;
    values.reserve(keys.size());
    for (const RedisReply& reply : run_each("GET", redis_wrote::kNever, names)) {
      is_nil(*reply) ? values.emplace_back() : values.emplace_back(text_of(*reply));
    }
    return values;
  }

  void read_prefix(Text begin, std::size_t limit, FunctionRef<void(Text, Text)> visit) {
    if (limit == 0) return;
    RedisScan{cluster_, full(begin)}.run([&](const std::vector<std::string>& keys) {
      const std::vector<RedisReply> replies = run_each("GET", redis_wrote::kNever, keys);
      for (std::size_t i = 0; i < keys.size() && limit != 0; ++i) {
        if (is_nil(*replies[i])) continue;
        visit(Text{keys[i]}.substr(prefix().size()), text_of(*replies[i]));
        --limit;
      }
      return limit != 0;
    });
  }

  [[nodiscard]] bool contains(Text key) {
    return call(key, redis_wrote::kNever, {"EXISTS", {}})->integer == 1;
  }

  RemoteExchange replace_if(Text key, Text expected, Text desired) {
    const RedisReply reply = call(key, redis_wrote::kIfCounted,
                                  {"EVAL", kRedisReplaceIf, "1", {}, expected, checked(key, desired)}, 3);
    if (!is_array(*reply, 1)) return {number(*reply) == 1, {}};
    const redisReply& current = *reply->element[0];
    if (is_nil(current)) return {false, {}};
    return {false, std::string{text_of(current)}};
  }

  [[nodiscard]] static BatchLimit batch_limit() { return {}; }

  /// One command per slot, all or nothing there; the commands for a node go into one pipeline. @returns the
  /// first change that was refused, or null
  const RemoteChange* apply(std::span<const RemoteChange> changes) {
    std::string keys;
    const std::vector<Placed> placed = by_slot(changes, keys);
    std::vector<Group> groups;
    groups.reserve(placed.size());
    for (std::size_t begin = 0, end = 0; begin < placed.size(); begin = end) {
      while (end < placed.size() && placed[end].slot == placed[begin].slot) ++end;
      groups.push_back({std::span{placed}.subspan(begin, end - begin)});
    }
    std::vector<Text> arguments;  // of all commands, which are views of it: it must not move
    arguments.reserve(7 * changes.size());
    std::vector<RedisCommand> commands;
    commands.reserve(groups.size());
    for (Group& group : groups) {
      const std::size_t begin = arguments.size();
      group.append_to(arguments);
      commands.push_back({group.changes.front().slot, group.wrote(), std::span{arguments}.subspan(begin)});
    }
    const std::vector<RedisReply> replies = cluster_.run(commands);
    const RemoteChange* first = nullptr;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      groups[i].check(*replies[i]);
      const RemoteChange* const refused = groups[i].refused(*replies[i]);
      if (refused != nullptr && (first == nullptr || refused->operation < first->operation)) first = refused;
    }
    return first;
  }

  void for_each(FunctionRef<void(Text, Text)> visit) {
    RedisScan{cluster_, prefix()}.run([&](const std::vector<std::string>& keys) {
      const std::vector<RedisReply> replies = run_each("GET", redis_wrote::kNever, keys);
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (!is_nil(*replies[i])) visit(Text{keys[i]}.substr(prefix().size()), text_of(*replies[i]));
      }
      return true;
    });
  }

  [[nodiscard]] std::size_t size() {
    std::size_t total = 0;
    RedisScan{cluster_, prefix()}.run([&](const std::vector<std::string>& keys) {
      total += keys.size();
      return true;
    });
    return total;
  }

  [[nodiscard]] bool empty() {
    bool found = false;
    RedisScan{cluster_, prefix()}.run([&](const std::vector<std::string>&) { return !(found = true); });
    return !found;
  }

  /// Never FLUSHALL: others may have keys in the cluster. If it ends half-way, the error says how far it got.
  void clear() {
    std::size_t removed = 0;
    std::optional<ReplicationError> unconfirmed;
    try {
      RedisScan{cluster_, prefix()}.run([&](const std::vector<std::string>& keys) {
        try {
          for (const RedisReply& reply : run_each("UNLINK", redis_wrote::kIfCounted, keys))
            removed += static_cast<std::size_t>(reply->integer);
        } catch (const ReplicationError& error) {  // these are removed
          removed += keys.size();
          unconfirmed = error;
        }
        return true;
      });
    } catch (const UnavailableError& error) {
      throw_partly_cleared(removed, error);
    } catch (const ServerError& error) { throw_partly_cleared(removed, error); }
    if (unconfirmed) throw ReplicationError{*unconfirmed};
  }

 private:
  // A reply counts only if it says what was asked.

  /// To SET with a condition: OK, or nil where the condition does not hold.
  [[nodiscard]] static bool has_set(const redisReply& reply) {
    if (!is_nil(reply) && text_of(reply) != "OK") throw_misunderstood(reply);
    return !is_nil(reply);
  }
  [[nodiscard]] static long long number(const redisReply& reply) {
    if (!is_integer(reply)) throw_misunderstood(reply);
    return reply.integer;
  }
  [[noreturn]] static void throw_misunderstood(const redisReply& reply) {
    throw OutcomeUnknownError{"Redis: the answer makes no sense (\"" +
                              std::string{text_of(reply).substr(0, 80)} +
                              "\"); is there something between this program and the server?"};
  }

  template <class Failure>
  [[noreturn]] void throw_partly_cleared(std::size_t removed, const Failure& error) const {
    if (removed == 0) throw Failure{error};
    throw OutcomeUnknownError{name() + ": clear has removed " + std::to_string(removed) +
                              " entries, and then: " + error.what() + "; call it again to remove the rest"};
  }

  /// Runs the same command on each of several keys, whose slots may differ.
  std::vector<RedisReply> run_each(Text name, RedisWrote wrote, const std::vector<std::string>& keys) {
    std::vector<Text> arguments;
    arguments.reserve(2 * keys.size());
    std::vector<RedisCommand> commands;
    commands.reserve(keys.size());
    for (const std::string& key : keys) {
      arguments.insert(arguments.end(), {name, Text{key}});
      commands.push_back({redis_slot(key), wrote, std::span{arguments}.last(2)});
    }
    return cluster_.run(commands);
  }

  /// A change and its destination.
  struct Placed {
    std::uint16_t slot;
    Text key;
    const RemoteChange* change;
  };

  /// `keys` receives the text of all keys.
  [[nodiscard]] std::vector<Placed> by_slot(std::span<const RemoteChange> changes, std::string& keys) const {
    std::size_t bytes = 0;
    for (const RemoteChange& change : changes) bytes += prefix().size() + change.key.size();
    keys.reserve(bytes);  // never moves from here on
    std::vector<Placed> placed;
    placed.reserve(changes.size());
    for (const RemoteChange& change : changes) {
      if (change.value) (void)checked(change.key, *change.value);
      const std::size_t begin = keys.size();
      keys.append(prefix()).append(change.key);
      const Text key = Text{keys}.substr(begin);
      placed.push_back({redis_slot(key), key, &change});
    }
    std::ranges::sort(placed, {}, [](const Placed& one) { return std::pair{one.slot, one.change}; });
    return placed;
  }

  /// The changes of one slot, as one command.
  struct Group {
    std::span<const Placed> changes;
    std::string count{};

    /// At most seven arguments a change.
    void append_to(std::vector<Text>& list) {
      if (changes.size() == 1) return append_alone(list);
      count = std::to_string(changes.size());
      list.insert(list.end(), {"EVAL", kRedisChangeAll, count});
      for (const Placed& one : changes) list.emplace_back(one.key);
      for (const Placed& one : changes) {
        const std::optional<Text>& value = one.change->value;
        list.insert(list.end(), {before_text(*one.change), value ? "s" : "d", value.value_or(Text{})});
      }
    }

    [[nodiscard]] RedisWrote wrote() const noexcept {
      if (changes.size() > 1) return redis_wrote::kIfZero;
      const RemoteChange& change = *changes.front().change;
      if (!change.value)
        return change.before == Before::absent ? redis_wrote::kNever : redis_wrote::kIfCounted;
      return redis_wrote::kUnlessNil;
    }

    /// @throws OutcomeUnknownError for a reply that says nothing of the kind that was asked
    void check(const redisReply& reply) const {
      if (changes.size() > 1 || !changes.front().change->value) {
        (void)number(reply);
      } else {
        (void)has_set(reply);
      }
    }

    /// The change whose key was not in its required state, or null.
    [[nodiscard]] const RemoteChange* refused(const redisReply& reply) const {
      const RemoteChange& change = *changes.front().change;
      if (changes.size() > 1) {
        return reply.integer <= 0 ? nullptr : changes[static_cast<std::size_t>(reply.integer - 1)].change;
      }
      if (change.before == Before::any) return nullptr;
      if (change.value) return is_nil(reply) ? &change : nullptr;
      return (reply.integer == 1) == (change.before == Before::present) ? nullptr : &change;
    }

   private:
    /// The plain command for one key, which costs the server a third of a script.
    void append_alone(std::vector<Text>& list) const {
      const RemoteChange& change = *changes.front().change;
      const Text key = changes.front().key;
      if (!change.value) {
        list.insert(list.end(), {change.before == Before::absent ? "EXISTS" : "DEL", key});
      } else {
        list.insert(list.end(), {"SET", key, *change.value});
        if (change.before != Before::any) list.emplace_back(change.before == Before::absent ? "NX" : "XX");
      }
    }

    [[nodiscard]] static Text before_text(const RemoteChange& change) noexcept {
      if (change.before == Before::any) return "";
      return change.before == Before::absent ? "a" : "p";
    }
  };

  [[nodiscard]] Text prefix() const noexcept { return cluster_.options().key_prefix; }
  [[nodiscard]] std::string full(Text key) const { return std::string{prefix()}.append(key); }

  /// The largest value that a server accepts by default (`proto-max-bulk-len`). A larger one would make it
  /// drop the connection, and the answer with it.
  [[nodiscard]] static Text checked(Text key, Text value) {
    constexpr std::size_t kMaxBytes = std::size_t{512} << 20;
    if (value.size() <= kMaxBytes) return value;
    throw ValueError{"the value of key " + printable(key, "\"") + " has " + std::to_string(value.size()) +
                     " bytes as JSON, and Redis takes 512 MiB at most; split it over several keys"};
  }

  /// `arguments[place]` becomes the key.
  RedisReply call(Text key, RedisWrote wrote, std::vector<Text> arguments, std::size_t place = 1) {
    const std::string name = full(key);
    arguments[place] = name;
    return cluster_.run(RedisCommand{redis_slot(name), wrote, arguments});
  }

  RedisCluster cluster_;
};

}}}  // namespace kvstore::v1::detail
