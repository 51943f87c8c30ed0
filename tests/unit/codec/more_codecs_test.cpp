// SPDX-License-Identifier: MIT

#include "kvstore/more_codecs.hpp"

#include <bitset>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <ratio>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/codec_text.hpp"

using codec_text::decode;
using codec_text::encode;
using codec_text::refuses;
using kvstore::HasCodec;
using kvstore::ParseError;
using namespace std::chrono_literals;

namespace more_codecs_test {

namespace {

using Nanoseconds = std::chrono::sys_time<std::chrono::nanoseconds>;
using Milliseconds = std::chrono::sys_time<std::chrono::milliseconds>;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year_month_day;

constexpr year_month_day kDate = 2026y / 11 / 29;

}  // namespace

TEST_CASE("More codecs: a date is written as ISO 8601 writes it") {
  REQUIRE(encode(kDate) == R"("2026-11-29")");
  REQUIRE(decode<year_month_day>(R"("2024-02-29")") == 2024y / 2 / 29);
  REQUIRE(encode(0y / 1 / 1) == R"("0000-01-01")");
  for (const std::string text : {"2023-02-29", "2026-13-01", "2026-1-01", "2026-11-29Z", "", "+2026-11-29"}) {
    CHECK_THROWS_AS(decode<year_month_day>('"' + text + '"'), ParseError);
  }
  REQUIRE(refuses(2023y / 2 / 29));
  REQUIRE(refuses(10000y / 1 / 1));
  REQUIRE(refuses((-1y) / 1 / 1));
}

TEST_CASE("More codecs: a point in time is written as ISO 8601 writes it, with all its digits") {
  const auto time = sys_days{kDate} + 16h + 30min + 5s;
  REQUIRE(encode(sys_seconds{time}) == R"("2026-11-29T16:30:05Z")");
  REQUIRE(encode(Milliseconds{time + 7ms}) == R"("2026-11-29T16:30:05.007Z")");
  REQUIRE(encode(Nanoseconds{time + 7ns}) == R"("2026-11-29T16:30:05.000000007Z")");
  REQUIRE(encode(Milliseconds{sys_days{1969y / 12 / 31} + 23h + 59min + 59s + 999ms}) ==
          R"("1969-12-31T23:59:59.999Z")");
  REQUIRE(decode<Milliseconds>(R"("1969-12-31T23:59:59.999Z")").time_since_epoch() == -1ms);
  const auto now = std::chrono::system_clock::now();
  REQUIRE(decode<std::chrono::system_clock::time_point>(encode(now)) == now);
  REQUIRE(decode<sys_days>(encode(sys_days{kDate})) == sys_days{kDate});
  for (const std::string text : {"2026-11-29T24:00:00Z", "2026-11-29T16:30:05", "2026-11-29 16:30:05Z",
                                 "2026-11-29T16:30:05.1Z", "2026-11-29T16:60:05Z", "2026-11-29"}) {
    CHECK_THROWS_AS(decode<sys_seconds>('"' + text + '"'), ParseError);
  }
  CHECK_THROWS_AS(decode<Nanoseconds>(R"("9999-01-01T00:00:00.000000000Z")"), ParseError);
  CHECK_THROWS_AS(decode<sys_days>(R"("2026-11-29T01:00:00Z")"), ParseError);
}

namespace {

/// Whether a point in time is either refused when it is written, or read back as it was.
template <class Duration>
bool refused_or_kept(typename Duration::rep count) {
  const std::chrono::sys_time<Duration> time{Duration{count}};
  std::string text;
  try {
    text = encode(time);
  } catch (const kvstore::ValueError&) { return true; }
  return decode<std::chrono::sys_time<Duration>>(text) == time;
}

/// The points around the ends of the type, and of what ISO 8601 writes with four digits.
template <class Rep, class Period>
bool keeps_the_ends() {
  using Duration = std::chrono::duration<Rep, Period>;
  using Limits = std::numeric_limits<Rep>;
  const auto around = [](Rep middle) {
    constexpr std::int64_t kSteps = 3000;
    for (std::int64_t step = -kSteps; step <= kSteps; ++step) {
      Rep count{};
      if (!__builtin_add_overflow(middle, step, &count) && !refused_or_kept<Duration>(count)) return false;
    }
    return true;
  };
  bool kept = around(Limits::min()) && around(Limits::max()) && around(0);
  for (const std::int64_t seconds : {-62'167'219'200, 253'402'300'800}) {
    Rep count{};
    const bool fits = !__builtin_mul_overflow(seconds / Period::num, std::int64_t{Period::den}, &count);
    kept = kept && (!fits || around(count));
  }
  return kept;
}

template <class Rep>
bool keeps_the_ends_in_all_units() {
  return keeps_the_ends<Rep, std::nano>() && keeps_the_ends<Rep, std::micro>() &&
         keeps_the_ends<Rep, std::milli>() && keeps_the_ends<Rep, std::deci>() &&
         keeps_the_ends<Rep, std::ratio<1>>() && keeps_the_ends<Rep, std::ratio<60>>() &&
         keeps_the_ends<Rep, std::ratio<3600>>() && keeps_the_ends<Rep, std::ratio<86400>>() &&
         keeps_the_ends<Rep, std::ratio<604800>>();
}

}  // namespace

TEST_CASE(
    "More codecs: a point in time is read back or refused when it is written, at all ends of its type") {
  CHECK(keeps_the_ends_in_all_units<std::int64_t>());
  CHECK(keeps_the_ends_in_all_units<std::uint64_t>());
  CHECK(keeps_the_ends_in_all_units<std::int32_t>());
  CHECK(keeps_the_ends_in_all_units<std::uint32_t>());
  for (int count = INT16_MIN; count <= INT16_MAX; ++count) {
    const auto value = static_cast<std::int16_t>(count);
    if (!refused_or_kept<std::chrono::duration<std::int16_t, std::milli>>(value) ||
        !refused_or_kept<std::chrono::duration<std::int16_t, std::ratio<86400>>>(value)) {
      FAIL(count);
    }
  }
}

TEST_CASE("More codecs: the first and the last point in time of a clock are kept") {
  using std::chrono::system_clock;
  for (const auto time : {system_clock::time_point::max(), system_clock::time_point::min()}) {
    CHECK(decode<system_clock::time_point>(encode(time)) == time);
  }
  CHECK(encode(system_clock::time_point::max()) == R"("2262-04-11T23:47:16.854775807Z")");
  CHECK(encode(system_clock::time_point::min()) == R"("1677-09-21T00:12:43.145224192Z")");
  CHECK(encode(sys_seconds{253'402'300'799s}) == R"("9999-12-31T23:59:59Z")");
  CHECK(encode(sys_seconds{-62'167'219'200s}) == R"("0000-01-01T00:00:00Z")");
  CHECK(refuses(sys_seconds{253'402'300'800s}));
  CHECK(refuses(sys_seconds{-62'167'219'201s}));
  CHECK(refuses(sys_seconds{2'073'600'000'000s}));  // a year of 16 bits would be 2143
  CHECK(refuses(sys_days::max()));
  CHECK(refuses(sys_days::min()));
}

TEST_CASE("More codecs: a point in time may have any number of digits up to nine behind the seconds") {
  const auto time = sys_days{kDate} + 16h + 30min + 5s;
  for (const std::string fraction : {"", ".5", ".50", ".500", ".500000", ".500000000"}) {
    INFO(fraction);
    const std::string text = "\"2026-11-29T16:30:05" + fraction + "Z\"";
    const auto half = fraction.empty() ? 0ms : 500ms;
    CHECK(decode<Milliseconds>(text) == time + half);
    CHECK(decode<Nanoseconds>(text) == time + half);
  }
  CHECK(decode<sys_seconds>(R"("2026-11-29T16:30:05.000Z")") == time);
  CHECK(decode<sys_days>(R"("2026-11-29T00:00:00.0Z")") == sys_days{kDate});
}

TEST_CASE("More codecs: the message about a date or time says what is wrong") {
  const auto says = [](auto type, const std::string& text, const std::string& words) {
    INFO(text);
    CHECK_THROWS_WITH(decode<decltype(type)>('"' + text + '"'), Catch::Matchers::ContainsSubstring(words));
  };
  says(year_month_day{}, "2026-02-30", "there is no such date");
  says(year_month_day{}, "2026-13-01", "there is no such date");
  says(year_month_day{}, "30.2.2026", "expected a date as \"2026-11-29\"");
  says(sys_seconds{}, "2026-02-30T00:00:00Z", "there is no such date");
  says(sys_seconds{}, "2026-11-29T24:00:00Z", "there is no such time of day");
  says(sys_seconds{}, "2026-11-29 16:30", "\"2026-11-29T16:30:00Z\" or \"2026-11-29T16:30:00.5Z\"");
  says(Nanoseconds{}, "2026-11-29T16:30:05.Z", "expected a point in time as");
  says(Nanoseconds{}, "2026-11-29T16:30:05.0000000000Z", "expected a point in time as");
  says(Milliseconds{}, "2026-11-29T16:30:05.1234Z", "at most 3 digits behind the seconds");
  says(sys_seconds{}, "2026-11-29T16:30:05.5Z", "expected whole seconds");
  says(Nanoseconds{}, "9999-01-01T00:00:00Z", "out of the range of the type");
  says(sys_days{}, "2026-11-29T01:00:00Z", "no whole number of the type's units");
}

TEST_CASE("More codecs: a shared pointer is null or its value") {
  using Pointer = std::shared_ptr<const std::vector<int>>;
  REQUIRE(encode(Pointer{}) == "null");
  REQUIRE(encode(std::make_shared<const std::vector<int>>(2, 7)) == "[7,7]");
  REQUIRE(decode<Pointer>("null") == nullptr);
  REQUIRE(*decode<Pointer>("[1]") == std::vector{1});
  REQUIRE(*decode<std::shared_ptr<int>>("1") == 1);
}

TEST_CASE("More codecs: a bitset is a string of its bits") {
  REQUIRE(encode(std::bitset<5>{0b00110}) == R"("00110")");
  REQUIRE(decode<std::bitset<5>>(R"("00110")") == std::bitset<5>{6});
  CHECK_THROWS_AS(decode<std::bitset<5>>(R"("0110")"), ParseError);
  CHECK_THROWS_AS(decode<std::bitset<5>>(R"("0011x")"), ParseError);
}

#ifdef __SIZEOF_INT128__
TEST_CASE("More codecs: an integer of 128 bits is a string of its digits") {
  using Signed = kvstore::detail::Int128;
  using Unsigned = kvstore::detail::Unsigned128;
  const auto most = static_cast<Signed>(~Unsigned{0} >> 1U);
  REQUIRE(encode(most) == R"("170141183460469231731687303715884105727")");
  REQUIRE(encode(-most - 1) == R"("-170141183460469231731687303715884105728")");
  REQUIRE(encode(~Unsigned{0}) == R"("340282366920938463463374607431768211455")");
  REQUIRE(encode(Signed{0}) == R"("0")");
  REQUIRE((decode<Signed>(encode(-most - 1)) == -most - 1));
  REQUIRE((decode<Unsigned>(encode(~Unsigned{0})) == ~Unsigned{0}));
  for (const std::string text :
       {"170141183460469231731687303715884105728", "-170141183460469231731687303715884105729", "", "-", "-0",
        "01", "1x", "1.0", "99999999999999999999999999999999999999999999"}) {
    CHECK_THROWS_AS(decode<Signed>('"' + text + '"'), ParseError);
  }
  CHECK_THROWS_AS(decode<Unsigned>(R"("340282366920938463463374607431768211456")"), ParseError);
  CHECK_THROWS_AS(decode<Unsigned>(R"("-1")"), ParseError);
}
#endif

TEST_CASE("More codecs: a type that holds another has a codec only if that has one") {
  struct Without {};
  STATIC_REQUIRE(HasCodec<std::shared_ptr<int>>);
  STATIC_REQUIRE_FALSE(HasCodec<std::shared_ptr<Without>>);
  STATIC_REQUIRE_FALSE(HasCodec<std::vector<std::shared_ptr<Without>>>);
  STATIC_REQUIRE_FALSE(HasCodec<std::map<std::string, std::vector<Without>>>);
}

}  // namespace more_codecs_test
