// SPDX-License-Identifier: MIT
#pragma once

// What a request names: a path and a query. Read from the bytes that were sent: in a decoded path a key's
// "%2F" would look like a slash between two parts of it.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <initializer_list>
#include <kvstore/error.hpp>
#include <kvstore/key_text.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "exchange.hpp"
#include "problem.hpp"

namespace metrics_server {

inline constexpr std::string_view kEntries = "/entries";
inline constexpr std::size_t kMaxTarget = 16 * 1024;
inline constexpr std::size_t kMaxKey = 4096;   ///< bytes: three times as many, encoded, fit any path
inline constexpr std::size_t kMaxPart = 1024;  ///< bytes of a text that is searched for

struct Target {
  std::string path;                          ///< as sent
  std::map<std::string, std::string> query;  ///< decoded

  [[nodiscard]] const std::string* find(const std::string& name) const {
    const auto found = query.find(name);
    return found == query.end() ? nullptr : &found->second;
  }

  /// A misspelt parameter that was ignored would list too much, or change another entry.
  void allow_only(std::initializer_list<std::string_view> names) const {
    for (const auto& [name, value] : query) {
      if (std::find(names.begin(), names.end(), name) == names.end())
        throw Refusal{400, "there is no parameter \"" + name + "\" here"};
    }
  }

  /// @throws Refusal unless the parameter is missing or a number from `least` to `most`
  [[nodiscard]] std::size_t number(const std::string& name, std::size_t least, std::size_t most,
                                   std::size_t missing) const {
    const std::string* const text = find(name);
    if (text == nullptr) return missing;
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error == std::errc{} && end == text->data() + text->size() && value >= least && value <= most)
      return value;
    throw Refusal{400,
                  name + " is to be a number from " + std::to_string(least) + " to " + std::to_string(most)};
  }
};

[[nodiscard]] inline int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

[[nodiscard]] inline std::string percent_decoded(std::string_view text, bool plus_is_space) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) throw Refusal{400, "after a % come two hexadecimal digits; a % itself is %25"};
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

[[nodiscard]] inline std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPlain.find(c) != std::string_view::npos)
      out += c;
    else
      out.append({'%', kHex[byte >> 4], kHex[byte & 0xF]});
  }
  return out;
}

inline void add_parameter(Target& target, std::string_view pair) {
  const std::size_t equals = std::min(pair.find('='), pair.size());
  std::string name = percent_decoded(pair.substr(0, equals), true);
  std::string value = equals == pair.size() ? "" : percent_decoded(pair.substr(equals + 1), true);
  if (!target.query.emplace(name, std::move(value)).second)
    throw Refusal{400, "the parameter \"" + name + "\" is given twice"};
}

/// A request may name the whole address, as to a proxy; the host in it then counts (RFC 9112, 3.2.2).
inline void make_origin_form(Request& request) {
  constexpr std::string_view kScheme = "http://";
  if (lower_case(request.target.substr(0, kScheme.size())) != kScheme) return;
  const std::string rest = request.target.substr(kScheme.size());
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  if (request.count_headers("Host") == 1) request.headers.set("Host", rest.substr(0, end));
  request.target = (end < rest.size() && rest[end] == '/' ? "" : "/") + rest.substr(end);
}

[[nodiscard]] inline Target parse_target(std::string_view text) {
  if (!text.starts_with('/')) throw Refusal{400, "a request names a path"};
  const std::size_t question = std::min(text.find('?'), text.size());
  Target target{.path = std::string{text.substr(0, question)}, .query = {}};
  std::string_view rest = text.substr(std::min(question + 1, text.size()));
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    if (end != 0) add_parameter(target, rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return target;
}

[[nodiscard]] inline std::string too_long_key() {
  return "the key is longer than " + std::to_string(kMaxKey) +
         " bytes; entries of such keys can be listed and exported only";
}

/// The key that a path /entries/KEY or a query /entries?key=KEY names, which may be empty; nothing if it
/// names none. There are two forms since clients take /entries/.. for a path that leads elsewhere.
[[nodiscard]] inline std::optional<std::string> key_of(const Target& target) {
  std::optional<std::string> key;
  const std::string_view path = target.path;
  const bool in_path = path.starts_with(kEntries) && path.substr(kEntries.size()).starts_with('/');
  if (in_path && target.find("key") != nullptr)
    throw Refusal{400, "the path names a key already, so there is no parameter \"key\""};
  if (path == kEntries && target.find("key") != nullptr) {
    key = *target.find("key");
  } else if (in_path) {
    const std::string_view encoded = path.substr(kEntries.size() + 1);
    if (encoded.find('/') != std::string_view::npos) return std::nullopt;
    key = percent_decoded(encoded, false);
  } else {
    return std::nullopt;
  }
  if (key->size() > kMaxKey) throw Refusal{414, too_long_key()};
  try {
    kvstore::KeyText<std::string>::check(*key);
  } catch (const kvstore::ValueError& error) { throw Refusal{400, std::string{"the key: "} + error.what()}; }
  return key;
}

/// Where the entry of a key is found.
[[nodiscard]] inline std::string path_of(const std::string& key) {
  const bool leads_elsewhere = key == "." || key == "..";
  return std::string{kEntries} + (leads_elsewhere ? "?key=" : "/") + percent_encoded(key);
}

}  // namespace metrics_server
