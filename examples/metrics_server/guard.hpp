// SPDX-License-Identifier: MIT
#pragma once

// Who may ask: everything that is decided before a body is read.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "exchange.hpp"
#include "problem.hpp"

namespace metrics_server {

/// Takes as long for a wrong token as for the right one, so that nobody finds it out character by character.
[[nodiscard]] inline bool equal_in_constant_time(std::string_view wanted, std::string_view given) {
  volatile unsigned difference = wanted.size() == given.size() ? 0 : 1;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const char other = given.empty() ? '\0' : given[i % given.size()];
    difference = difference | static_cast<unsigned>(static_cast<unsigned char>(wanted[i] ^ other));
  }
  return difference == 0;
}

/// "name", "name:80" or "[::1]:80", without the port.
[[nodiscard]] inline std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos &&
                        host.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
  return has_port ? host.substr(0, colon) : host;
}

class Guard {
 public:
  struct Policy {
    std::string token;       ///< empty: none is needed
    bool check_host = true;  ///< whether `host_names` are the only ones
    std::vector<std::string> host_names;
    std::size_t max_body = 0;
  };

  explicit Guard(Policy policy) : policy_{std::move(policy)} {}

  /// A page elsewhere can make its visitor's browser send requests here. It may have given its own name this
  /// machine's address (DNS rebinding): then `Host` shows it; else `Origin` or `Sec-Fetch-Site` do.
  void check_origin(const Request& request) const {
    if (request.count_headers("Host") != 1) throw Refusal{400, "a request has one Host header"};
    const std::string host = lower_case(request.header("Host"));
    const auto& names = policy_.host_names;
    if (policy_.check_host && std::find(names.begin(), names.end(), without_port(host)) == names.end())
      throw Refusal{
          421, "this server is not called \"" + host + "\"; --host-name makes it known under another name"};
    if (request.has_header("Origin")) {
      const std::string origin = lower_case(request.header("Origin"));
      if (origin != "http://" + host && origin != "https://" + host)
        throw Refusal{403, "pages of \"" + origin + "\" have no access"};
    }
  }

  /// Where a link from elsewhere may lead to the page, data is for the page alone.
  void check_site(const Request& request) const {
    const std::string site = request.header("Sec-Fetch-Site");
    if (!site.empty() && site != "same-origin" && site != "none")
      throw Refusal{403, "pages of other sites have no access"};
  }

  void check_token(const Request& request) const {
    if (policy_.token.empty()) return;
    constexpr std::string_view kScheme = "bearer ";
    const std::string given = request.header("Authorization");
    const auto same = [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b | 0x20 : b); };
    const bool bearer =
        given.size() > kScheme.size() && std::equal(kScheme.begin(), kScheme.end(), given.begin(), same);
    if (bearer && equal_in_constant_time(policy_.token, std::string_view{given}.substr(kScheme.size())))
      return;
    throw Refusal{401,
                  "this needs the server's token: Authorization: Bearer TOKEN",
                  {{"WWW-Authenticate", "Bearer realm=\"metrics_server\""}}};
  }

  /// No form on a page elsewhere can send this type.
  void check_body(const Request& request, std::string_view type) const {
    const std::string given = lower_case(request.header("Content-Type"));
    const std::size_t end = std::min(given.find_first_of("; \t"), given.size());
    const auto refuse = [&](const std::string& why) {
      throw Refusal{415, why, {{request.method == "PATCH" ? "Accept-Patch" : "Accept", std::string{type}}}};
    };
    if (given.substr(0, end) != type) {
      const std::string said = given.empty() ? "no Content-Type" : "Content-Type: " + given;
      refuse("the request says " + said + "; send -H 'Content-Type: " + std::string{type} + "'");
    }
    if (!is_utf8(given.substr(end))) refuse("the body is to be UTF-8, not as in Content-Type: " + given);
    if (request.has_header("Content-Encoding"))
      refuse("the body is to come as it is, not encoded: leave Content-Encoding out");
    check_length(request);
  }

  [[nodiscard]] std::string too_large() const {
    return "the body is larger than " + std::to_string(policy_.max_body) + " bytes; see --max-body";
  }
  [[nodiscard]] bool asks_for_token() const noexcept { return !policy_.token.empty(); }
  [[nodiscard]] std::size_t max_body() const noexcept { return policy_.max_body; }

 private:
  /// `parameters` of a media type.
  [[nodiscard]] static bool is_utf8(std::string_view parameters) {
    const std::size_t at = parameters.find("charset=");
    if (at == std::string_view::npos) return true;
    const std::string_view set = parameters.substr(at + 8);
    return set.starts_with("utf-8") || set.starts_with("\"utf-8\"") || set.starts_with("us-ascii");
  }

  void check_length(const Request& request) const {
    const std::size_t lengths = request.count_headers("Content-Length");
    const std::size_t codings = request.count_headers("Transfer-Encoding");
    if (lengths + codings == 0) throw Refusal{411, "a body comes with its Content-Length"};
    if (lengths + codings > 1) throw Refusal{400, "a body has one length"};
    if (codings == 1) {  // counted as it comes
      if (lower_case(request.header("Transfer-Encoding")) == "chunked") return;
      throw Refusal{501, "of transfer codings only \"chunked\" is known"};
    }
    const std::string text = request.header("Content-Length");
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (end != text.data() + text.size() || error == std::errc::invalid_argument)
      throw Refusal{400, "Content-Length is no number"};
    if (error != std::errc{} || length > policy_.max_body) throw Refusal{413, too_large()};
  }

  Policy policy_;
};

}  // namespace metrics_server
