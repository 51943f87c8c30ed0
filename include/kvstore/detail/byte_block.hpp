// SPDX-License-Identifier: MIT
#pragma once

// Looks at 16 bytes of text in one step. The scalar versions do the same where SSE2 is missing, or where
// KVSTORE_NO_SIMD is defined.

#if defined(__SSE2__) && !defined(KVSTORE_NO_SIMD)
#include <emmintrin.h>
#else
#include <cstring>
#endif

namespace kvstore::inline v0::detail {

inline constexpr int kBlockSize = 16;

/// Whether a byte cannot stand in a JSON string unseen: a control character, a quote, a backslash, or part of
/// a character outside ASCII (whose UTF-8 must be checked).
[[nodiscard]] constexpr bool is_special(char byte) noexcept {
  const auto code = static_cast<unsigned char>(byte);
  return code < 0x20 || code >= 0x80 || byte == '"' || byte == '\\';
}

#if defined(__SSE2__) && !defined(KVSTORE_NO_SIMD)

[[nodiscard]] inline __m128i load_block(const char* in) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
}

[[nodiscard]] inline unsigned special_bits(__m128i block) noexcept {
  // Compared as signed numbers, the bytes from 0x80 on are below 0x20 as well.
  const __m128i low = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20));
  const __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
  const __m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, backslash))));
}

/// One bit for each of the 16 bytes at `in` that `is_special`, the first byte's lowest.
[[nodiscard]] inline unsigned special_bits(const char* in) noexcept { return special_bits(load_block(in)); }

/// Copies 16 bytes and returns their `special_bits`.
[[nodiscard]] inline unsigned copy_block(char* out, const char* in) noexcept {
  const __m128i block = load_block(in);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), block);
  return special_bits(block);
}

/// Whether one of the 16 bytes at `in` is not ASCII.
[[nodiscard]] inline bool has_non_ascii(const char* in) noexcept {
  return _mm_movemask_epi8(load_block(in)) != 0;
}

#else

[[nodiscard]] inline unsigned special_bits(const char* in) noexcept {
  unsigned bits = 0;
  for (int i = 0; i < kBlockSize; ++i) bits |= static_cast<unsigned>(is_special(in[i])) << i;
  return bits;
}

[[nodiscard]] inline unsigned copy_block(char* out, const char* in) noexcept {
  std::memcpy(out, in, kBlockSize);
  return special_bits(in);
}

[[nodiscard]] inline bool has_non_ascii(const char* in) noexcept {
  unsigned all = 0;
  for (int i = 0; i < kBlockSize; ++i) all |= static_cast<unsigned char>(in[i]);
  return all >= 0x80;
}

#endif

}  // namespace kvstore::inline v0::detail
