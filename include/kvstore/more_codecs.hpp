// SPDX-License-Identifier: MIT
#pragma once

// Codecs of more standard types: points in time, dates, `shared_ptr`, `bitset`, integers of 128 bits. Not
// part of kvstore.hpp, since few programs use them.

#include <algorithm>
#include <array>
#include <bitset>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kvstore/codec.hpp"
#include "kvstore/detail/json/number.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Appends `number` with leading zeros.
inline void append_digits(std::string& out, std::uint64_t number, std::size_t width) {
  const std::string digits = std::to_string(number);
  if (digits.size() < width) out.append(width - digits.size(), '0');
  out += digits;
}

inline constexpr const char* kExpectedDate = "expected a date as \"2026-11-29\"";
inline constexpr const char* kExpectedTime =
    "expected a point in time as \"2026-11-29T16:30:00Z\" or \"2026-11-29T16:30:00.5Z\"";
inline constexpr const char* kNoSuchDate = "there is no such date";
inline constexpr const char* kNoSuchTime = "there is no such time of day";

/// Reads the parts of a date or time, each of a fixed number of digits.
class DigitReader {
 public:
  DigitReader(std::string_view text, std::size_t offset, const char* expected) noexcept
      : text_{text}, offset_{offset}, expected_{expected} {}

  /// `refusal` is the message for a number greater than `most`.
  [[nodiscard]] std::uint64_t number(std::size_t width, std::uint64_t most, const char* refusal) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < width; ++i) value = value * 10 + digit();
    if (value > most) fail(refusal);
    return value;
  }
  /// Digits of a fraction, at least one, as a number of `width` digits. Further digits must be zeros.
  [[nodiscard]] std::uint64_t fraction(std::size_t width) {
    std::uint64_t value = 0;
    std::size_t count = 0;
    for (; count == 0 || starts_with_digit(); ++count) {
      const std::uint64_t next = digit();
      if (count >= kMostDigits && count >= width) fail();
      if (count < width) value = value * 10 + next;
      if (count >= width && next != 0) {
        const std::string most = width == 0
                                     ? std::string{"whole seconds"}
                                     : "at most " + std::to_string(width) + " digits behind the seconds";
        fail(("expected " + most + ": the type of this value cannot hold more").c_str());
      }
    }
    for (; count < width; ++count) value *= 10;
    return value;
  }
  void expect(char byte) {
    if (!take(byte)) fail();
  }
  [[nodiscard]] bool take(char byte) noexcept {
    if (text_.empty() || text_.front() != byte) return false;
    text_.remove_prefix(1);
    return true;
  }
  void finish() const {
    if (!text_.empty()) fail();
  }
  [[noreturn]] void fail() const { fail(expected_); }
  [[noreturn]] void fail(const char* reason) const { JsonReader::fail_at(offset_, reason); }

 private:
  static constexpr std::size_t kMostDigits = 9;  // other programs write up to nanoseconds, whatever the type

  [[nodiscard]] bool starts_with_digit() const noexcept {
    return !text_.empty() && text_.front() >= '0' && text_.front() <= '9';
  }
  [[nodiscard]] std::uint64_t digit() {
    if (!starts_with_digit()) fail();
    const auto value = static_cast<std::uint64_t>(text_.front() - '0');
    text_.remove_prefix(1);
    return value;
  }

  std::string_view text_;
  std::size_t offset_;
  const char* expected_;
};

[[noreturn]] inline void throw_no_date() {
  throw ValueError{"no date from year 0 to 9999, which is all that ISO 8601 writes with four digits"};
}

inline void append_date(std::string& out, const std::chrono::year_month_day& date) {
  const int year = static_cast<int>(date.year());
  if (!date.ok() || year < 0 || year > 9999) throw_no_date();
  append_digits(out, static_cast<std::uint64_t>(year), 4);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.day()), 2);
}

[[nodiscard]] inline std::chrono::year_month_day read_date(DigitReader& in) {
  using std::chrono::day, std::chrono::month, std::chrono::year;
  const year y{static_cast<int>(in.number(4, 9999, kNoSuchDate))};
  in.expect('-');
  const month m{static_cast<unsigned>(in.number(2, 12, kNoSuchDate))};
  in.expect('-');
  const std::chrono::year_month_day date{y, m, day{static_cast<unsigned>(in.number(2, 31, kNoSuchDate))}};
  if (!date.ok()) in.fail(kNoSuchDate);
  return date;
}

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

/// A date as `"2026-11-29"` (ISO 8601), from year 0 to 9999.
template <>
struct Codec<std::chrono::year_month_day> {
  static constexpr auto kKind = detail::JsonKind::string;  ///< always a string
  static constexpr bool kFlat = true;                      ///< `check` is complete

