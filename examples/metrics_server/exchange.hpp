// SPDX-License-Identifier: MIT
#pragma once

// A request and its answer, as the handlers see them: without sockets.

#include <boost/beast/http/fields.hpp>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace metrics_server {

struct Request {
  std::string method;
  std::string target;  ///< as sent
  boost::beast::http::fields headers{};
  std::string body{};

  [[nodiscard]] bool has_header(const char* name) const { return headers.count(name) != 0; }
  [[nodiscard]] std::size_t count_headers(const char* name) const { return headers.count(name); }
  /// Of a header that is a list: all that is given, in one; nothing if there is none.
  [[nodiscard]] std::optional<std::string> list(const char* name) const {
    std::optional<std::string> all;
    const auto [first, last] = headers.equal_range(name);
    for (auto at = first; at != last; ++at) {
      const auto value = at->value();
      all = (all ? *all + "," : std::string{}).append(value.data(), value.size());
    }
    return all;
  }
  [[nodiscard]] std::string header(const char* name) const {
    const auto value = headers[name];
    return {value.data(), value.size()};
  }
};

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Response {
  int status = 200;
  Headers headers{};
  std::string body{};
  /// Where it is set, the body follows piece by piece: appends the next piece, and returns whether more come.
  std::function<bool(std::string&)> next_piece{};

  void set_header(std::string name, std::string value) {
    headers.emplace_back(std::move(name), std::move(value));
  }
  void set_content(std::string content, const char* type) {
    body = std::move(content);
    set_header("Content-Type", type);
  }
};

/// For names of hosts and the like, whose case means nothing. ASCII letters only.
[[nodiscard]] inline std::string lower_case(std::string_view text) {
  std::string out{text};
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return out;
}

}  // namespace metrics_server
