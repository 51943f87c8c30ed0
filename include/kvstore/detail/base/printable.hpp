// SPDX-License-Identifier: MIT
#pragma once

// Makes arbitrary bytes fit for a message.

#include <cstddef>
#include <string>
#include <string_view>

#include "kvstore/detail/base/hex.hpp"
#include "kvstore/detail/base/utf8_sequence.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Bytes that a terminal or a log would not print: control characters, and those that are no UTF-8.
/// @returns the end of the character at `at`, or null for such a byte
[[nodiscard]] inline const char* end_of_printable(const char* at, const char* end) noexcept {
  if (static_cast<unsigned char>(*at) < 0x20 || *at == 0x7F) return nullptr;
  return is_ascii(*at) ? at + 1 : sequence_end(at, end);
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
