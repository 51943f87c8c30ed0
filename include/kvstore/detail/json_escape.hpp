// SPDX-License-Identifier: MIT
#pragma once

// What JSON writes in a string instead of a quote, a backslash or a control character.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kvstore::inline v0::detail {

struct JsonEscape {
  char text[7];       ///< filled up, so that copying it takes one step whatever its size
  std::uint8_t size;  ///< 0 if the byte stands for itself
};

[[nodiscard]] constexpr std::array<JsonEscape, 128> make_json_escapes() {
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::string_view kNamed = "\"\"\\\\\bb\ff\nn\rr\tt";  // pairs: the byte, the letter
  std::array<JsonEscape, 128> escapes{};
  for (std::size_t code = 0; code < 0x20; ++code) {
    escapes[code] = {{'\\', 'u', '0', '0', kHex[code >> 4], kHex[code & 0xF], '\0'}, 6};
  }
  for (std::size_t i = 0; i < kNamed.size(); i += 2) {
    escapes[static_cast<std::size_t>(kNamed[i])] = {{'\\', kNamed[i + 1], '\0', '\0', '\0', '\0', '\0'}, 2};
  }
  return escapes;
}

/// By ASCII code.
inline constexpr std::array<JsonEscape, 128> kJsonEscapes = make_json_escapes();

}  // namespace kvstore::inline v0::detail
