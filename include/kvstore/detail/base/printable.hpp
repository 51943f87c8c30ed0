// SPDX-License-Identifier: MIT
#pragma once

// Makes arbitrary bytes fit for a message.

#include <cstddef>
#include <string>
#include <string_view>

#include "kvstore/detail/base/hex.hpp"
#include "kvstore/detail/base/utf8_sequence.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether these are the bytes of a character that a terminal obeys: U+0080 to U+009F, which are control
/// characters as well, and those that turn the direction of the text around them.
[[nodiscard]] inline bool is_obeyed(std::string_view character) noexcept {
  if (character.size() == 2) return character[0] == '\xC2' && static_cast<unsigned char>(character[1]) < 0xA0;
  const auto is_one_of = [character](std::string_view first, char from, char to) {
    return character.starts_with(first) && character[2] >= from && character[2] <= to;
  };
  return character.size() == 3 &&
         (is_one_of("\xE2\x80", '\x8E', '\x8F') || is_one_of("\xE2\x80", '\xAA', '\xAE') ||
          is_one_of("\xE2\x81", '\xA6', '\xA9'));
}

/// Bytes that a terminal or a log would not print: control characters, and those that are no UTF-8.
/// @returns the end of the character at `at`, or null for such a byte
[[nodiscard]] inline const char* end_of_printable(const char* at, const char* end) noexcept {
  if (static_cast<unsigned char>(*at) < 0x20 || *at == 0x7F) return nullptr;
  if (is_ascii(*at)) return at + 1;
  const char* const next = sequence_end(at, end);
  return next != nullptr && is_obeyed({at, static_cast<std::size_t>(next - at)}) ? nullptr : next;
}

/// All of a message, on one line: a hostile file must not reach a terminal or a log through an error's text.
[[nodiscard]] inline std::string printable_line(std::string_view message) {
  std::string out;
  out.reserve(message.size());
  const char* at = message.data();
  const char* const end = at + message.size();
  while (at != end) {
    const char* const next = end_of_printable(at, end);
    if (next != nullptr) {
      out.append(at, next);
      at = next;
    } else {
      out += hex_escape(*at++);
    }
  }
  return out;
}

/// The first bytes, about 64, in a form fit for a terminal: bytes that are not printable UTF-8 appear as
/// `\xNN`.
[[nodiscard]] inline std::string printable(std::string_view bytes, std::string_view quote) {
  constexpr std::size_t kMaxBytes = 64;
  std::string out{quote};
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  while (at != end && out.size() < kMaxBytes) {
    const char* const next = end_of_printable(at, end);
    if (next == nullptr) {
      out += hex_escape(*at++);
      continue;
    }
    if (!quote.empty() && (*at == '"' || *at == '\\')) out += '\\';
    out.append(at, next);
    at = next;
  }
  return out.append(at == end ? "" : "...").append(quote);
}

}}}  // namespace kvstore::v1::detail
