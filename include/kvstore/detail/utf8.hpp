// SPDX-License-Identifier: MIT
#pragma once

// UTF-8 as JSON demands it: well-formed by the Unicode standard's table 3-7, so neither overlong forms nor
// surrogates nor anything above U+10FFFF.

#include <cstddef>
#include <string>
#include <string_view>

#include "kvstore/detail/byte_block.hpp"
#include "kvstore/error.hpp"

namespace kvstore::inline v0::detail {

[[nodiscard]] constexpr bool is_ascii(char byte) noexcept { return static_cast<unsigned char>(byte) < 0x80; }

/// The end of the character of 2 to 4 bytes that starts at `at`, or null if there is no well-formed one.
[[nodiscard]] inline const char* sequence_end(const char* at, const char* end) noexcept {
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
[[nodiscard]] inline const char* find_invalid_utf8(const char* at, const char* end) noexcept {
  while (at != end) {
    if (end - at >= kBlockSize && !has_non_ascii(at)) {
      at += kBlockSize;
    } else if (is_ascii(*at)) {
      ++at;
    } else {
      const char* const next = sequence_end(at, end);
      if (next == nullptr) return at;
      at = next;
    }
  }
  return end;
}

[[nodiscard]] inline bool is_valid_utf8(std::string_view text) noexcept {
  const char* const end = text.data() + text.size();
  return find_invalid_utf8(text.data(), end) == end;
}

[[noreturn]] inline void throw_invalid_utf8(std::size_t offset) {
  throw ValueError{"text is not valid UTF-8 at its byte " + std::to_string(offset) +
                   "; JSON holds text only, so encode binary data first, for example as base64"};
}

/// Refuses text that JSON cannot hold.
inline void check_utf8(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* const bad = find_invalid_utf8(text.data(), end);
  if (bad != end) throw_invalid_utf8(static_cast<std::size_t>(bad - text.data()));
}

/// Appends a code point, which must not be a surrogate.
inline void append_utf8(std::string& out, char32_t code) {
  const auto put = [&out](char32_t byte) {
    out.push_back(static_cast<char>(static_cast<unsigned char>(byte)));
  };
  const auto tail = [&put, code](unsigned shift) { put(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    tail(6);
    tail(0);
  } else {
    put(0xF0 | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace kvstore::inline v0::detail
