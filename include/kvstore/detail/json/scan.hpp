// SPDX-License-Identifier: MIT
#pragma once

// Finds the end of a JSON string or value, at several gigabytes a second, by looking at quotes and brackets
// only. The text between them is left for the parser of the value to judge. In valid text the result is
// exact. In invalid text the scan never reads past the end, recurses or allocates.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "kvstore/detail/text/byte_block.hpp"
#include "kvstore/json_text.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

struct JsonEnd {
  enum class Outcome { complete, incomplete, malformed };
  Outcome outcome;
  std::size_t position;            ///< one past the last byte if complete; the fault if malformed
  bool plain = false;              ///< a string of ASCII without escapes: its text can be used as it is
  const char* expected = nullptr;  ///< if malformed
};

// ---- Blocks of 64 bytes, one bit a byte ---------------------------------------------------------------

struct JsonBlock {
  std::uint64_t quote = 0;
  std::uint64_t backslash = 0;
  std::uint64_t open = 0;     ///< { or [
  std::uint64_t close = 0;    ///< } or ]
  std::uint64_t control = 0;  ///< below 0x20
};

inline constexpr std::size_t kJsonBlockBytes = 64;

inline JsonBlock classify_portable(const char* bytes) {
  JsonBlock block;
  for (std::size_t i = 0; i < kJsonBlockBytes; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const std::uint64_t bit = std::uint64_t{1} << i;
    if (byte == '"') block.quote |= bit;
    if (byte == '\\') block.backslash |= bit;
    if ((byte | 0x20U) == '{') block.open |= bit;  // the bit tells [ from { and ] from }
    if ((byte | 0x20U) == '}') block.close |= bit;
    if (byte < 0x20U) block.control |= bit;
  }
  return block;
}

#if defined(__SSE2__) && !defined(KVSTORE_NO_SIMD)

inline std::uint64_t byte_mask(__m128i matches) {
  return static_cast<std::uint32_t>(_mm_movemask_epi8(matches));
}

inline __m128i is_control(__m128i bytes) {
  const __m128i most = _mm_set1_epi8(0x1f);
  return _mm_cmpeq_epi8(_mm_max_epu8(bytes, most), most);
}

/// One bit for each of the 64 bytes at `bytes` for which `matches`, a comparison of 16 bytes, holds.
template <class Matches>
std::uint64_t block_mask(const char* bytes, const Matches& matches) {
  return byte_mask(matches(load_block(bytes))) | byte_mask(matches(load_block(bytes + 16))) << 16U |
         byte_mask(matches(load_block(bytes + 32))) << 32U |
         byte_mask(matches(load_block(bytes + 48))) << 48U;
}

inline JsonBlock classify(const char* bytes) {
  const auto is = [bytes](char wanted) {
    return block_mask(bytes,
                      [wanted](__m128i chunk) { return _mm_cmpeq_epi8(chunk, _mm_set1_epi8(wanted)); });
  };
  const auto folds_to = [bytes](char wanted) {
    return block_mask(bytes, [wanted](__m128i chunk) {
      return _mm_cmpeq_epi8(_mm_or_si128(chunk, _mm_set1_epi8(0x20)), _mm_set1_epi8(wanted));
    });
  };
  return {.quote = is('"'),
          .backslash = is('\\'),
          .open = folds_to('{'),
          .close = folds_to('}'),
          .control = block_mask(bytes, is_control)};
}

#else

inline JsonBlock classify(const char* bytes) { return classify_portable(bytes); }

#endif

/// Tracks from block to block which bytes are inside strings.
class JsonStringMask {
 public:
  /// Opening quotes count as inside, closing ones as outside.
  std::uint64_t next(const JsonBlock& block) {
    std::uint64_t inside = block.quote & ~escaped(block.backslash);
    for (unsigned shift = 1; shift < 64; shift *= 2) inside ^= inside << shift;  // parity of quotes so far
    inside ^= inside_before_;
    inside_before_ = (inside >> 63U) != 0 ? ~std::uint64_t{0} : 0;
    return inside;
  }

 private:
  /// Bytes that follow an odd number of backslashes.
  std::uint64_t escaped(std::uint64_t backslash) {
    if (backslash == 0 && !escaped_before_) return 0;
    std::uint64_t result = escaped_before_ ? 1 : 0;
    escaped_before_ = false;
    for (backslash &= ~result; backslash != 0;) {
      const std::uint64_t first = backslash & (~backslash + 1);
      const std::uint64_t second = first << 1U;
      escaped_before_ = second == 0;
      result |= second;
      backslash &= ~(first | second);
    }
    return result;
  }

  std::uint64_t inside_before_ = 0;
  bool escaped_before_ = false;
};

// ---- Ends ---------------------------------------------------------------------------------------------

inline JsonEnd malformed_json(std::size_t position, const char* expected) {
  return {JsonEnd::Outcome::malformed, position, false, expected};
}

inline JsonEnd control_in_string(std::size_t position) {
  return malformed_json(position, "no control character inside a string (it would need an escape)");
}

