// SPDX-License-Identifier: MIT
#pragma once

// Validates UTF-8, 16 bytes at a time, on processors with SSSE3 (any x86-64 since 2008). The function is
// compiled for SSSE3 whatever the program is compiled for; support is checked at run time.
//
// Three tables of 16 entries each list, for the two halves of a byte and the upper half of the next one, the
// mistakes that the pair may be. A mistake on which all three agree is real. Only the third and fourth bytes
// of a character need more. Source: "Validating UTF-8 In Less Than One Instruction Per Byte" by John Keiser
// and Daniel Lemire.

#include <cstddef>
#include <cstdint>

#include "kvstore/detail/text/byte_block.hpp"

#if defined(__SSE2__) && defined(__GNUC__) && !defined(KVSTORE_NO_SIMD)
#define KVSTORE_UTF8_BLOCKS 1
#include <tmmintrin.h>

namespace kvstore { inline namespace v1 { namespace detail {

// The mistakes that a pair of bytes may be, by bit.
inline constexpr std::uint8_t kTooShort = 1 << 0;   // 11______ 0_______, 11______ 11______
inline constexpr std::uint8_t kTooLong = 1 << 1;    // 0_______ 10______
inline constexpr std::uint8_t kOverlong3 = 1 << 2;  // 11100000 100_____
inline constexpr std::uint8_t kTooLarge = 1 << 3;   // 11110100 101_____ and above
inline constexpr std::uint8_t kSurrogate = 1 << 4;  // 11101101 101_____
inline constexpr std::uint8_t kOverlong2 = 1 << 5;  // 1100000_ 10______
inline constexpr std::uint8_t kOverlong4 = 1 << 6;  // 11110000 1000____, and 11110101 1000____ and above
inline constexpr std::uint8_t kTwoTails = 1 << 7;   // 10______ 10______: wrong unless the character goes on
inline constexpr std::uint8_t kAnyLow = kTooShort | kTooLong | kTwoTails;  // for any lower half

struct Utf8Table {
  alignas(16) std::uint8_t mistakes[16];
};

inline constexpr Utf8Table kFirstUpper{{kTooLong, kTooLong, kTooLong, kTooLong, kTooLong, kTooLong, kTooLong,
                                        kTooLong,                                    // 0_______
                                        kTwoTails, kTwoTails, kTwoTails, kTwoTails,  // 10______
                                        kTooShort | kOverlong2, kTooShort,           // 110_____
                                        kTooShort | kOverlong3 | kSurrogate,         // 1110____
                                        kTooShort | kTooLarge | kOverlong4}};        // 1111____

inline constexpr std::uint8_t kAbove = kAnyLow | kTooLarge | kOverlong4;
inline constexpr Utf8Table kFirstLower{{kAnyLow | kOverlong3 | kOverlong2 | kOverlong4, kAnyLow | kOverlong2,
                                        kAnyLow, kAnyLow, kAnyLow | kTooLarge, kAbove, kAbove, kAbove, kAbove,
                                        kAbove, kAbove, kAbove, kAbove, kAbove | kSurrogate, kAbove, kAbove}};

inline constexpr std::uint8_t kTail = kTooLong | kOverlong2 | kTwoTails;
inline constexpr Utf8Table kSecondUpper{
    {kTooShort, kTooShort, kTooShort, kTooShort, kTooShort, kTooShort, kTooShort, kTooShort,  // 0_______
     kTail | kOverlong3 | kOverlong4,                                                         // 1000____
     kTail | kOverlong3 | kTooLarge,                                                          // 1001____
     kTail | kSurrogate | kTooLarge, kTail | kSurrogate | kTooLarge,                          // 101_____
     kTooShort, kTooShort, kTooShort, kTooShort}};                                            // 11______

/// The bits of the mistakes in `block`, which follows `before`; 0 if there are none.
[[gnu::target("ssse3")]] inline Block utf8_mistakes(Block before, Block block) noexcept {
  const auto table = [](const Utf8Table& entries) {
    return _mm_load_si128(reinterpret_cast<const Block*>(entries.mistakes));
  };
  const Block nibble = _mm_set1_epi8(0x0F);
  const Block one_before = _mm_alignr_epi8(block, before, 15);
  const Block first_upper =
      _mm_shuffle_epi8(table(kFirstUpper), _mm_and_si128(_mm_srli_epi16(one_before, 4), nibble));
  const Block first_lower = _mm_shuffle_epi8(table(kFirstLower), _mm_and_si128(one_before, nibble));
  const Block second_upper =
      _mm_shuffle_epi8(table(kSecondUpper), _mm_and_si128(_mm_srli_epi16(block, 4), nibble));
  const Block pairs = _mm_and_si128(_mm_and_si128(first_upper, first_lower), second_upper);
  // Two tails in a row are right exactly where the second is the third or fourth byte of a character.
  const Block third = _mm_subs_epu8(_mm_alignr_epi8(block, before, 14), _mm_set1_epi8(0xE0 - 0x80));
  const Block fourth = _mm_subs_epu8(_mm_alignr_epi8(block, before, 13), _mm_set1_epi8(0xF0 - 0x80));
  const Block wants_tail = _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8(static_cast<char>(0x80)));
  return _mm_xor_si128(wants_tail, pairs);
}

[[gnu::target("ssse3")]] inline bool is_valid_utf8_by_blocks(const char* at, std::size_t size) noexcept {
  Block before = _mm_setzero_si128();
  Block mistakes = _mm_setzero_si128();
  for (; size >= kBlockSize; at += kBlockSize, size -= kBlockSize) {
    const Block block = load_block(at);
    mistakes = _mm_or_si128(mistakes, utf8_mistakes(before, block));
    before = block;
  }
  // The zeros after the end cut off an incomplete character.
  mistakes = _mm_or_si128(mistakes, utf8_mistakes(before, load_part_block(at, size)));
  return _mm_movemask_epi8(_mm_cmpeq_epi8(mistakes, _mm_setzero_si128())) == 0xFFFF;
}

[[nodiscard]] inline bool has_utf8_blocks() noexcept {
#if defined(__SSSE3__)
  return true;
#else
  return __builtin_cpu_supports("ssse3") != 0;
#endif
}

}}}  // namespace kvstore::v1::detail

#endif
