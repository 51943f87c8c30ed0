// SPDX-License-Identifier: MIT
#pragma once

// UTF-8 as JSON demands it, character by character: well-formed by table 3-7 of the Unicode standard, so
// without overlong forms, surrogates and code points above U+10FFFF. `utf8.hpp` does the same faster.

#include <cstddef>

namespace kvstore { inline namespace v1 { namespace detail {

[[nodiscard]] constexpr bool is_ascii(char byte) noexcept { return static_cast<unsigned char>(byte) < 0x80; }

/// The end of the character of 2 to 4 bytes that starts at `at`, or null if it is not well-formed.
[[nodiscard]] constexpr const char* sequence_end(const char* at, const char* end) noexcept {
  const auto byte = [at](std::ptrdiff_t i) { return static_cast<unsigned char>(at[i]); };
  const auto lead = byte(0);
  const std::ptrdiff_t size = lead < 0xC2 || lead > 0xF4 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (size == 0 || end - at < size) return nullptr;
  const int low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;   // below: overlong
  const int high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;  // above: surrogate, beyond U+10FFFF
  if (byte(1) < low || byte(1) > high) return nullptr;
  for (std::ptrdiff_t i = 2; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return nullptr;
  }
  return at + size;
}

/// The first byte that breaks UTF-8, or `end`.
[[nodiscard]] constexpr const char* find_invalid_utf8_plainly(const char* at, const char* end) noexcept {
  while (at != end) {
    const char* const next = is_ascii(*at) ? at + 1 : sequence_end(at, end);
    if (next == nullptr) return at;
    at = next;
  }
  return end;
}

}}}  // namespace kvstore::v1::detail
