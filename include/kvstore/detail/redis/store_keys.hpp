// SPDX-License-Identifier: MIT
#pragma once

// The keys in which RedisClusterStorage keeps a store, and the scripts that change them. All keys share one
// hash tag, so they are in one slot and a script over them is atomic.

#include <string>
#include <string_view>

#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The keys of one store.
struct RedisStoreKeys {
  std::string entries;  ///< hash: key text -> JSON
  std::string meta;     ///< hash: format, schema, save (stamp of the last), writer (who may save), staged
  std::string lock;     ///< string that expires: the writer, while it is alive

  /// @throws UsageError for a name that would spread the keys over several slots
  RedisStoreKeys(std::string_view prefix, std::string_view name) {
    if (name.empty() || name.find_first_of("{}") != std::string_view::npos ||
        prefix.find_first_of("{}") != std::string_view::npos) {
      throw UsageError{
          "RedisClusterStorage: the name must not be empty, and neither it nor the key prefix may "
          "have braces"};
    }
    const std::string tagged = std::string{prefix} + '{' + std::string{name} + '}';
    entries = tagged + ":entries";
    meta = tagged + ":meta";
    lock = tagged + ":lock";
  }

  /// The key in which one save collects the data that it puts in place at the end.
  [[nodiscard]] std::string staged(std::string_view writer, std::string_view number) const {
    return entries + ":staged:" + std::string{writer} + ':' + std::string{number};
  }
};

inline constexpr std::string_view kRedisStoreFormat = "1";

/// KEYS lock, meta; ARGV writer, lease in ms. Makes ARGV[1] the writer unless another one is alive, which is
/// returned then; otherwise returns an array of the keys that the previous writer has left staged.
inline constexpr std::string_view kRedisAcquire =
    "local alive = redis.call('GET', KEYS[1]) "
    "if alive and alive ~= ARGV[1] then return alive end "
    "local staged = redis.call('HGET', KEYS[2], 'staged') "
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) "
    "redis.call('HSET', KEYS[2], 'writer', ARGV[1]) "
    "return {staged}";

/// KEYS lock, meta; ARGV writer, lease in ms. Renews the writer's lease; returns 0 if another one is the
/// writer now.
inline constexpr std::string_view kRedisRenew =
    "if redis.call('HGET', KEYS[2], 'writer') ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) "
    "return 1";

/// KEYS lock; ARGV writer.
inline constexpr std::string_view kRedisRelease =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1";

// The scripts that save have KEYS meta, entries and perhaps staged, and ARGV writer, schema version, the
// stamp of the save that they build on (or "any"), their own number, and the number of elements in staged.
// Their stamp is "writer/number"; the number of entries stands beside it, so that entries which others have
// removed, or the server has evicted, are missed. They return 1 on success. Otherwise nothing is changed, and
// they return 0 if another writer has taken over; -1 if the stored data are not those last written (a leader
// came back without its data, or a replica without the last writes took over); -2 if a later save of this
// writer came first.

inline constexpr std::string_view kRedisSaveStart =
    "if redis.call('HGET', KEYS[1], 'writer') ~= ARGV[1] and redis.call('HEXISTS', KEYS[1], 'writer') == 1 "
    "then return 0 end "
    "local last = redis.call('HGET', KEYS[1], 'save') or '' "
    "local writer, number = string.match(last, '^(.*)/(%d+)$') "
    "if writer == ARGV[1] and tonumber(number) >= tonumber(ARGV[4]) then return -2 end "
    "local count, counted = string.match(redis.call('HGET', KEYS[1], 'count') or '', '^(%d+) (.*)$') "
    "if ARGV[3] ~= 'any' and (last ~= ARGV[3] or "
    "(counted == last and redis.call('HLEN', KEYS[2]) ~= tonumber(count))) then return -1 end ";

inline constexpr std::string_view kRedisSaveEnd =
    "redis.call('HSET', KEYS[1], 'format', '1', 'writer', ARGV[1], 'schema', ARGV[2], "
    "'save', ARGV[1] .. '/' .. ARGV[4], "
    "'count', redis.call('HLEN', KEYS[2]) .. ' ' .. ARGV[1] .. '/' .. ARGV[4]) "
    "redis.call('HDEL', KEYS[1], 'staged') "
    "return 1";

/// Further ARGV, per change: s or d, key, value.
inline constexpr std::string_view kRedisSaveChanges =
    "for i = 6, #ARGV, 3 do "
    "  if ARGV[i] == 's' then redis.call('HSET', KEYS[2], ARGV[i + 1], ARGV[i + 2]) "
    "  else redis.call('HDEL', KEYS[2], ARGV[i + 1]) end "
    "end ";

/// Staged is a list of the same arguments.
inline constexpr std::string_view kRedisSaveStagedChanges =
    "if redis.call('LLEN', KEYS[3]) ~= tonumber(ARGV[5]) then return -1 end "
    "for first = 0, redis.call('LLEN', KEYS[3]) - 1, 3000 do "
    "  local part = redis.call('LRANGE', KEYS[3], first, first + 2999) "
    "  for i = 1, #part, 3 do "
    "    if part[i] == 's' then redis.call('HSET', KEYS[2], part[i + 1], part[i + 2]) "
    "    else redis.call('HDEL', KEYS[2], part[i + 1]) end "
    "  end "
    "end "
    "redis.call('DEL', KEYS[3]) ";

/// Staged is a hash, which replaces all entries.
inline constexpr std::string_view kRedisSaveEverything =
    "if redis.call('HLEN', KEYS[3]) ~= tonumber(ARGV[5]) then return -1 end "
    "redis.call('UNLINK', KEYS[2]) "
    "if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('RENAME', KEYS[3], KEYS[2]) end ";

}}}  // namespace kvstore::v1::detail
