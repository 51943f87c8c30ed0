// SPDX-License-Identifier: MIT
#pragma once

// Makes arbitrary bytes fit for a message.

#include <cstddef>
#include <string>
#include <string_view>

#include "kvstore/detail/base/hex.hpp"
#include "kvstore/detail/text/utf8_sequence.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The first bytes, about 64, in a form fit for a terminal: bytes that are not printable UTF-8 appear as
/// `\xNN`.
[[nodiscard]] inline std::string printable(std::string_view bytes, std::string_view quote) {
  constexpr std::size_t kMaxBytes = 64;
  std::string out{quote};
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  while (at != end && out.size() < kMaxBytes) {
    const char* const next = is_ascii(*at) ? at + 1 : sequence_end(at, end);
    const bool is_control = static_cast<unsigned char>(*at) < 0x20 || *at == 0x7F;
    if (next == nullptr || is_control) {
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
