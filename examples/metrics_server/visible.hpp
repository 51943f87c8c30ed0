// SPDX-License-Identifier: MIT
#pragma once

// Text that others chose, for a terminal or a log: a key in a file may hold what a terminal obeys, ends a
// line or turns the text around it.

#include <algorithm>
#include <array>
#include <cstddef>
#include <iostream>
#include <kvstore/error.hpp>
#include <kvstore/key_text.hpp>
#include <string>
#include <string_view>

namespace metrics_server {

[[nodiscard]] inline bool is_utf8(const std::string& text) {
  try {
    kvstore::KeyText<std::string>::check(text);
    return true;
  } catch (const kvstore::ValueError&) { return false; }
}

/// The character of one UTF-8 sequence.
[[nodiscard]] inline char32_t code_point(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence.front());
  char32_t code = first & (sequence.size() == 1 ? 0x7FU : 0xFFU >> (sequence.size() + 1));
  for (const char c : sequence.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3FU);
  return code;
}

/// Whether a character is not seen, or changes how others are.
[[nodiscard]] inline bool is_invisible(char32_t code) {
  struct Range {
    char32_t first, last;
  };
  constexpr std::array<Range, 12> kRanges{{{0, 0x1F},
                                           {0x7F, 0x9F},
                                           {0xAD, 0xAD},
                                           {0x61C, 0x61C},
                                           {0x180E, 0x180E},
                                           {0x200B, 0x200F},
                                           {0x2028, 0x202E},
                                           {0x2060, 0x206F},
                                           {0xFE00, 0xFE0F},
                                           {0xFEFF, 0xFEFF},
                                           {0xFFF9, 0xFFFB},
                                           {0xE0000, 0xE0FFF}}};
  return std::any_of(kRanges.begin(), kRanges.end(),
                     [&](const Range& range) { return range.first <= code && code <= range.last; });
}

/// On one line: bytes of what is invisible, or no UTF-8, become `\xNN`.
[[nodiscard]] inline std::string visible(const std::string& text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string shown;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t bytes = 1;
    while (bytes <= 4 && !is_utf8(text.substr(at, bytes))) ++bytes;
    const bool plain = bytes <= 4 && !is_invisible(code_point(std::string_view{text}.substr(at, bytes)));
    if (bytes > 4) bytes = 1;
    for (const char c : text.substr(at, bytes)) {
      const auto byte = static_cast<unsigned char>(c);
      shown += plain ? std::string{c} : std::string{'\\', 'x', kHex[byte >> 4], kHex[byte & 0xF]};
    }
    at += bytes;
  }
  return shown;
}

/// In one piece, since several threads may have something to say.
inline void complain(const std::string& message) {
  std::cerr << "metrics_server: " + visible(message) + "\n" << std::flush;
}

}  // namespace metrics_server
