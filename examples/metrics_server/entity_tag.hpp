// SPDX-License-Identifier: MIT
#pragma once

// Entity tags (RFC 9110): who changes a value that he has read before, says which one he read.

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

namespace metrics_server {

/// As hexadecimal digits.
[[nodiscard]] inline std::string sha256(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error{"OpenSSL has no SHA-256"};
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string digits;
  for (unsigned i = 0; i < length; ++i) digits.append({kHex[digest[i] >> 4], kHex[digest[i] & 0xF]});
  return digits;
}

/// SHA-256 of the value's bytes. Nobody can make two values of one tag, so that If-Match never takes one for
/// the other.
[[nodiscard]] inline std::string tag_of(std::string_view value) { return '"' + sha256(value) + '"'; }

/// Weakly compared, a tag that a proxy has made weak (W/"…") is ours too; strongly it is not.
enum class Comparison { strong, weak };

/// Whether a list as in If-Match names the tag; "*" names any.
[[nodiscard]] inline bool names(std::string_view list, std::string_view tag,
                                Comparison comparison = Comparison::strong) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view word = list.substr(0, comma);
    while (!word.empty() && (word.front() == ' ' || word.front() == '\t')) word.remove_prefix(1);
    while (!word.empty() && (word.back() == ' ' || word.back() == '\t')) word.remove_suffix(1);
    if (comparison == Comparison::weak && word.starts_with("W/")) word.remove_prefix(2);
    if (word == "*" || word == tag) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

}  // namespace metrics_server
