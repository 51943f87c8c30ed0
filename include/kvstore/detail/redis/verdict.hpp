// SPDX-License-Identifier: MIT
#pragma once

// What became of a command: the rules on which "nothing was changed" rests. An error reply other than a
// redirection or a passing one is a refusal. A reply that is no error says whether it wrote (`RedisWrote`). A
// command without a reply was not carried out if it was not wholly sent; otherwise a write's outcome is
// unknown.

#include <optional>
#include <string_view>

#include "kvstore/detail/redis/reply.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether a reply to a command that may write says that it did. Null for a command that only reads, which
/// may be repeated.
using RedisWrote = bool (*)(const redisReply&) noexcept;

namespace redis_wrote {

inline constexpr RedisWrote kNever = nullptr;
inline constexpr RedisWrote kAlways = [](const redisReply&) noexcept { return true; };
/// SET with NX or XX answers nil if it did nothing.
inline constexpr RedisWrote kUnlessNil = [](const redisReply& reply) noexcept { return !is_nil(reply); };
/// DEL and UNLINK answer with the number of keys that are gone; scripts say 1 where they wrote.
inline constexpr RedisWrote kIfCounted = [](const redisReply& reply) noexcept {
  return is_integer(reply) && reply.integer > 0;
};
/// Scripts of a storage answer with a text, 0 or less if they refuse.
inline constexpr RedisWrote kUnlessRefused = [](const redisReply& reply) noexcept {
  return is_array(reply) || (is_integer(reply) && reply.integer > 0);
};
/// A script that answers 0 when it has written, and otherwise the number of what kept it from writing.
inline constexpr RedisWrote kIfZero = [](const redisReply& reply) noexcept {
  return is_integer(reply) && reply.integer == 0;
};

}  // namespace redis_wrote

/// The request of an error reply to its client. Except for `final`, the command was not carried out.
struct RedisRefusal {
  enum class Kind {
    final,  ///< for the caller
    moved,  ///< the slot is at `target` from now on
    ask,    ///< ask `target`, this once
    stale,  ///< this node's role differs from the map of slots
    later,  ///< the node or the cluster cannot answer just now
  };
  Kind kind = Kind::final;
  std::optional<RedisAddress> target{};

  /// `asked` is the node that sent the error: a redirection may leave out the host, which means the same
  /// host.
  [[nodiscard]] static RedisRefusal of(std::string_view error, const RedisAddress& asked) {
    const std::string_view code = error.substr(0, error.find(' '));
    if (error.starts_with("ERR max number of clients")) return {Kind::later};
    if (code == "MOVED") return {Kind::moved, target_of(error, asked)};
    if (code == "ASK") return {Kind::ask, target_of(error, asked)};
    if (code == "READONLY") return {Kind::stale};
    for (const std::string_view passing :
         {"TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "BUSY", "NOREPLICAS"}) {
      if (code == passing) return {Kind::later};
    }
    return {};
  }

 private:
  [[nodiscard]] static std::optional<RedisAddress> target_of(std::string_view error,
                                                             const RedisAddress& asked) {
    std::optional<RedisAddress> target = RedisAddress::parse(error.substr(error.rfind(' ') + 1));
    if (target && target->host.empty()) target->host = asked.host;
    return target;
  }
};

/// Where to set a password, if a server's refusal is about it.
[[nodiscard]] inline const char* hint_of_password(std::string_view refusal) noexcept {
  const bool is_about_it = refusal.starts_with("NOAUTH") || refusal.starts_with("WRONGPASS");
  return is_about_it ? " (RedisClusterOptions::user, password or credentials)" : "";
}

}}}  // namespace kvstore::v1::detail
