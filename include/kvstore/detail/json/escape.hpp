// SPDX-License-Identifier: MIT
#pragma once

// The escapes of JSON strings: the text that replaces a quote, a backslash or a control character, and the
// meaning of a letter after a backslash.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kvstore/detail/base/hex.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

struct JsonEscape {
  char text[7];       ///< padded, so that copying it takes one step whatever its size
  std::uint8_t size;  ///< 0 if the byte stands for itself
};

// Pairs: the byte, the letter.
inline constexpr std::string_view kNamedEscapes = "\"\"\\\\\bb\ff\nn\rr\tt";

[[nodiscard]] constexpr std::array<JsonEscape, 128> make_json_escapes() {
  std::array<JsonEscape, 128> escapes{};
  for (std::size_t code = 0; code < 0x20; ++code) {
    escapes[code] = {{'\\', 'u', '0', '0', kHexDigits[code >> 4], kHexDigits[code & 0xF], '\0'}, 6};
  }
  for (std::size_t i = 0; i < kNamedEscapes.size(); i += 2) {
    escapes[static_cast<unsigned char>(kNamedEscapes[i])] = {
        {'\\', kNamedEscapes[i + 1], '\0', '\0', '\0', '\0', '\0'}, 2};
  }
  return escapes;
}

/// By ASCII code.
inline constexpr std::array<JsonEscape, 128> kJsonEscapes = make_json_escapes();

[[nodiscard]] constexpr std::array<char, 128> make_json_unescapes() {
  std::array<char, 128> bytes{};
  for (std::size_t i = 0; i < kNamedEscapes.size(); i += 2) {
    bytes[static_cast<unsigned char>(kNamedEscapes[i + 1])] = kNamedEscapes[i];
  }
  bytes['/'] = '/';  // may be escaped, but need not be
  return bytes;
}

/// The byte that a letter after a backslash stands for, by ASCII code; 0 for letters without a meaning, and
/// for the u before a number.
inline constexpr std::array<char, 128> kJsonUnescapes = make_json_unescapes();

}}}  // namespace kvstore::v1::detail
