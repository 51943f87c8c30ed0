// SPDX-License-Identifier: MIT

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "kvstore/key_text.hpp"
#include "support/catch.hpp"

using kvstore::JsonWriter;
using kvstore::KeyText;
using kvstore::ParseError;
using kvstore::ValueError;

namespace key_text_test {

enum class Color { red, green };
NLOHMANN_JSON_SERIALIZE_ENUM(Color, {{Color::red, "red \"1\""}, {Color::green, "2"}})

enum class Plain : std::uint8_t { a, b };

struct Point {
  int x = 0;
  int y = 0;
  bool operator==(const Point&) const = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Point, x, y)

struct NoCodec {};

template <class Key>
std::string text_of(const Key& key) {
  KeyText<Key>::check(key);
  JsonWriter out;
  out.raw("before ");
  KeyText<Key>::append(key, out);
  return std::string{out.text().substr(7)};
}

template <class Key>
std::string round_trip(const Key& key) {
  const std::string text = text_of(key);
  CHECK(KeyText<Key>::parse(text) == key);
  return text;
}

template <class Key>
bool refuses(const Key& key) {
  JsonWriter out;
  CHECK_THROWS_AS(KeyText<Key>::check(key), ValueError);
  CHECK_THROWS_AS(KeyText<Key>::append(key, out), ValueError);
  return true;
}

TEST_CASE("Key text: a string is its own text") {
  CHECK(round_trip(std::string{"a \"b\" \n"}) == "a \"b\" \n");
  CHECK(round_trip(std::string{}).empty());
  CHECK(round_trip(std::string{"42"}) == "42");
}

TEST_CASE("Key text: a string of invalid UTF-8 is refused both ways") {
  refuses(std::string{"\xFF"});
  CHECK_THROWS_AS(KeyText<std::string>::parse("\xFF"), ParseError);
}

TEST_CASE("Key text: an enumerator that there is not is refused as such") {
  CHECK_THROWS_WITH(KeyText<Color>::parse("blue"),
                    Catch::Matchers::Contains("expected one of the enumerators"));
  CHECK_THROWS_WITH(KeyText<Plain>::parse("b"), Catch::Matchers::Contains("expected one of the enumerators"));
}

TEST_CASE("Key text: integers are their digits") {
  CHECK(round_trip(-5) == "-5");
  CHECK(round_trip(UINT64_MAX) == "18446744073709551615");
}

TEST_CASE("Key text: integers in any other form are refused") {
  for (const auto* text : {"042", "+5", " 5", "5 ", "5\n", "1.0", "1e3", "", "x", "\"5\"", "300", "-1"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(KeyText<std::uint8_t>::parse(text), ParseError);
  }
}

TEST_CASE("Key text: enums are their name or number") {
  CHECK(round_trip(Plain::b) == "1");
  CHECK(round_trip(Color::red) == "red \"1\"");
  CHECK(round_trip(Color::green) == "2");
  CHECK_THROWS_AS(KeyText<Color>::parse("blue"), ParseError);
  CHECK_THROWS_AS(KeyText<Plain>::parse("256"), ParseError);
}

TEST_CASE("Key text: other keys are their JSON") {
  CHECK(round_trip(true) == "true");
  CHECK(round_trip(1.5) == "1.5");
  CHECK(round_trip(std::pair{1, std::string{"a"}}) == R"([1,"a"])");
  CHECK(round_trip(Point{1, 2}) == R"({"x":1,"y":2})");
  CHECK_THROWS_AS((KeyText<std::pair<int, int>>::parse("[1,2] ")), ParseError);
  CHECK_THROWS_AS(KeyText<Point>::parse("x"), ParseError);
}

TEST_CASE("Key text: a key that would share its text with another is refused") {
  using Key = std::optional<std::string>;
  CHECK(round_trip(Key{"null"}) == "null");
  CHECK(round_trip(Key{"12"}) == "12");
  refuses(Key{});
  CHECK(round_trip(nlohmann::json(12)) == "12");
  CHECK(round_trip(nlohmann::json("abc")) == "abc");
  refuses(nlohmann::json("12"));
  refuses(nlohmann::json(nullptr));
}

TEST_CASE("Key text: messages show strings in quotes") {
  CHECK(KeyText<std::string>::for_message(std::string{"a\"b"}) == R"("a\"b")");
  CHECK(KeyText<std::string>::for_message(std::string_view{"abc"}) == "\"abc\"");
  CHECK(KeyText<std::string>::for_message("abc") == "\"abc\"");
}

TEST_CASE("Key text: messages show other keys as JSON") {
  CHECK(KeyText<int>::for_message(-5) == "-5");
  CHECK(KeyText<Color>::for_message(Color::red) == R"("red \"1\"")");
  CHECK(KeyText<Point>::for_message(Point{1, 2}) == R"({"x":1,"y":2})");
}

TEST_CASE("Key text: messages are short, printable and do not throw") {
  CHECK(KeyText<std::string>::for_message(std::string(1000, 'x')) == '"' + std::string(63, 'x') + "...\"");
  CHECK(KeyText<std::string>::for_message("a\n\xFF\x7F\xC3\xA9") == "\"a\\x0a\\xff\\x7f\xC3\xA9\"");
  CHECK(KeyText<double>::for_message(HUGE_VAL) == "(key)");
  std::string euros;
  for (int i = 0; i < 100; ++i) euros += "\xE2\x82\xAC";
  CHECK(kvstore::detail::is_valid_utf8(KeyText<std::string>::for_message(euros)));
}

TEST_CASE("Key text: messages name keys without a codec by a fixed word") {
  CHECK(KeyText<NoCodec>::for_message(NoCodec{}) == "(key)");
  using Pair = std::pair<int, NoCodec>;
  CHECK(KeyText<Pair>::for_message(Pair{}) == "(key)");
}

}  // namespace key_text_test
