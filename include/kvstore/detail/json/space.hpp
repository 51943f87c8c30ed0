// SPDX-License-Identifier: MIT
#pragma once

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether a byte is white space in JSON.
[[nodiscard]] constexpr bool is_json_space(char byte) noexcept {
  return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

}}}  // namespace kvstore::v1::detail
