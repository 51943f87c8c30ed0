// SPDX-License-Identifier: MIT
#pragma once

// Numbers as RFC 8259 writes them, and their conversion. `std::from_chars` accepts more than JSON does ("1.",
// ".5", "inf", "007"), so the grammar is checked first.

#include <algorithm>
#include <bit>
#include <cfenv>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#if defined(_LIBCPP_VERSION) && !defined(__cpp_lib_to_chars)
#include <locale.h>
#include <stdlib.h>

#include <concepts>
#endif

#include "kvstore/error.hpp"
#include "kvstore/json_text.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The widest integer with the sign of `T`; `std::from_chars` accepts it whatever `T` is.
template <JsonInteger T>
using Widest = std::conditional_t<std::is_signed_v<T>, long long, unsigned long long>;

[[nodiscard]] inline const char* skip_digits(const char* at, const char* end) noexcept {
  while (at != end && *at >= '0' && *at <= '9') ++at;
  return at;
}

/// The end of a fraction or exponent whose digits start at `digits`, or `start` if there are no digits.
[[nodiscard]] inline const char* part_end(const char* start, const char* digits, const char* end) noexcept {
  const char* const stop = skip_digits(digits, end);
  return stop == digits ? start : stop;
}

/// The longest number at the start of a text. The rest of an incomplete number ("1.", "1e", "01") cannot
/// follow any JSON value, so the caller refuses it on reading further.
[[nodiscard]] inline JsonNumber scan_number(const char* const start, const char* const end) noexcept {
  const char* at = start;
  if (at != end && *at == '-') ++at;
  const char* const digits = at;
  at = at != end && *at == '0' ? at + 1 : skip_digits(at, end);
  if (at == digits) return {{}, false};
  const char* const whole = at;
  if (at != end && *at == '.') at = part_end(at, at + 1, end);
  if (at != end && (*at == 'e' || *at == 'E')) {
    const bool has_sign = end - at > 1 && (at[1] == '+' || at[1] == '-');
    at = part_end(at, at + (has_sign ? 2 : 1), end);
  }
  return {{start, static_cast<std::size_t>(at - start)}, at == whole};
}

/// The integer at the start of a text, if it has at most 19 digits.
struct ShortInteger {
  std::uint64_t value;  ///< without its sign
  bool negative;
  const char* end;  ///< null if there is none, or a fraction, an exponent or a 20th digit follows
};

/// Reads the most common integers in one pass. `scan_number` and `std::from_chars` read the others and report
/// their errors. Using those two for all makes a load of integers to integers 1.36x as slow (quartiles 1.24
/// to 1.43), of texts to integers 1.13x.
[[nodiscard]] inline ShortInteger read_short_integer(const char* at, const char* end) noexcept {
  const bool negative = at != end && *at == '-';
  const char* const start = at + (negative ? 1 : 0);
  std::uint64_t value = 0;
  const char* stop = start;
  for (; stop != end && *stop >= '0' && *stop <= '9'; ++stop) {
    value = value * 10 + static_cast<unsigned char>(*stop - '0');
  }
  const auto digits = stop - start;
  const bool is_plain = digits == 1 || (digits > 1 && digits <= 19 && *start != '0');
  const bool goes_on = stop != end && (*stop == '.' || *stop == 'e' || *stop == 'E');
  return {value, negative, is_plain && !goes_on ? stop : nullptr};
}

/// An integer as a `T`; none if it does not fit.
template <JsonInteger T, class Wide>
[[nodiscard]] constexpr std::optional<T> narrow(Wide wide) noexcept {
  constexpr Widest<T> kMin = std::numeric_limits<T>::min();
  constexpr Widest<T> kMax = std::numeric_limits<T>::max();
  if (std::cmp_less(wide, kMin) || std::cmp_greater(wide, kMax)) return std::nullopt;
  return static_cast<T>(wide);
}

/// The same for an integer given without its sign.
template <JsonInteger T>
[[nodiscard]] constexpr std::optional<T> with_sign(std::uint64_t digits, bool negative) noexcept {
  if (!negative) return narrow<T>(digits);
  constexpr std::uint64_t kMaxMagnitude = std::uint64_t{1} << 63U;
  if (digits > kMaxMagnitude) return std::nullopt;
  return narrow<T>(static_cast<std::int64_t>(0 - digits));
}

/// The value of an integer's text; none if it does not fit `T`.
template <JsonInteger T>
[[nodiscard]] std::optional<T> to_integer(std::string_view text) noexcept {
  if (std::is_unsigned_v<T> && text == "-0") return T{0};
  Widest<T> wide{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), wide);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return narrow<T>(wide);
}