  /// @throws ValueError
  static void check(const std::chrono::year_month_day& value) {
    std::string text;
    detail::append_date(text, value);
  }
  /// @throws ValueError
  static void encode(const std::chrono::year_month_day& value, JsonWriter& out) {
    std::string text;
    detail::append_date(text, value);
    out.string(text);
  }
  /// @throws ParseError
  static std::chrono::year_month_day decode(JsonReader& in) {
    in.skip_space();
    const std::size_t offset = in.position();
    detail::DigitReader text{in.string(), offset, detail::kExpectedDate};
    const auto date = detail::read_date(text);
    text.finish();
    return date;
  }
};

/// A point in time as `"2026-11-29T16:30:00Z"` (ISO 8601, UTC), with as many digits behind the seconds as the
/// clock's duration has, so that the same point is read back. Reading takes none to nine digits there; those
/// that the duration has no room for must be zeros. Durations are integers, in parts of a second that are
/// powers of ten; nanoseconds reach from 1677 to 2262.
template <class Duration>
  requires(std::integral<typename Duration::rep>)
struct Codec<std::chrono::time_point<std::chrono::system_clock, Duration>> {
  using Time = std::chrono::time_point<std::chrono::system_clock, Duration>;  ///< the type
  static constexpr auto kKind = detail::JsonKind::string;                     ///< always a string
  static constexpr bool kFlat = true;                                         ///< `check` is complete

  /// @throws ValueError
  static void check(const Time& value) { static_cast<void>(text_of(value)); }
  /// @throws ValueError
  static void encode(const Time& value, JsonWriter& out) { out.string(text_of(value)); }
  /// @throws ParseError
  static Time decode(JsonReader& in) {
    in.skip_space();
    const std::size_t offset = in.position();
    detail::DigitReader text{in.string(), offset, detail::kExpectedTime};
    const std::chrono::sys_days day{detail::read_date(text)};
    text.expect('T');
    auto seconds = std::chrono::hours{text.number(2, 23, detail::kNoSuchTime)} + std::chrono::minutes{0} +
                   std::chrono::seconds{0};
    text.expect(':');
    seconds += std::chrono::minutes{text.number(2, 59, detail::kNoSuchTime)};
    text.expect(':');
    seconds += std::chrono::seconds{text.number(2, 59, detail::kNoSuchTime)};
    const std::uint64_t parts = text.take('.') ? text.fraction(kDigits) : 0;
    text.expect('Z');
    text.finish();
    return joined(std::chrono::sys_seconds{day} + seconds, parts, text);
  }

 private:
  static constexpr std::intmax_t kPerSecond = Duration::period::den;
  static constexpr std::size_t kDigits = [] {
    std::size_t digits = 0;
    for (std::intmax_t left = kPerSecond; left >= 10; left /= 10) ++digits;
    return digits;
  }();
  static_assert(
      [] {
        std::intmax_t power = 1;
        for (std::size_t i = 0; i < kDigits; ++i) power *= 10;
        return power == kPerSecond;
      }(),
      "kvstore: store a time_point whose unit is a second divided by a power of ten, or whole seconds");

  static_assert(
      Duration::period::num == 1 || Duration::period::den == 1,
      "kvstore: store a time_point whose unit is a whole number of seconds, or a second divided by a "
      "power of ten");

  using Rep = typename Duration::rep;
  static constexpr std::int64_t kUnit = Duration::period::num;  // seconds in a unit that is longer

  /// Whole seconds since 1970, and the parts of the next one. Rounds towards the past.
  struct Split {
    std::int64_t seconds;
    std::int64_t parts;
  };

  // All arithmetic is on plain numbers: a conversion between durations may overflow, and its years have 16
  // bits.
  static Split split(const Time& value) {
    constexpr std::int64_t kFirst = -62'167'219'200;  // 0000-01-01T00:00:00Z
    constexpr std::int64_t kLast = 253'402'300'799;   // 9999-12-31T23:59:59Z
    using Count = detail::Widest<Rep>;
    const Count count = value.time_since_epoch().count();
    const Count whole = count / static_cast<Count>(kPerSecond);
    if (std::cmp_less(whole, kFirst / kUnit) || std::cmp_greater(whole, kLast / kUnit))
      detail::throw_no_date();
    const auto rest = static_cast<std::int64_t>(count % static_cast<Count>(kPerSecond));
    const bool before = rest < 0;
    const Split result{static_cast<std::int64_t>(whole) * kUnit - (before ? 1 : 0),
                       rest + (before ? std::int64_t{kPerSecond} : 0)};
    if (result.seconds < kFirst) detail::throw_no_date();
    return result;
  }

  static std::string text_of(const Time& value) {
    const auto [seconds, parts] = split(value);
    const std::chrono::sys_seconds time{std::chrono::seconds{seconds}};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    std::string text;
    detail::append_date(text, std::chrono::year_month_day{day});
    const auto in_day = static_cast<std::uint64_t>((time - day).count());
    text += 'T';
    detail::append_digits(text, in_day / 3600, 2);
    text += ':';
    detail::append_digits(text, in_day / 60 % 60, 2);
    text += ':';
    detail::append_digits(text, in_day % 60, 2);
    if constexpr (kDigits > 0) {
      text += '.';
      detail::append_digits(text, static_cast<std::uint64_t>(parts), kDigits);
    }
    return text += 'Z';
  }

