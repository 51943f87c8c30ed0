// SPDX-License-Identifier: MIT
#pragma once

// Examines 16 bytes of text in one step. The scalar versions do the same if SSE2 is missing or
// KVSTORE_NO_SIMD is defined.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__) && !defined(KVSTORE_NO_SIMD)
#include <emmintrin.h>
#endif

#include "kvstore/detail/base/load_word.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr int kBlockSize = 16;

/// Whether a byte of a JSON string needs a closer look: a control character, a quote or a backslash, which
/// JSON requires to be escaped, or part of a character outside ASCII, whose UTF-8 must be checked.
[[nodiscard]] constexpr bool is_special(char byte) noexcept {
  const auto code = static_cast<unsigned char>(byte);
  return code < 0x20 || code >= 0x80 || byte == '"' || byte == '\\';
}

// Each of these returns one bit for each byte of a block, the lowest bit for the first byte: `special_bits`
// for special bytes, `beyond_ascii_bits` for bytes outside ASCII, `equal_bits` for bytes equal to `byte`.

#if defined(__SSE2__) && !defined(KVSTORE_NO_SIMD)

using Block = __m128i;

[[nodiscard]] inline Block load_block(const char* in) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
}

/// The first 8 of `size` bytes, padded with zeros, as a number whose lowest byte is the first. Reads no other
/// bytes: overlapping parts are combined.
[[nodiscard]] inline std::uint64_t load_padded_word(const char* in, std::size_t size) noexcept {
  if (size >= 8) return load_word<std::uint64_t>(in);
  if (size >= 4) {
    return load_word<std::uint32_t>(in) | load_word<std::uint32_t>(in + size - 4) << (8 * (size - 4));
  }
  if (size == 0) return 0;
  const std::size_t middle = size / 2;
  return load_word<std::uint8_t>(in) | load_word<std::uint8_t>(in + middle) << (8 * middle) |
         load_word<std::uint8_t>(in + size - 1) << (8 * (size - 1));
}

/// A block of `size` bytes, fewer than 16, padded with zeros. Reads no other bytes.
[[nodiscard]] inline Block load_part_block(const char* in, std::size_t size) noexcept {
  const std::uint64_t low = load_padded_word(in, size);
  const std::uint64_t high = size <= 8 ? 0 : load_word<std::uint64_t>(in + size - 8) >> (8 * (16 - size));
  return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}

inline void store_block(char* out, Block block) noexcept {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), block);
}

[[nodiscard]] inline unsigned special_bits(Block block) noexcept {
  // Compared as signed numbers, the bytes from 0x80 on are below 0x20 as well.
  const Block low = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20));
  const Block quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
  const Block backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, backslash))));
}

[[nodiscard]] inline unsigned beyond_ascii_bits(Block block) noexcept {
  return static_cast<unsigned>(_mm_movemask_epi8(block));
}

[[nodiscard]] inline unsigned equal_bits(Block block, std::uint8_t byte) noexcept {
  const Block equal = _mm_cmpeq_epi8(block, _mm_set1_epi8(static_cast<char>(byte)));
  return static_cast<unsigned>(_mm_movemask_epi8(equal));
}

#else

struct Block {
  char bytes[kBlockSize];
};

[[nodiscard]] inline Block load_part_block(const char* in, std::size_t size) noexcept {
  Block block{};
  if (size != 0) std::memcpy(block.bytes, in, size);
  return block;
}

[[nodiscard]] inline Block load_block(const char* in) noexcept { return load_part_block(in, kBlockSize); }

inline void store_block(char* out, const Block& block) noexcept { std::memcpy(out, block.bytes, kBlockSize); }

[[nodiscard]] inline unsigned special_bits(const Block& block) noexcept {
  unsigned bits = 0;
  for (std::size_t i = 0; i < kBlockSize; ++i) {
    bits |= static_cast<unsigned>(is_special(block.bytes[i])) << i;
  }
  return bits;
}

[[nodiscard]] inline unsigned beyond_ascii_bits(const Block& block) noexcept {
  unsigned bits = 0;
  for (std::size_t i = 0; i < kBlockSize; ++i) {
    bits |= static_cast<unsigned>(static_cast<unsigned char>(block.bytes[i]) >= 0x80) << i;
  }
  return bits;
}

[[nodiscard]] inline unsigned equal_bits(const Block& block, std::uint8_t byte) noexcept {
  unsigned bits = 0;
  for (std::size_t i = 0; i < kBlockSize; ++i) {
    bits |= static_cast<unsigned>(static_cast<std::uint8_t>(block.bytes[i]) == byte) << i;
  }
  return bits;
}

#endif

/// The findings about up to 16 bytes of a JSON string's content.
struct TextStep {
  Block block;
  std::size_t plain;    ///< bytes before the first that JSON requires to be escaped, or all
  bool ends_at_escape;  ///< whether there is such a byte
  bool beyond_ascii;    ///< whether any byte is outside ASCII, in the whole block
};

[[nodiscard]] inline TextStep text_step(const char* in, std::size_t left) noexcept {
  const std::size_t size = left < kBlockSize ? left : kBlockSize;
  const Block block = left >= kBlockSize ? load_block(in) : load_part_block(in, size);
  const unsigned beyond = beyond_ascii_bits(block);
  const unsigned escape = special_bits(block) & ~beyond & ((1U << size) - 1);
  const std::size_t plain = escape == 0 ? size : static_cast<std::size_t>(std::countr_zero(escape));
  return {block, plain, escape != 0, beyond != 0};
}

}}}  // namespace kvstore::v1::detail
