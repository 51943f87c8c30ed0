// SPDX-License-Identifier: MIT
#pragma once

// Loads the entries of a store that is one hash of a Redis Cluster, and misses those that have gone.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "kvstore/detail/base/printable.hpp"
#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/detail/redis/cluster.hpp"
#include "kvstore/detail/redis/pipeline.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/redis/slot.hpp"
#include "kvstore/detail/redis/store_keys.hpp"
#include "kvstore/detail/redis/verdict.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

inline void check_redis_answer(bool makes_sense, const std::filesystem::path& path, const char* command) {
  if (!makes_sense) throw StorageError{path, {}, std::string{command} + ": an answer that makes no sense"};
}

/// *Thread safety*: none. The arguments of the constructor outlive it.
class RedisStoreLoader {
 public:
  RedisStoreLoader(RedisCluster& cluster, const RedisStoreKeys& keys, const std::filesystem::path& path)
      : cluster_{cluster}, keys_{keys}, path_{path} {}

  /// Loads part by part: no other process may save meanwhile. HSCAN may return a field twice. After a
  /// failover it may also skip some, since cursors have another meaning on another node. So the count
  /// decides.
  [[nodiscard]] std::size_t scan(LoadSink& sink) const {
    constexpr int kTries = 10;
    std::unordered_set<std::string, SecretTextHash> seen;
    for (int tries = 0; tries < kTries; ++tries) {
      std::string cursor = "0";
      do {
        const RedisReply reply = ask({"HSCAN", keys_.entries, cursor, "COUNT", "1000"});
        check_redis_answer(is_array(*reply, 2) && is_array(*reply->element[1]), path_, "HSCAN");
        cursor = text_of(*reply->element[0]);
        const redisReply& fields = *reply->element[1];
        for (std::size_t i = 0; i + 1 < fields.elements; i += 2) {
          const Text key = text_of(*fields.element[i]);
          if (seen.emplace(key).second) put(sink, key, text_of(*fields.element[i + 1]));
        }
      } while (cursor != "0");
      const RedisReply count = ask({"HLEN", keys_.entries});
      if (static_cast<std::uint64_t>(count->integer) == seen.size()) return seen.size();
    }
    throw StorageError{path_, {}, "its entries change while they are loaded, though nobody else may save"};
  }

  /// Loads the state as of one moment, while others may save.
  [[nodiscard]] std::size_t read_at_once(LoadSink& sink) const {
    const RedisReply fields = ask({"HGETALL", keys_.entries});
    for (std::size_t i = 0; i + 1 < fields->elements; i += 2) {
      put(sink, text_of(*fields->element[i]), text_of(*fields->element[i + 1]));
    }
    return fields->elements / 2;
  }

  /// `counted` is the number of entries that the last save has left, and its stamp; releases before 0.2 leave
  /// neither. A reader may meet the entries of a later save.
  void check_count(std::string_view counted, std::string_view last, std::size_t entries) const {
    const std::size_t space = counted.find(' ');
    if (space == std::string_view::npos || counted.substr(space + 1) != last) return;
    const std::string number{counted.substr(0, space)};
    if (number == std::to_string(entries)) return;
    const RedisReply save = ask({"HGET", keys_.meta, "save"});
    if (text_of(*save) != last) return;
    throw StorageError{path_,
                       {},
                       "has " + std::to_string(entries) + " entries, and " + number +
                           " were saved: others have removed some, or the server has evicted them; restore "
                           "them, or go on with those that are there after `HDEL " +
                           keys_.meta + " count`"};
  }

 private:
  using Text = std::string_view;

  void put(LoadSink& sink, Text key, Text value) const {
    try {
      sink.put(key, value);
    } catch (const ParseError& error) {
      throw CorruptionError{path_, "field " + printable(key, "\""), error.what()};
    }
  }

  [[nodiscard]] RedisReply ask(const std::vector<Text>& arguments) const {
    return cluster_.run(RedisCommand{redis_slot(keys_.entries), redis_wrote::kNever, arguments});
  }

  RedisCluster& cluster_;
  const RedisStoreKeys& keys_;
  const std::filesystem::path& path_;
};

}}}  // namespace kvstore::v1::detail
