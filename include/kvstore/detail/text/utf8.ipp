// SPDX-License-Identifier: MIT
#pragma once

// The definitions of utf8.hpp.

#include <cstddef>
#include <string>
#include <string_view>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/utf8_sequence.hpp"
#include "kvstore/detail/text/byte_block.hpp"
#include "kvstore/detail/text/utf8.hpp"
#include "kvstore/detail/text/utf8_blocks.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE const char* find_invalid_utf8(const char* at, const char* end) noexcept {
#if defined(KVSTORE_UTF8_BLOCKS)
  const auto size = static_cast<std::size_t>(end - at);
  if (size >= kBlockSize && has_utf8_blocks() && is_valid_utf8_by_blocks(at, size)) return end;
#endif
  return find_invalid_utf8_plainly(at, end);
}

KVSTORE_INLINE bool is_all_ascii(std::string_view text) noexcept {
  const char* at = text.data();
  std::size_t left = text.size();
  unsigned beyond = 0;
  for (; left >= kBlockSize; left -= kBlockSize, at += kBlockSize)
    beyond |= beyond_ascii_bits(load_block(at));
  return (beyond | beyond_ascii_bits(load_part_block(at, left))) == 0;
}

KVSTORE_INLINE bool is_valid_utf8(std::string_view text) noexcept {
  const char* const end = text.data() + text.size();
  return is_all_ascii(text) || find_invalid_utf8(text.data(), end) == end;
}

KVSTORE_INLINE void throw_invalid_utf8(std::size_t offset) {
  throw ValueError{"text is not valid UTF-8 at its byte " + std::to_string(offset) +
                   "; JSON holds text only, so encode binary data first, for example as base64"};
}

KVSTORE_INLINE void check_utf8_beyond_ascii(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* const bad = find_invalid_utf8(text.data(), end);
  if (bad != end) throw_invalid_utf8(static_cast<std::size_t>(bad - text.data()));
}

KVSTORE_INLINE void check_utf8(std::string_view text) {
  if (!is_all_ascii(text)) check_utf8_beyond_ascii(text);
}

KVSTORE_INLINE std::size_t write_utf8(char* out, char32_t code) noexcept {
  const std::size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  constexpr char32_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  for (std::size_t i = size - 1; i > 0; --i) {
    out[i] = static_cast<char>(0x80 | (code & 0x3F));
    code >>= 6;
  }
  out[0] = static_cast<char>(kLead[size] | code);
  return size;
}

}}}  // namespace kvstore::v1::detail
