// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr std::string_view kHexDigits = "0123456789abcdef";

/// The byte as `\xNN`.
[[nodiscard]] inline std::string hex_escape(char byte) {
  const auto code = static_cast<unsigned char>(byte);
  return {'\\', 'x', kHexDigits[code >> 4], kHexDigits[code & 0xF]};
}

}}}  // namespace kvstore::v1::detail