/// Distinguishes numbers too small to be represented from numbers too large, since `std::from_chars` does
/// not.
[[nodiscard]] inline bool is_below_one(std::string_view text) noexcept {
  const std::size_t mark = text.find_first_of("eE");
  const std::string_view digits = text.substr(0, mark);
  const std::size_t first = digits.find_first_of("123456789");
  if (first == std::string_view::npos) return true;
  long long exponent = 0;
  if (mark != std::string_view::npos) {
    const std::string_view sign_and_digits = text.substr(mark + (text[mark + 1] == '+' ? 2 : 1));
    const bool negative = sign_and_digits.front() == '-';
    const auto result =
        std::from_chars(sign_and_digits.data(), sign_and_digits.data() + sign_and_digits.size(), exponent);
    if (result.ec != std::errc{}) return negative;
  }
  const auto point = static_cast<long long>(std::min(digits.find('.'), digits.size()));
  const auto lead = static_cast<long long>(first);
  return exponent < (lead > point ? lead - point : lead + 1 - point);
}

/// A substitute for `std::from_chars`, which libc++ 19 has for integers only.
template <JsonFloat T>
[[nodiscard]] std::from_chars_result read_float(std::string_view text, T& value) {
#if !defined(_LIBCPP_VERSION) || defined(__cpp_lib_to_chars)
  return std::from_chars(text.data(), text.data() + text.size(), value);
#else
  static const ::locale_t plain = ::newlocale(LC_ALL_MASK, "C", nullptr);  // its decimal separator is a point
  const std::string terminated{text};
  char* stop = nullptr;
  if constexpr (std::same_as<T, float>)
    value = ::strtof_l(terminated.c_str(), &stop, plain);
  else
    value = ::strtod_l(terminated.c_str(), &stop, plain);
  return {text.data() + (stop - terminated.c_str()), std::errc{}};  // 0 or infinite if out of range
#endif
}

/// The bits of a float decide, since `-ffast-math` lets the compiler take every float for a finite one, and a
/// processor that flushes subnormal numbers to zero takes them for zero.
template <JsonFloat T>
using FloatBits = std::conditional_t<sizeof(T) == sizeof(std::uint32_t), std::uint32_t, std::uint64_t>;

template <JsonFloat T>
inline constexpr FloatBits<T> kSignBit = FloatBits<T>{1} << (8 * sizeof(T) - 1);
template <JsonFloat T>
inline constexpr FloatBits<T> kExponentBits =
    kSignBit<T> - (FloatBits<T>{1} << static_cast<unsigned>(std::numeric_limits<T>::digits - 1));

template <JsonFloat T>
[[nodiscard]] constexpr bool is_finite(T value) noexcept {
  return (std::bit_cast<FloatBits<T>>(value) & kExponentBits<T>) != kExponentBits<T>;
}
template <JsonFloat T>
[[nodiscard]] constexpr bool is_subnormal(T value) noexcept {
  const auto bits = std::bit_cast<FloatBits<T>>(value) & ~kSignBit<T>;
  return bits != 0 && (bits & kExponentBits<T>) == 0;
}
template <JsonFloat T>
[[nodiscard]] constexpr bool is_minus_zero(T value) noexcept {
  return std::bit_cast<FloatBits<T>>(value) == kSignBit<T>;
}
/// Shifts, since `-ffast-math` takes both zeros for the same and so may drop a choice between them.
template <JsonFloat T>
[[nodiscard]] constexpr T zero(bool negative) noexcept {
  return std::bit_cast<T>(FloatBits<T>{negative} << (8 * sizeof(T) - 1));
}

/// Restores the usual arithmetic, which does not flush subnormal numbers to zero, while it exists.
class UsualArithmetic {
 public:
  UsualArithmetic() noexcept {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  UsualArithmetic(const UsualArithmetic&) = delete;
  UsualArithmetic& operator=(const UsualArithmetic&) = delete;
  ~UsualArithmetic() { std::fesetenv(&before_); }

 private:
  std::fenv_t before_{};
};

/// The `T` nearest to a number's text; none if it would be infinite.
template <JsonFloat T>
[[nodiscard]] std::optional<T> to_float(std::string_view text) {
  T value{};
  const auto [stop, error] = read_float(text, value);
  if (error == std::errc::result_out_of_range && is_below_one(text)) return zero<T>(text[0] == '-');
  if (error != std::errc{} || stop != text.data() + text.size() || !is_finite(value)) return std::nullopt;
  return value;
}

/// The message for a number that does not fit `T`.
template <JsonInteger T>
[[nodiscard]] std::string expected_integer() {
  const std::string kind = std::is_signed_v<T> ? "a signed" : "an unsigned";
  return "expected " + kind + " integer of " + std::to_string(sizeof(T) * 8) + " bits";
}
template <JsonFloat T>
[[nodiscard]] std::string expected_float() {
  return "expected a number in the range of a " + std::to_string(sizeof(T) * 8) + "-bit float";
}

/// Refuses the numbers that JSON does not have.
template <JsonFloat T>
void check_finite(T value) {
  if (!is_finite(value)) throw ValueError{"JSON has no number for NaN or infinity"};
}

}}}  // namespace kvstore::v1::detail
