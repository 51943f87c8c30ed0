// SPDX-License-Identifier: MIT

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>

#include "kvstore/json_writer.hpp"
#include "support/catch.hpp"

namespace json_writer_test {

using kvstore::JsonWriter;
using kvstore::ValueError;

namespace {

template <class Write>
std::string written(Write&& write) {
  JsonWriter out;
  write(out);
  return std::string{out.text()};
}

template <class T>
std::string number_text(T value) {
  return written([value](JsonWriter& out) { out.number(value); });
}

template <class T>
std::string integer_text(T value) {
  return written([value](JsonWriter& out) { out.integer(value); });
}

/// Escapes byte by byte, for comparison.
std::string plainly_escaped(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    const std::string_view named = "\b\f\n\r\t\"\\";
    const auto index = named.find(byte);
    if (index != std::string_view::npos) {
      out += {'\\', "bfnrt\"\\"[index]};
    } else if (static_cast<unsigned char>(byte) < 0x20) {
      const char hex[] = "0123456789abcdef";
      out += {'\\', 'u', '0', '0', hex[byte / 16], hex[byte % 16]};
    } else {
      out += byte;
    }
  }
  return out;
}

}  // namespace

TEST_CASE("JSON writer: writes null and booleans") {
  CHECK(written([](JsonWriter& out) { out.null(); }) == "null");
  CHECK(written([](JsonWriter& out) { out.boolean(true); }) == "true");
  CHECK(written([](JsonWriter& out) { out.boolean(false); }) == "false");
}

TEST_CASE("JSON writer: writes the limits of every integer type") {
  CHECK(integer_text(std::numeric_limits<std::int8_t>::min()) == "-128");
  CHECK(integer_text(std::numeric_limits<std::uint8_t>::max()) == "255");
  CHECK(integer_text(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  CHECK(integer_text(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  CHECK(integer_text('a') == "97");
  CHECK(integer_text(u'\xFFFF') == "65535");
}

TEST_CASE("JSON writer: writes floating-point numbers shortest, and as no integer") {
  CHECK(number_text(0.1) == "0.1");
  CHECK(number_text(0.1F) == "0.1");
  CHECK(number_text(1.0) == "1.0");
  CHECK(number_text(-0.0) == "-0.0");
  CHECK(number_text(1e22) == "1e+22");
  CHECK(number_text(5e-324) == "5e-324");
  CHECK(number_text(123456789.0) == "123456789.0");
}

TEST_CASE("JSON writer: refuses NaN and infinity") {
  CHECK_THROWS_AS(number_text(std::nan("")), ValueError);
  CHECK_THROWS_AS(number_text(HUGE_VAL), ValueError);
  CHECK_THROWS_AS(number_text(-HUGE_VALF), ValueError);
}

TEST_CASE("JSON writer: escapes quotes, backslashes and control characters") {
  using namespace std::string_view_literals;
  const auto text = written([](JsonWriter& out) { out.string("a\"b\\c\b\f\n\r\t\0\x1f\x7f/\xC3\xA9"sv); });
  CHECK(text == "\"a\\\"b\\\\c\\b\\f\\n\\r\\t\\u0000\\u001f\x7f/\xC3\xA9\"");
}

TEST_CASE("JSON writer: escapes random text of any length like a plain loop does") {
  std::mt19937 random{17};
  const std::string_view pool[] = {
      "a", "\"", "\\", "\n", "\x01", "\x7f", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
  JsonWriter out;
  for (int round = 0; round < 20'000; ++round) {
    const auto rarity = 1 + random() % 40;
    std::string text;
    for (auto left = random() % 80; left > 0; --left) text += pool[random() % rarity == 0 ? random() % 9 : 0];
    out.clear();
    out.append_escaped(text);
    REQUIRE(out.text() == plainly_escaped(text));
  }
}

TEST_CASE("JSON writer: has room for what escapes add, whatever it has written before") {
  for (std::size_t before = 0; before < 300;
       ++before) {  // the address sanitizer notices a write beyond the buffer
    JsonWriter out;
    out.raw(std::string(before, 'x'));
    const std::string text = std::string(before % 40, 'a') + std::string(before, '\x01') + "b";
    out.string(text);
    REQUIRE(out.text().substr(before) == '"' + plainly_escaped(text) + '"');
  }
}

TEST_CASE("JSON writer: refuses invalid UTF-8 and says where it is") {
  for (const std::string bad :
       {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
        "\xF8\x88\x80\x80\x80", "\xFF", "\xE2\x82", "\xE2\x82z"}) {
    const std::string text = std::string(20, 'x') + bad;
    CHECK_THROWS_WITH(written([&](JsonWriter& out) { out.string(text); }),
                      Catch::Matchers::ContainsSubstring("byte 20"));
  }
}

TEST_CASE("JSON writer: can be truncated to what stood before a failed write") {
  JsonWriter out;
  out.string("good");
  const auto size = out.size();
  CHECK_THROWS_AS(out.string("bad \xFF"), ValueError);
  out.truncate(size);
  CHECK(out.text() == "\"good\"");
}

TEST_CASE("JSON writer: counts nesting up to its limit") {
  JsonWriter out;
  for (int i = 0; i < kvstore::kMaxDepth; ++i) out.enter();
  CHECK_THROWS_AS(out.enter(), ValueError);
  out.leave();
  CHECK_NOTHROW(out.enter());
}

TEST_CASE("JSON writer: grows, and is moved with its text") {
  JsonWriter out;
  for (int i = 0; i < 10'000; ++i) out.raw("0123456789");
  JsonWriter moved{std::move(out)};
  CHECK(moved.size() == 100'000);
  CHECK(moved.text().ends_with("789"));
  moved.clear();
  CHECK(moved.text().empty());
  CHECK(moved.capacity() >= 100'000);
}

}  // namespace json_writer_test
