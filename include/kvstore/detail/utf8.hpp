// SPDX-License-Identifier: MIT
#pragma once

// Checks and writes UTF-8: `utf8_sequence.hpp` says what counts as well-formed.

#include <cstddef>
#include <string>
#include <string_view>

#include "kvstore/detail/byte_block.hpp"
#include "kvstore/detail/utf8_sequence.hpp"
#include "kvstore/error.hpp"

namespace kvstore::inline v0::detail {

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
