// SPDX-License-Identifier: MIT

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/json_reader.hpp"
#include "support/catch.hpp"

namespace json_reader_test {

using kvstore::JsonReader;
using kvstore::ParseError;

namespace {

template <class Read>
auto whole(std::string_view text, Read&& read) {
  JsonReader in{text};
  auto value = read(in);
  in.finish();
  return value;
}

template <class T>
T integer(std::string_view text) {
  return whole(text, [](JsonReader& in) { return in.integer<T>(); });
}

template <class T = double>
T number(std::string_view text) {
  return whole(text, [](JsonReader& in) { return in.number<T>(); });
}

std::string string(std::string_view text) {
  return whole(text, [](JsonReader& in) { return std::string{in.string()}; });
}

bool accepts(std::string_view text) {
  try {
    JsonReader in{text};
    in.skip_value();
    in.finish();
    return true;
  } catch (const ParseError&) { return false; }
}

}  // namespace

TEST_CASE("JSON reader: reads null and booleans, with white space around") {
  JsonReader in{" null\t\r\n true false "};
  in.null();
  CHECK(in.boolean());
  CHECK_FALSE(in.boolean());
  in.finish();
}

TEST_CASE("JSON reader: an integer must fit its type") {
  CHECK(integer<std::uint8_t>("255") == 255);
  CHECK_THROWS_AS(integer<std::uint8_t>("256"), ParseError);
  CHECK_THROWS_AS(integer<std::uint8_t>("300"), ParseError);
  CHECK_THROWS_AS(integer<std::uint8_t>("-1"), ParseError);
  CHECK(integer<std::int8_t>("-128") == -128);
  CHECK_THROWS_AS(integer<std::int8_t>("-129"), ParseError);
  CHECK(integer<char>("97") == 'a');
  CHECK(integer<std::int64_t>("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
  CHECK(integer<std::uint64_t>("18446744073709551615") == std::numeric_limits<std::uint64_t>::max());
  CHECK_THROWS_AS(integer<std::uint64_t>("18446744073709551616"), ParseError);
  CHECK_THROWS_AS(integer<std::int64_t>("99999999999999999999999"), ParseError);
}

TEST_CASE("JSON reader: minus zero is the integer zero") {
  CHECK(integer<int>("-0") == 0);
  CHECK(integer<unsigned>("-0") == 0);
}

TEST_CASE("JSON reader: fractions, exponents and loose forms are no integers") {
  for (const auto* text :
       {"1.5", "1.0", "1e3", "1E0", "042", "-042", "+5", "0x10", "--1", "-", "", "1_000", "\"1\""}) {
    CAPTURE(text);
    CHECK_THROWS_AS(integer<int>(text), ParseError);
  }
}

TEST_CASE("JSON reader: a number may be an integer's text") {
  CHECK(number("3") == 3.0);
  CHECK(number("-2.5e-1") == -0.25);
  CHECK(std::signbit(number("-0.0")));
  CHECK(number<float>("0.1") == 0.1F);
}

TEST_CASE("JSON reader: a number too large for its type is refused, one too small rounds to zero") {
  CHECK_THROWS_AS(number("1e400"), ParseError);
  CHECK_THROWS_AS(number("-1e999999999999999999999"), ParseError);
  CHECK_THROWS_AS(number(std::string(400, '9')), ParseError);
  CHECK_THROWS_AS(number<float>("1e39"), ParseError);
  CHECK(number("1e-400") == 0.0);
  CHECK(std::signbit(number("-1e-99999999999999999999")));
  CHECK(number("0." + std::string(400, '0') + "1") == 0.0);
  CHECK(number("0." + std::string(400, '0') + "1e401") == 1.0);
  CHECK(number("0e999999") == 0.0);
  CHECK(number<float>("1e-60") == 0.0F);
}

TEST_CASE("JSON reader: what from_chars takes beyond JSON is refused") {
  for (const auto* text :
       {"1.", ".5", "1e", "1e+", "1.e3", "inf", "nan", "-inf", "NaN", "0x1p3", "01.5", "+1.0", "- 1"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(number(text), ParseError);
    CHECK_FALSE(accepts(text));
  }
}

TEST_CASE("JSON reader: a string without escapes is a view into the text") {
  const std::string_view text = R"("a string that is longer than sixteen bytes")";
  JsonReader in{text};
  CHECK(in.string().data() == text.data() + 1);
}

TEST_CASE("JSON reader: escapes are undone") {
  CHECK(string(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  CHECK(string(R"("a\u0041\u00e9\u20AC\ud83d\ude00z")") == "aA\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z");
  CHECK(string(R"("\u0000")") == std::string(1, '\0'));
}

TEST_CASE("JSON reader: malformed strings are refused") {
  for (const auto* text : {R"(")", R"("abc)", R"("\)", R"("\x")", R"("\u12)", R"("\u12g4")", R"("\u-123")",
                           R"('a')", "\"\n\"", "\"tab\there\"", "\"a long one with a line feed\n in it\""}) {
    CAPTURE(text);
    CHECK_THROWS_AS(string(text), ParseError);
  }
}

TEST_CASE("JSON reader: lone surrogates are refused") {
  for (const auto* text : {R"("\ud83d")", R"("\ude00")", R"("\ud83d\n")", R"("\ud83dxx")",
                           R"("\ud83d\ud83d")", R"("\ude00\ud83d")", "\"\xED\xA0\x80\""}) {
    CAPTURE(text);
    CHECK_THROWS_AS(string(text), ParseError);
  }
}

TEST_CASE("JSON reader: invalid UTF-8 is refused where it stands") {
  try {
    static_cast<void>(string("\"more than sixteen bytes \xC0\xAF\""));
    FAIL("accepted");
  } catch (const ParseError& error) { CHECK(error.offset() == 25); }
}

TEST_CASE("JSON reader: an error tells its offset and what was expected") {
  JsonReader in{R"({"a": 1 "b": 2})"};
  try {
    in.each_member([&in](std::string_view) { static_cast<void>(in.integer<int>()); });
    FAIL("accepted");
  } catch (const ParseError& error) {
    CHECK(error.offset() == 8);
    CHECK(error.what() == std::string{"expected ',' or '}'"});
  }
}

TEST_CASE("JSON reader: a text that ends too early is called so") {
  CHECK_THROWS_WITH(integer<int>("  "), Catch::Matchers::ContainsSubstring("but the text ends"));
}

TEST_CASE("JSON reader: what follows a value is refused") {
  for (const auto* text : {"1 2", "{} x", "null,", "\"a\"\"b\"", "[1]]"}) CHECK_FALSE(accepts(text));
  CHECK_FALSE(accepts(std::string_view{"1\0", 2}));
  CHECK(accepts(" 1 \r\n\t"));
}

TEST_CASE("JSON reader: malformed arrays and objects are refused") {
  for (const auto* text :
       {"[",     "[1",        "[1,",     "[1,]",     "[,1]",      "[1 2]",      "]",
        "{",     "{\"a\"",    "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}",
        "{1:1}", "{\"a\" 1}", "{,}",     "[1}",      "{\"a\":1]", "/**/1",      "[1,//\n2]"}) {
    CAPTURE(text);
    CHECK_FALSE(accepts(text));
  }
}

TEST_CASE("JSON reader: elements and members are read in their order") {
  JsonReader in{R"( { "a" : [ 1 , 2 ] , "b" : [ ] } )"};
  std::string seen;
  in.each_member([&](std::string_view key) {
    seen += key;
    in.each_element([&] { seen += std::to_string(in.integer<int>()); });
  });
  in.finish();
  CHECK(seen == "a12b");
}

TEST_CASE("JSON reader: skipping a value returns its text") {
  JsonReader in{R"( {"a": [1, "]"]} , 2)"};
  CHECK(in.skip_value() == R"({"a": [1, "]"]})");
  CHECK(in.try_consume(','));
  CHECK(in.skip_value() == "2");
}

TEST_CASE("JSON reader: nesting is limited, however deep the text is") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(accepts(nested(512)));
  CHECK_FALSE(accepts(nested(513)));
  CHECK_FALSE(accepts(nested(200'000)));
  CHECK_FALSE(accepts(std::string(200'000, '[')));
}

}  // namespace json_reader_test
