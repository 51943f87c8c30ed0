// SPDX-License-Identifier: MIT
#pragma once

// The answers of a Redis server.

#include <charconv>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>

#include <hiredis/hiredis.h>

namespace kvstore { inline namespace v1 { namespace detail {

/// The address at which a server listens.
struct RedisAddress {
  std::string host;
  int port = 0;

  [[nodiscard]] std::string text() const {
    const bool is_v6 = host.find(':') != std::string::npos;
    return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }

  /// Parses `host:port`, split at the last colon, and removes brackets around the host. Nothing if the text
  /// is not of this form.
  [[nodiscard]] static std::optional<RedisAddress> parse(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    if (host.find_first_of("/ ") != std::string_view::npos) return std::nullopt;
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    int port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    if (port < 1 || port > 65535) return std::nullopt;
    return RedisAddress{std::string{host}, port};
  }

  friend bool operator==(const RedisAddress&, const RedisAddress&) = default;
  friend auto operator<=>(const RedisAddress& a, const RedisAddress& b) {
    return std::tie(a.host, a.port) <=> std::tie(b.host, b.port);
  }
};

/// One reply, or a part of a reply owned elsewhere.
class RedisReply {
 public:
  RedisReply() noexcept = default;
  /// Takes ownership of a reply made by `redisReaderGetReply`.
  explicit RedisReply(void* reply) noexcept : owned_{static_cast<redisReply*>(reply)} {}

  [[nodiscard]] explicit operator bool() const noexcept { return owned_ != nullptr; }
  [[nodiscard]] const redisReply& operator*() const noexcept { return *owned_; }
  [[nodiscard]] const redisReply* operator->() const noexcept { return owned_.get(); }

 private:
  struct Free {
    void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
  };
  std::unique_ptr<redisReply, Free> owned_;
};

[[nodiscard]] inline bool is_nil(const redisReply& reply) noexcept { return reply.type == REDIS_REPLY_NIL; }
[[nodiscard]] inline bool is_error(const redisReply& reply) noexcept {
  return reply.type == REDIS_REPLY_ERROR;
}
[[nodiscard]] inline bool is_array(const redisReply& reply, std::size_t fewest = 0) noexcept {
  return reply.type == REDIS_REPLY_ARRAY && reply.elements >= fewest;
}
[[nodiscard]] inline bool is_string(const redisReply& reply) noexcept {
  return reply.type == REDIS_REPLY_STRING;
}
[[nodiscard]] inline bool is_integer(const redisReply& reply) noexcept {
  return reply.type == REDIS_REPLY_INTEGER;
}
/// The bytes of a string, a status or an error; empty for any other kind.
[[nodiscard]] inline std::string_view text_of(const redisReply& reply) noexcept {
  return reply.str == nullptr ? std::string_view{} : std::string_view{reply.str, reply.len};
}

}}}  // namespace kvstore::v1::detail
