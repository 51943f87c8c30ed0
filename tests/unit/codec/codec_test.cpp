// SPDX-License-Identifier: MIT

// The JSON of each kind of type, and the way back.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/codec_text.hpp"

namespace codec_test {

using codec_text::decode;
using codec_text::encode;

namespace {

/// The JSON text of a value, after checking that it reads back as the same value.
template <class T>
std::string round_trip(const T& value) {
  kvstore::detail::check_value(value);
  const std::string text = encode(value);
  CHECK(decode<T>(text) == value);
  return text;
}

struct NoCodecAtAll {};

}  // namespace

TEST_CASE("Codec: booleans") {
  CHECK(round_trip(true) == "true");
  CHECK(round_trip(false) == "false");
}

TEMPLATE_TEST_CASE("Codec: the limits of every integer type", "", char, signed char, unsigned char, wchar_t,
                   char8_t, char16_t, char32_t, short, unsigned short, int, unsigned, long, unsigned long,
                   long long, unsigned long long) {
  round_trip(std::numeric_limits<TestType>::min());
  round_trip(std::numeric_limits<TestType>::max());
  round_trip(TestType{7});
}

TEST_CASE("Codec: floating-point numbers") {
  CHECK(round_trip(1.5) == "1.5");
  CHECK(round_trip(0.1F) == "0.1");
  CHECK(round_trip(std::numeric_limits<double>::denorm_min()) == "5e-324");
  CHECK(round_trip(std::numeric_limits<float>::max()) == "3.4028235e+38");
}

TEST_CASE("Codec: strings") {
  CHECK(round_trip(std::string{"a\nb"}) == R"("a\nb")");
  CHECK(round_trip(std::string(1, '\0')) == R"("\u0000")");
}

TEST_CASE("Codec: trees") {
  CHECK(round_trip(nlohmann::json{{"a", {1, 2.5, nullptr}}}) == R"({"a":[1,2.5,null]})");
  CHECK(round_trip(nlohmann::ordered_json{{"z", 1}, {"a", 2}}) == R"({"z":1,"a":2})");
}

TEST_CASE("Codec: sequences") {
  CHECK(round_trip(std::vector<int>{1, 2, 3}) == "[1,2,3]");
  CHECK(round_trip(std::vector<int>{}) == "[]");
  CHECK(round_trip(std::vector<bool>{true, false}) == "[true,false]");
  CHECK(round_trip(std::deque<std::string>{"a", "b"}) == R"(["a","b"])");
  CHECK(round_trip(std::list<std::vector<int>>{{1}, {}}) == "[[1],[]]");
  CHECK(round_trip(std::u16string{u"ab"}) == "[97,98]");
}

TEST_CASE("Codec: sets") {
  CHECK(round_trip(std::set<std::string>{"b", "a"}) == R"(["a","b"])");
  CHECK(round_trip(std::multiset<int>{1, 1, 2}) == "[1,1,2]");
  round_trip(std::unordered_set<int>{1, 2, 3});
}

TEST_CASE("Codec: arrays, pairs and tuples") {
  CHECK(round_trip(std::array<int, 2>{1, 2}) == "[1,2]");
  CHECK(round_trip(std::array<int, 0>{}) == "[]");
  CHECK(round_trip(std::pair{1, std::string{"x"}}) == R"([1,"x"])");
  CHECK(round_trip(std::tuple{true, 2, 3.0}) == "[true,2,3.0]");
  CHECK(round_trip(std::tuple<>{}) == "[]");
}

TEST_CASE("Codec: maps with names as keys are objects") {
  CHECK(round_trip(std::map<std::string, int>{{"a\"", 1}, {"b", 2}}) == R"({"a\"":1,"b":2})");
  CHECK(round_trip(std::map<std::int8_t, bool>{{std::int8_t{-5}, true}}) == R"({"-5":true})");
  round_trip(std::unordered_map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
}

TEST_CASE("Codec: other maps are arrays of pairs") {
  CHECK(round_trip(std::map<std::pair<int, int>, int>{{{1, 2}, 3}}) == "[[[1,2],3]]");
  CHECK(round_trip(std::multimap<std::string, int>{{"a", 1}, {"a", 2}}) == R"([["a",1],["a",2]])");
}

TEST_CASE("Codec: optional is null or the value") {
  CHECK(round_trip(std::optional<int>{}) == "null");
  CHECK(round_trip(std::optional<int>{5}) == "5");
  CHECK(round_trip(std::vector<std::optional<std::string>>{std::nullopt, "x"}) == R"([null,"x"])");
}

TEST_CASE("Codec: unique_ptr is null or what it points to") {
  CHECK(encode(std::unique_ptr<int>{}) == "null");
  CHECK(encode(std::make_unique<int>(5)) == "5");
  CHECK(decode<std::unique_ptr<int>>("null") == nullptr);
  CHECK(*decode<std::unique_ptr<int>>("5") == 5);
  CHECK(*decode<std::vector<std::unique_ptr<std::string>>>(R"(["a"])").at(0) == "a");
}

TEST_CASE("Codec: variant is its index and value") {
  using Variant = std::variant<std::monostate, int, std::string, int>;
  CHECK(round_trip(Variant{}) == "[0,null]");
  CHECK(round_trip(Variant{std::in_place_index<3>, 7}) == "[3,7]");
  CHECK(round_trip(Variant{"x"}) == R"([2,"x"])");
}

TEST_CASE("Codec: durations are their count") {
  CHECK(round_trip(std::chrono::milliseconds{1500}) == "1500");
  CHECK(round_trip(std::chrono::duration<double>{1.5}) == "1.5");
}

TEST_CASE("Codec: types without one are known at compile time, inside others too") {
  using kvstore::HasCodec;
  STATIC_REQUIRE_FALSE(HasCodec<NoCodecAtAll>);
  STATIC_REQUIRE_FALSE(HasCodec<std::vector<NoCodecAtAll>>);
  STATIC_REQUIRE_FALSE(HasCodec<std::map<std::string, std::optional<NoCodecAtAll>>>);
  STATIC_REQUIRE_FALSE(HasCodec<std::pair<int, NoCodecAtAll>>);
  STATIC_REQUIRE_FALSE(HasCodec<long double>);
  STATIC_REQUIRE_FALSE(HasCodec<std::vector<long double>>);
  STATIC_REQUIRE_FALSE(HasCodec<int*>);
  STATIC_REQUIRE_FALSE(HasCodec<const char*>);
  STATIC_REQUIRE_FALSE(HasCodec<std::string_view>);
  STATIC_REQUIRE(HasCodec<std::map<int, std::vector<nlohmann::json>>>);
}

}  // namespace codec_test
