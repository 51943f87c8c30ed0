// SPDX-License-Identifier: MIT
#pragma once

// Reads the numbers that occur most, integers and short decimals, in one pass. What is unusual (19 digits, a
// fraction that is not exact, anything malformed) is left to the functions of `json_number.hpp`, which read
// every number and say what is wrong with it.

#include <array>
#include <bit>
#include <cfloat>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kvstore::inline v0::detail {

/// Digits read so far, as one number.
struct Digits {
  std::uint64_t value = 0;
  const char* at;
};

[[nodiscard]] constexpr bool is_digit(char byte) noexcept { return byte >= '0' && byte <= '9'; }

/// Whether each of 8 bytes is a digit: 3 is their upper half, and still is when 6 is added.
[[nodiscard]] inline bool are_digits(std::uint64_t bytes) noexcept {
  constexpr std::uint64_t kUpper = 0xF0F0F0F0F0F0F0F0U;
  return ((bytes & kUpper) | ((bytes + 0x0606060606060606U) & kUpper) >> 4U) == 0x3333333333333333U;
}

/// The number of which 8 bytes are the digits, the lowest byte the first: puts together pairs, then pairs of
/// these, and so on.
[[nodiscard]] inline std::uint64_t eight_digits(std::uint64_t bytes) noexcept {
  bytes = ((bytes & 0x0F0F0F0F0F0F0F0FU) * (10 * 256 + 1)) >> 8U;
  bytes = ((bytes & 0x00FF00FF00FF00FFU) * (100 * 65536 + 1)) >> 16U;
  return ((bytes & 0x0000FFFF0000FFFFU) * (10000 * 4294967296U + 1)) >> 32U;
}

/// Reads on to the last digit. The value is right while there are no more than 19 of them.
[[nodiscard]] inline Digits read_digits(Digits digits, const char* end) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    while (end - digits.at >= 8) {
      std::uint64_t bytes = 0;
      std::memcpy(&bytes, digits.at, sizeof bytes);
      if (!are_digits(bytes)) break;
      digits = {digits.value * 100'000'000 + eight_digits(bytes), digits.at + 8};
    }
  }
  for (; digits.at != end && is_digit(*digits.at); ++digits.at) {
    digits.value = digits.value * 10 + static_cast<std::uint64_t>(*digits.at - '0');
  }
  return digits;
}

inline constexpr std::ptrdiff_t kMostDigits = 18;  // which no 64-bit number is too small for

/// The digits before a point; null if they are none that JSON allows, or too many.
[[nodiscard]] inline Digits read_whole_digits(const char* start, const char* end) noexcept {
  const Digits digits = read_digits({0, start}, end);
  const auto count = digits.at - start;
  const bool is_plain = count == 1 || (count > 1 && count <= kMostDigits && *start != '0');
  return {digits.value, is_plain ? digits.at : nullptr};
}

struct ShortInteger {
  std::int64_t value;
  const char* end;  ///< null if it must be read the other way
};

[[nodiscard]] inline ShortInteger read_short_integer(const char* at, const char* end) noexcept {
  const bool negative = at != end && *at == '-';
  const Digits digits = read_whole_digits(at + (negative ? 1 : 0), end);
  if (digits.at == nullptr) return {0, nullptr};
  const bool goes_on = digits.at != end && (*digits.at == '.' || *digits.at == 'e' || *digits.at == 'E');
  const auto value = static_cast<std::int64_t>(digits.value);
  return {negative ? -value : value, goes_on ? nullptr : digits.at};
}

/// Every power of ten that a double holds exactly.
inline constexpr std::array<double, 23> kExactPowers{1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/// Whether doubles are computed as such, and rounded to the nearest, as they are unless a program asks for
/// something else.
[[nodiscard]] inline bool rounds_to_nearest() noexcept {
  static volatile float tiny = FLT_MIN;
  return FLT_EVAL_METHOD == 0 && tiny + 1.0F == 1.0F - tiny;
}

struct ShortDecimal {
  double value;
  const char* end;  ///< null if it must be read the other way
};

/// Where digits and power of ten are both exact as doubles, their product or quotient is the nearest double:
/// one rounding. Source: "How to Read Floating Point Numbers Accurately" by William Clinger.
[[nodiscard]] inline double scaled(std::uint64_t digits, std::ptrdiff_t exponent) noexcept {
  const auto value = static_cast<double>(digits);
  return exponent < 0 ? value / kExactPowers[static_cast<std::size_t>(-exponent)]
                      : value * kExactPowers[static_cast<std::size_t>(exponent)];
}

[[nodiscard]] inline ShortDecimal read_short_decimal(const char* at, const char* end) noexcept {
  constexpr ShortDecimal kOther{0, nullptr};
  const bool negative = at != end && *at == '-';
  const char* const start = at + (negative ? 1 : 0);
  Digits digits = read_whole_digits(start, end);
  if (digits.at == nullptr) return kOther;
  std::ptrdiff_t exponent = 0;
  if (digits.at != end && *digits.at == '.') {
    const char* const point = digits.at++;
    digits = read_digits(digits, end);
    exponent = point + 1 - digits.at;
    if (exponent == 0 || digits.at - start > kMostDigits) return kOther;
  }
  const bool has_exponent = digits.at != end && (*digits.at == 'e' || *digits.at == 'E');
  constexpr std::uint64_t kExact = std::uint64_t{1} << 53U;
  if (has_exponent || digits.value > kExact || !rounds_to_nearest()) return kOther;
  const double value = scaled(digits.value, exponent);
  return {negative ? -value : value, digits.at};
}

}  // namespace kvstore::inline v0::detail
