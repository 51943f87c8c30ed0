// SPDX-License-Identifier: MIT
#pragma once

// Reads the numbers that occur most, integers and decimals of up to 19 digits, in one pass. What is unusual
// (20 digits, exponents, anything malformed) is left to the functions of `number.hpp`, which read every
// number and say what is wrong with it.

#include <array>
#include <bit>
#include <cfloat>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "kvstore/detail/text/byte_block.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Digits read so far, as one number.
struct Digits {
  std::uint64_t value = 0;
  const char* at;
};

inline constexpr std::size_t kMostDigits = 19;  // which no 64-bit number without a sign is too small for

inline constexpr auto kPowersOfTen = [] {
  std::array<std::uint64_t, kMostDigits + 1> powers{1};
  for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

/// How many of 8 bytes, the lowest first, are digits before the first that is none: 3 is their upper half,
/// and still is when 6 is added. What that carries into the next byte comes from one that is no digit.
[[nodiscard]] inline std::size_t count_digits(std::uint64_t bytes) noexcept {
  constexpr std::uint64_t kUpper = 0xF0F0F0F0F0F0F0F0U;
  const std::uint64_t upper = (bytes & kUpper) | ((bytes + 0x0606060606060606U) & kUpper) >> 4U;
  return static_cast<std::size_t>(std::countr_zero(upper ^ 0x3333333333333333U)) / 8;
}

/// The number of which 8 bytes are the digits, the lowest byte the first: puts together pairs, then pairs of
/// these, and so on.
[[nodiscard]] inline std::uint64_t eight_digits(std::uint64_t bytes) noexcept {
  bytes = ((bytes & 0x0F0F0F0F0F0F0F0FU) * (10 * 256 + 1)) >> 8U;
  bytes = ((bytes & 0x00FF00FF00FF00FFU) * (100 * 65536 + 1)) >> 16U;
  return ((bytes & 0x0000FFFF0000FFFFU) * (10000 * 4294967296U + 1)) >> 32U;
}

/// Reads on to the last digit, eight at a time. The value is right while there are no more than 19 of them.
[[nodiscard]] inline Digits read_digits(Digits digits, const char* end) noexcept {
  while (true) {
    const std::uint64_t bytes = load_word(digits.at, static_cast<std::size_t>(end - digits.at));
    const std::size_t count = count_digits(bytes);
    if (count == 0) return digits;
    const std::uint64_t value = eight_digits(bytes << (8 * (8 - count)));  // zeros before them
    digits = {digits.value * kPowersOfTen[count] + value, digits.at + count};
    if (count < 8) return digits;
  }
}

/// The digits before a point; null if they are none that JSON allows, or too many.
[[nodiscard]] inline Digits read_whole_digits(const char* start, const char* end) noexcept {
  const Digits digits = read_digits({0, start}, end);
  const auto count = static_cast<std::size_t>(digits.at - start);
  const bool is_plain = count == 1 || (count > 1 && count <= kMostDigits && *start != '0');
  return {digits.value, is_plain ? digits.at : nullptr};
}

struct ShortInteger {
  std::uint64_t value;  ///< without its sign
  bool negative;
  const char* end;  ///< null if it must be read the other way
};

[[nodiscard]] inline ShortInteger read_short_integer(const char* at, const char* end) noexcept {
  const bool negative = at != end && *at == '-';
  const Digits digits = read_whole_digits(at + (negative ? 1 : 0), end);
  if (digits.at == nullptr) return {0, negative, nullptr};
  const bool goes_on = digits.at != end && (*digits.at == '.' || *digits.at == 'e' || *digits.at == 'E');
  return {digits.value, negative, goes_on ? nullptr : digits.at};
}

/// Whether doubles are computed as such, and rounded to the nearest, as they are unless a program asks for
/// something else.
[[nodiscard]] inline bool rounds_to_nearest() noexcept {
  static volatile float tiny = FLT_MIN;
  return FLT_EVAL_METHOD == 0 && tiny + 1.0F == 1.0F - tiny;
}

/// A number without exponent, as its digits stand there.
struct ShortDecimal {
  std::uint64_t digits;     ///< the point left out
  std::size_t after_point;  ///< how many of them
  bool negative;
  const char* end;  ///< null if it must be read the other way
};

[[nodiscard]] inline ShortDecimal read_short_decimal(const char* at, const char* end) noexcept {
  constexpr ShortDecimal kOther{0, 0, false, nullptr};
  const bool negative = at != end && *at == '-';
  const char* const start = at + (negative ? 1 : 0);
  Digits digits = read_whole_digits(start, end);
  if (digits.at == nullptr) return kOther;
  std::ptrdiff_t after_point = 0;
  if (digits.at != end && *digits.at == '.') {
    const char* const point = digits.at++;
    digits = read_digits(digits, end);
    after_point = digits.at - point - 1;
    if (after_point == 0 || static_cast<std::size_t>(digits.at - start) > kMostDigits + 1) return kOther;
  }
  if (digits.at != end && (*digits.at == 'e' || *digits.at == 'E')) return kOther;
  return {digits.value, static_cast<std::size_t>(after_point), negative, digits.at};
}

#if defined(__SIZEOF_INT128__)

/// The double nearest to `digits` by a power of ten, of which neither is 0: their quotient to 62 bits or
/// more, the last of which also tells whether there is a remainder, so that rounding it to the 53 bits of a
/// double is right. Requires `rounds_to_nearest`.
[[nodiscard]] inline double nearest_quotient(std::uint64_t digits, std::uint64_t power) noexcept {
  __extension__ using Wide = unsigned __int128;
  const int digits_shift = std::countl_zero(digits);
  const int power_shift = std::countl_zero(power);
  const std::uint64_t divisor = power << power_shift;
  const Wide dividend = Wide{digits << digits_shift} << 62U;
  const auto quotient = static_cast<std::uint64_t>(dividend / divisor);
  const bool is_exact = quotient * divisor == static_cast<std::uint64_t>(dividend);
  const auto rounded = static_cast<double>(static_cast<std::int64_t>(quotient | (is_exact ? 0U : 1U)));
  const auto exponent = static_cast<std::uint64_t>(1023 - 62 + power_shift - digits_shift);
  return rounded * std::bit_cast<double>(exponent << 52U);  // exact: two to some power
}

#endif

/// The nearest double; none if it must be found the other way. Where digits and power of ten are both exact
/// as doubles, so is their quotient but for one rounding. Source: "How to Read Floating Point Numbers
/// Accurately" by William Clinger.
[[nodiscard]] inline std::optional<double> nearest_double(const ShortDecimal& decimal) noexcept {
  constexpr std::uint64_t kExact = std::uint64_t{1} << 53U;
  if (!rounds_to_nearest()) return std::nullopt;
  const std::uint64_t power = kPowersOfTen[decimal.after_point];
  double value = 0;
  if (decimal.digits <= kExact || power == 1) {
    value = static_cast<double>(decimal.digits) / static_cast<double>(power);
  } else {
#if defined(__SIZEOF_INT128__)
    value = nearest_quotient(decimal.digits, power);
#else
    return std::nullopt;
#endif
  }
  return decimal.negative ? -value : value;
}

}}}  // namespace kvstore::v1::detail