/// Skips ordinary bytes of a string, in steps of 16, up to the first that needs a closer look.
inline std::size_t skip_string_bytes(std::string_view text, std::size_t position, bool& ascii) {
#if defined(__SSE2__) && !defined(KVSTORE_NO_SIMD)
  while (text.size() - position >= 16) {
    const __m128i chunk = load_block(text.data() + position);
    const __m128i quote = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('"'));
    const __m128i backslash = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\\'));
    const std::uint64_t special = byte_mask(_mm_or_si128(_mm_or_si128(quote, backslash), is_control(chunk)));
    const std::uint64_t before = special == 0 ? 0xffffU : special ^ (special - 1);
    ascii = ascii && (byte_mask(chunk) & before) == 0;
    if (special != 0) return position + static_cast<std::size_t>(std::countr_zero(special));
    position += 16;
  }
#endif
  for (; position < text.size(); ++position) {
    const auto byte = static_cast<unsigned char>(text[position]);
    if (byte == '"' || byte == '\\' || byte < 0x20U) break;
    ascii = ascii && byte < 0x80U;
  }
  return position;
}

/// The end of the string whose opening quote is at `start`.
inline JsonEnd string_end(std::string_view text, std::size_t start) {
  bool plain = true;
  std::size_t position = start + 1;
  while (true) {
    position = skip_string_bytes(text, position, plain);
    if (position >= text.size()) break;
    if (text[position] == '"') return {JsonEnd::Outcome::complete, position + 1, plain};
    if (text[position] != '\\') return control_in_string(position);
    plain = false;
    position += 2;
    if (position >= text.size()) break;
  }
  return {JsonEnd::Outcome::incomplete, text.size()};
}

inline JsonBlock block_at(std::string_view text, std::size_t position) {
  if (text.size() - position >= kJsonBlockBytes) return classify(text.data() + position);
  char padded[kJsonBlockBytes];
  std::memset(padded, ' ', sizeof padded);
  std::memcpy(padded, text.data() + position, text.size() - position);
  return classify(padded);
}

/// The end of the object or array whose opening bracket is at `start`; does not distinguish } from ].
inline JsonEnd container_end(std::string_view text, std::size_t start) {
  JsonStringMask strings;
  int depth = 0;
  for (std::size_t base = start; base < text.size(); base += kJsonBlockBytes) {
    const JsonBlock block = block_at(text, base);
    const std::uint64_t inside = strings.next(block);
    const std::uint64_t controls = block.control & inside;
    for (std::uint64_t rest = (block.open | block.close) & ~inside; rest != 0; rest &= rest - 1) {
      const auto bit = static_cast<unsigned>(std::countr_zero(rest));
      if (controls != 0 && static_cast<unsigned>(std::countr_zero(controls)) < bit) break;
      depth += ((block.open >> bit) & 1U) != 0 ? 1 : -1;
      if (depth == 0) return {JsonEnd::Outcome::complete, base + bit + 1};
      if (depth > kMaxDepth) return malformed_json(base + bit, "at most 512 levels of nesting");
    }
    if (controls != 0) return control_in_string(base + static_cast<std::size_t>(std::countr_zero(controls)));
  }
  return {JsonEnd::Outcome::incomplete, text.size()};
}

/// Whether a byte may occur in a number or in `true`, `false`, `null`.
constexpr bool is_scalar_byte(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || byte == '-' || byte == '+' ||
         byte == '.' || byte == 'E';
}

#if defined(__SSE2__) && !defined(KVSTORE_NO_SIMD)

/// The same for 16 bytes, one bit each.
inline std::uint64_t scalar_mask(__m128i bytes) {
  const auto is = [bytes](char wanted) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(wanted)); };
  const auto is_within = [bytes](char least, char most) {
    const __m128i above = _mm_sub_epi8(bytes, _mm_set1_epi8(least));
    return _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8(static_cast<char>(most - least))), above);
  };
  const __m128i digits_and_letters = _mm_or_si128(is_within('0', '9'), is_within('a', 'z'));
  const __m128i signs = _mm_or_si128(is('-'), is('+'));
  const __m128i others = _mm_or_si128(is('.'), is('E'));
  return byte_mask(_mm_or_si128(digits_and_letters, _mm_or_si128(signs, others)));
}

#endif

/// The end of the number or word that begins at `start`.
inline JsonEnd scalar_end(std::string_view text, std::size_t start) {
  std::size_t end = start;
#if defined(__SSE2__) && !defined(KVSTORE_NO_SIMD)
  while (text.size() - end >= 16) {
    const auto run = static_cast<std::size_t>(std::countr_one(scalar_mask(load_block(text.data() + end))));
    end += run;
    if (run < 16) break;
  }
#endif
  while (end < text.size() && is_scalar_byte(text[end])) ++end;
  if (end == text.size()) return {JsonEnd::Outcome::incomplete, end};
  if (end == start) return malformed_json(start, "a value");
  return {JsonEnd::Outcome::complete, end};
}

/// The end of the value whose first byte is at `start`. Incomplete means that the text ends first.
inline JsonEnd value_end(std::string_view text, std::size_t start) {
  if (start >= text.size()) return {JsonEnd::Outcome::incomplete, text.size()};
  switch (text[start]) {
    case '"':
      return string_end(text, start);
    case '{':
    case '[':
      return container_end(text, start);
    default:
      return scalar_end(text, start);
  }
}

}}}  // namespace kvstore::v1::detail
