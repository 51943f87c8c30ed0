// SPDX-License-Identifier: MIT
#pragma once

// What the command line and the environment say.

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "outcome.hpp"

namespace metrics_server {

inline constexpr const char* kTokenVariable = "METRICS_SERVER_TOKEN";
inline constexpr std::size_t kMinToken = 16;

struct Options {
  std::string path;
  std::string storage;  ///< "json", "journal", or empty: as the files say
  std::size_t batch_size = 100;
  double save_interval = 10;  ///< seconds
  std::string address = "127.0.0.1";
  int port = 8080;
  std::string token_file;
  std::vector<std::string> host_names;  ///< under which the server is known besides its address
  std::size_t max_body = 1024 * 1024;
  bool demo = false;
  bool read_only = false;
};

/// Whether only this machine reaches an address. @throws Failure if it is none
[[nodiscard]] inline bool is_loopback(const std::string& address) {
  in_addr v4{};
  in6_addr v6{};
  if (address == "localhost") return true;
  if (::inet_pton(AF_INET, address.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  if (::inet_pton(AF_INET6, address.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  throw Failure{kUsage,
                "--address takes an address in numbers, such as 127.0.0.1, ::1 or 0.0.0.0, not " + address};
}

/// Who must not be asked to type it again: what a header can carry unchanged.
inline void check_token(const std::string& token, const std::string& from) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
  if (token.size() < kMinToken) {
    throw Failure{kUsage, from + ": the token has " + std::to_string(token.size()) + " characters; use " +
                              std::to_string(kMinToken) + " or more, such as those of: openssl rand -hex 32"};
  }
  if (token.find_first_not_of(kAllowed) != std::string::npos)
    throw Failure{kUsage, from + ": a token is made of letters, digits and -._~+/= only"};
}

[[nodiscard]] inline std::string read_token_file(const std::string& path) {
  std::ifstream file{path};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  if (!file) throw Failure{kUsage, "--token-file " + path + ": cannot be read"};
  text.erase(
      std::find_if_not(text.rbegin(), text.rend(), [](char c) { return c == '\n' || c == '\r'; }).base(),
      text.end());
  check_token(text, "--token-file " + path);
  return text;
}

/// The token that requests must bring; empty if they need none. Never from the command line, which every user
/// of the machine can read.
[[nodiscard]] inline std::string token_of(const Options& options) {
  if (!options.token_file.empty()) return read_token_file(options.token_file);
  const char* const variable =
      std::getenv(kTokenVariable);  // NOLINT(concurrency-mt-unsafe): before any thread
  if (variable != nullptr) {
    check_token(variable, kTokenVariable);
    return variable;
  }
  if (is_loopback(options.address)) return "";
  throw Failure{kUsage,
                "other machines reach " + options.address +
                    ", so requests must bring a token: put one into a file and name it by --token-file, or "
                    "into the environment variable " +
                    kTokenVariable};
}

}  // namespace metrics_server
