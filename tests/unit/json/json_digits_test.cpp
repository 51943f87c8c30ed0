// SPDX-License-Identifier: MIT

// Compares integers read in one pass with the plain way: a scan by the grammar, then std::from_chars.
// Compares doubles too, which are read in the plain way.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kvstore/detail/json/number.hpp"
#include "kvstore/json_reader.hpp"
#include "support/catch.hpp"

namespace json_digits_test {

using kvstore::JsonReader;

namespace {

/// The value of a whole text as a `T`; none if the text is not a `T`. The text is copied to the heap at its
/// exact size, for the address sanitizer.
template <class T>
std::optional<T> fast(const std::string& text) {
  const std::vector<char> bytes(text.begin(), text.end());
  JsonReader in{{bytes.data(), bytes.size()}};
  try {
    T value{};
    if constexpr (std::is_integral_v<T>)
      value = in.integer<T>();
    else
      value = in.number<T>();
    in.finish();
    return value;
  } catch (const kvstore::ParseError&) { return std::nullopt; }
}

template <class T>
std::optional<T> plain(const std::string& text) {
  const auto number = kvstore::detail::scan_number(text.data(), text.data() + text.size());
  if (number.text.size() != text.size() || text.empty()) return std::nullopt;
  if constexpr (std::is_integral_v<T>)
    return number.is_integer ? kvstore::detail::to_integer<T>(text) : std::nullopt;
  else
    return kvstore::detail::to_float<T>(text);
}

template <class T>
bool agree(const std::string& text) {
  const auto a = fast<T>(text);
  const auto b = plain<T>(text);
  if constexpr (std::is_same_v<T, double>) {
    if (a && b) return std::bit_cast<std::uint64_t>(*a) == std::bit_cast<std::uint64_t>(*b);
  }
  return a == b;
}

bool agree_for_all_types(const std::string& text) {
  return agree<std::int8_t>(text) && agree<std::uint8_t>(text) && agree<std::int16_t>(text) &&
         agree<std::uint16_t>(text) && agree<std::int32_t>(text) && agree<std::uint32_t>(text) &&
         agree<std::int64_t>(text) && agree<std::uint64_t>(text) && agree<double>(text) && agree<float>(text);
}

std::string random_digits(std::mt19937_64& random, std::size_t most) {
  std::string digits;
  const auto zero = random() % 3;  // many zeros or few
  for (auto left = random() % (most + 1); left > 0; --left) {
    digits += random() % 3 < zero ? '0' : static_cast<char>('0' + random() % 10);
  }
  return digits;
}

}  // namespace

TEST_CASE("JSON digits: integers around every power of two and ten, and around every limit") {
  std::vector<std::string> texts{"0",
                                 "-0",
                                 "9223372036854775808",
                                 "9223372036854775809",
                                 "-9223372036854775808",
                                 "-9223372036854775809",
                                 "18446744073709551615",
                                 "18446744073709551616"};
  std::uint64_t ten = 1;
  for (int digits = 0; digits < 20; ++digits, ten *= 10) {
    for (const std::uint64_t near : {ten - 1, ten, ten + 1}) texts.push_back(std::to_string(near));
  }
  for (int bit = 0; bit < 64; ++bit) {
    const std::uint64_t two = std::uint64_t{1} << bit;
    for (const std::uint64_t near : {two - 1, two, two + 1}) texts.push_back(std::to_string(near));
  }
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(agree_for_all_types(text));
    CHECK(agree_for_all_types('-' + text));
    CHECK(agree_for_all_types('0' + text));
    CHECK(agree_for_all_types(text + '0'));
  }
  CHECK(fast<std::int64_t>("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
  CHECK(fast<std::int8_t>("-128") == -128);
  CHECK_FALSE(fast<std::int8_t>("128"));
}

TEST_CASE("JSON digits: random texts of digits, points and exponents, most of them numbers") {
  std::mt19937_64 random{41};
  int different = 0;
  int numbers = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = (random() % 3 == 0 ? "-" : "") + random_digits(random, 22);
    if (random() % 2 == 0) text += '.' + random_digits(random, 22);
    if (random() % 6 == 0) text += (random() % 2 == 0 ? "e-" : "E") + random_digits(random, 3);
    if (random() % 20 == 0) text += "-+.eE/:x"[random() % 8];
    different += !agree_for_all_types(text);
    numbers += plain<double>(text).has_value();
  }
  CHECK(different == 0);
  CHECK(numbers > 20'000);
}

TEST_CASE("JSON digits: doubles that are easily got wrong") {
  for (const std::string text : {"-0.0",
                                 "0.0",
                                 "-0",
                                 "0.1",
                                 "0.3",
                                 "5e-324",
                                 "4.9e-324",
                                 "2.2250738585072011e-308",
                                 "1e22",
                                 "1e23",
                                 "10000000000000000000000",
                                 "100000000000000000000000",
                                 "9007199254740992",
                                 "9007199254740993",
                                 "9007199254740993.0",
                                 "9007199254740991.5",
                                 "4503599627370497.5",
                                 "4503599627370496.5",
                                 "900719925474099.3",
                                 "0.9007199254740993",
                                 "1.7976931348623157e308",
                                 "1.7976931348623159e308",
                                 "179769313486231580793e289",
                                 "0.000000000000000001",
                                 "0.0000000000000000000001",
                                 "123456789012345678",
                                 "1234567890123456789",
                                 "0.000123456789012345678",
                                 "1.00000000000000011102230246251565404"}) {
    CAPTURE(text);
    CHECK(agree_for_all_types(text));
    CHECK(agree_for_all_types('-' + text));
  }
}

TEST_CASE("JSON digits: every byte that is a digit counts in each of eight places, and no other") {
  for (std::size_t at = 0; at < 8; ++at) {
    for (int code = 0; code < 256; ++code) {
      std::string text = "12345678";
      text[at] = static_cast<char>(code);
      if (std::string_view{" \t\n\r"}.find(text[at]) != std::string_view::npos) continue;  // white space
      REQUIRE(agree<std::int64_t>(text));
    }
  }
}

}  // namespace json_digits_test
