// SPDX-License-Identifier: MIT
#pragma once

// Entity tags (RFC 9110): who changes a value that he has read before, says which one he read.

#include <array>
#include <cstdio>
#include <kvstore/hash.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace metrics_server {

[[nodiscard]] inline std::string tag_of(const nlohmann::json& value) {
  std::array<char, 24> text{};
  const unsigned long long hash = kvstore::Hash<std::string>{}(value.dump());
  const int length = std::snprintf(text.data(), text.size(), "\"%016llx\"", hash);
  return {text.data(), static_cast<std::size_t>(length)};
}

/// Whether a list as in If-Match names the tag; "*" names any. A weak tag (W/"…") is none of ours.
[[nodiscard]] inline bool names(std::string_view list, std::string_view tag) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view word = list.substr(0, comma);
    while (!word.empty() && (word.front() == ' ' || word.front() == '\t')) word.remove_prefix(1);
    while (!word.empty() && (word.back() == ' ' || word.back() == '\t')) word.remove_suffix(1);
    if (word == "*" || word == tag) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

}  // namespace metrics_server