  static Time joined(std::chrono::sys_seconds seconds, std::uint64_t parts, const detail::DigitReader& text) {
    auto whole = static_cast<std::int64_t>(seconds.time_since_epoch().count());
    auto rest = static_cast<std::int64_t>(parts);
    if constexpr (kUnit > 1) {
      if (whole % kUnit != 0) text.fail("this point in time is no whole number of the type's units");
      whole /= kUnit;
    }
    if (whole < 0 && rest > 0) {  // of one sign, so that no step is larger than the result
      ++whole;
      rest -= std::int64_t{kPerSecond};
    }
    Rep count{};
    if (__builtin_mul_overflow(whole, std::int64_t{kPerSecond}, &count) ||
        __builtin_add_overflow(count, rest, &count)) {
      text.fail("this point in time is out of the range of the type");
    }
    return Time{Duration{count}};
  }
};

/// Null or the value, as for `unique_ptr`. Two pointers to one value come back as two values. Prefer
/// `shared_ptr<const T>`: a store neither sees nor locks what a program changes through a pointer.
template <class T>
struct Codec<std::shared_ptr<T>>
    : detail::CodecIf<detail::HasOwnCodec<std::remove_const_t<T>>,
                      detail::HolderCodec<std::shared_ptr<T>, std::remove_const_t<T>>, std::shared_ptr<T>> {};

/// A string of as many digits 0 and 1, bit 0 last, as `to_string` writes it.
template <std::size_t kBits>
struct Codec<std::bitset<kBits>> {
  using Bits = std::bitset<kBits>;                         ///< the type
  static constexpr auto kKind = detail::JsonKind::string;  ///< always a string
  static constexpr bool kFlat = true;                      ///< `check` is complete

  /// Takes every value.
  static void check(const Bits&) noexcept {}
  /// Never refuses.
  static void encode(const Bits& value, JsonWriter& out) { out.string(value.to_string()); }
  /// @throws ParseError
  static Bits decode(JsonReader& in) {
    in.skip_space();
    const std::size_t offset = in.position();
    const std::string_view text = in.string();
    if (text.size() != kBits || text.find_first_not_of("01") != std::string_view::npos) {
      JsonReader::fail_at(offset, "expected a string of " + std::to_string(kBits) + " digits 0 and 1");
    }
    return Bits{std::string{text}};
  }
};

#ifdef __SIZEOF_INT128__
namespace detail {
__extension__ using Int128 = __int128;
__extension__ using Unsigned128 = unsigned __int128;

/// The digits in a string, since most programs read a JSON number of more than 53 bits as a double.
template <class T>
struct WideIntegerCodec {
  static constexpr auto kKind = JsonKind::string;
  static constexpr bool kFlat = true;
  static constexpr bool kSigned = std::same_as<T, Int128>;
  static constexpr Unsigned128 kMost = kSigned ? ~Unsigned128{0} >> 1U : ~Unsigned128{0};

  static void check(const T&) noexcept {}
  static void encode(const T& value, JsonWriter& out) {
    std::array<char, 40> text{};
    std::size_t at = text.size();
    const bool negative = kSigned && value < 0;
    auto left = static_cast<Unsigned128>(value);
    if (negative) left = 0 - left;
    do {
      text[--at] = static_cast<char>('0' + static_cast<int>(left % 10));
      left /= 10;
    } while (left != 0);
    if (negative) text[--at] = '-';
    out.string({text.data() + at, text.size() - at});
  }
  static T decode(JsonReader& in) {
    in.skip_space();
    const std::size_t offset = in.position();
    std::string_view text = in.string();
    const bool negative = kSigned && text.starts_with('-');
    if (negative) text.remove_prefix(1);
    const Unsigned128 most = kMost + (negative ? 1U : 0U);
    Unsigned128 value = 0;
    bool right = !text.empty() && (text.size() == 1 || text[0] != '0') && !(negative && text == "0");
    for (const char byte : text) {
      const auto digit = static_cast<unsigned>(byte) - unsigned{'0'};
      right = right && digit <= 9 && value <= (most - std::min(digit, 9U)) / 10;
      if (!right) JsonReader::fail_at(offset, "expected a string of the digits of an integer of 128 bits");
      value = value * 10 + digit;
    }
    if (!right) JsonReader::fail_at(offset, "expected a string of the digits of an integer of 128 bits");
    return static_cast<T>(negative ? 0 - value : value);
  }
};
}  // namespace detail

/// A string of its digits: most programs would read such a number as a double.
template <>
struct Codec<detail::Int128> : detail::WideIntegerCodec<detail::Int128> {};
/// As above.
template <>
struct Codec<detail::Unsigned128> : detail::WideIntegerCodec<detail::Unsigned128> {};
#endif

}}  // namespace kvstore::v1
