// SPDX-License-Identifier: MIT
#pragma once

// What keys and values are made of, byte by byte.

#include <cstddef>
#include <kvstore/codec.hpp>
#include <kvstore/error.hpp>
#include <string>
#include <string_view>

namespace kvctl {

[[nodiscard]] inline bool is_utf8(std::string_view text) {
  kvstore::JsonWriter out;
  try {
    out.string(text);
    return true;
  } catch (const kvstore::ValueError&) { return false; }
}

/// The bytes of the UTF-8 sequence that `text` begins with, which is not empty; 0 if there is none.
[[nodiscard]] inline std::size_t sequence_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t bytes = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  return bytes == 1 || (bytes <= text.size() && is_utf8(text.substr(0, bytes))) ? bytes : 0;
}

/// As `\xNN`.
[[nodiscard]] inline std::string hex_escape(char byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto code = static_cast<unsigned char>(byte);
  return {'\\', 'x', kHex[code >> 4], kHex[code & 0xF]};
}

/// UTF-8 as it is; bytes that are none as `\xNN`, since JSON has no form for them. File names may hold such
/// bytes.
[[nodiscard]] inline std::string readable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t bytes = sequence_bytes(text);
    if (bytes == 0)
      out += hex_escape(text.front());
    else
      out += text.substr(0, bytes);
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return out;
}

}  // namespace kvctl
