// SPDX-License-Identifier: MIT

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/codec_text.hpp"

using codec_text::decode;
using codec_text::encode;
using codec_text::refuses;
using kvstore::ParseError;

namespace codec_enum_test {

enum class Small : std::uint8_t { a, b, last = 255 };
enum class Wide : std::uint64_t { huge = std::numeric_limits<std::uint64_t>::max() };
enum class Signed : std::int64_t { lowest = std::numeric_limits<std::int64_t>::min(), minus_one = -1 };
enum class YesNo : bool { no, yes };
enum Unscoped { red, green = 5 };

enum class Named { unknown, on, off };
NLOHMANN_JSON_SERIALIZE_ENUM(Named, {{Named::unknown, nullptr}, {Named::on, "on"}, {Named::off, "off"}})

enum class Digits { one, two };
NLOHMANN_JSON_SERIALIZE_ENUM(Digits, {{Digits::one, "1"}, {Digits::two, "2"}})

/// Its conversion accepts no tree but nlohmann::json itself.
enum class Picky { no, yes };
template <class Json>
  requires std::same_as<Json, nlohmann::json>
void to_json(Json& json, const Picky& value) {
  json = value == Picky::yes ? "yes" : "no";
}
template <class Json>
  requires std::same_as<Json, nlohmann::json>
void from_json(const Json& json, Picky& value) {
  value = json == "yes" ? Picky::yes : Picky::no;
}

/// Its conversion knows its enumerators only, as one does that indexes an array.
enum class Indexed { first, second };
inline void to_json(nlohmann::json& json, const Indexed& value) {
  static const std::vector<std::string> names{"first", "second"};
  json = names.at(static_cast<std::size_t>(value));
}
inline void from_json(const nlohmann::json& json, Indexed& value) {
  value = json.get<std::string>() == "first" ? Indexed::first : Indexed::second;
}

/// Its serializer, below, has the same members as the one of nlohmann/json.
enum class Serialized { no, yes };

}  // namespace codec_enum_test

template <>
struct nlohmann::adl_serializer<codec_enum_test::Serialized> {
  using Enum = codec_enum_test::Serialized;
  template <class Json, class Value>
  static void to_json(Json& json, Value&& value) {
    json = value == Enum::yes ? "yes" : "no";
  }
  template <class Json>
  static void from_json(const Json& json, Enum& value) {
    value = json == "yes" ? Enum::yes : Enum::no;
  }
};

namespace codec_enum_test {

TEST_CASE("Codec: an enum is its number") {
  CHECK(encode(Small::b) == "1");
  CHECK(encode(Small::last) == "255");
  CHECK(encode(green) == "5");
  CHECK(encode(YesNo::yes) == "1");
  CHECK(encode(std::byte{7}) == "7");
  CHECK(decode<Small>("255") == Small::last);
  CHECK(decode<Unscoped>("5") == green);
  CHECK(decode<YesNo>("1") == YesNo::yes);
}

TEST_CASE("Codec: enums of 64 bits keep their number") {
  CHECK(encode(Wide::huge) == "18446744073709551615");
  CHECK(decode<Wide>("18446744073709551615") == Wide::huge);
  CHECK(decode<Signed>(encode(Signed::lowest)) == Signed::lowest);
  CHECK(decode<Signed>("-1") == Signed::minus_one);
}

TEST_CASE("Codec: a number that an enum's type does not hold is refused") {
  CHECK_THROWS_AS(decode<Small>("256"), ParseError);
  CHECK_THROWS_AS(decode<Small>("-1"), ParseError);
  CHECK_THROWS_AS(decode<Wide>("-1"), ParseError);
  CHECK_THROWS_AS(decode<Signed>("18446744073709551615"), ParseError);
  CHECK_THROWS_AS(decode<YesNo>("2"), ParseError);
  CHECK_THROWS_AS(decode<Small>("1.0"), ParseError);
  for (const std::string text : {"1.5e300", "-1.5e300", "8.34835e+08"}) {  // a cast would be undefined
    CHECK_THROWS_AS(decode<Small>(text), ParseError);
    CHECK_THROWS_AS(decode<Signed>(text), ParseError);
  }
  CHECK_THROWS_AS(decode<Small>("true"), ParseError);
  CHECK_THROWS_AS(decode<Small>("\"1\""), ParseError);
}

TEST_CASE("Codec: NLOHMANN_JSON_SERIALIZE_ENUM gives an enum its names") {
  CHECK(encode(Named::on) == R"("on")");
  CHECK(encode(Named::unknown) == "null");
  CHECK(decode<Named>(R"("off")") == Named::off);
  CHECK(decode<Named>("null") == Named::unknown);
}

TEST_CASE("Codec: a name that an enum does not have is refused, not taken for the first") {
  CHECK_THROWS_AS(decode<Named>(R"("ON")"), ParseError);
  CHECK_THROWS_AS(decode<Named>("1"), ParseError);
  CHECK_THROWS_AS(decode<Named>("{}"), ParseError);
}

TEST_CASE("Codec: an enumerator without a name is refused when written") {
  CHECK(refuses(static_cast<Named>(9)));
  CHECK_FALSE(refuses(static_cast<Small>(9)));
}

TEST_CASE("Codec: enums are keys of objects and elements") {
  const std::map<Named, std::vector<Small>> value{{Named::on, {Small::a, Small::b}}, {Named::off, {}}};
  CHECK(encode(value) == R"({"on":[0,1],"off":[]})");
  CHECK(decode<std::map<Named, std::vector<Small>>>(encode(value)) == value);
}

TEST_CASE("Codec: names that look like numbers are kept apart from numbers") {
  const std::map<Digits, int> value{{Digits::one, 1}, {Digits::two, 2}};
  CHECK(encode(value) == R"({"1":1,"2":2})");
  CHECK(decode<std::map<Digits, int>>(encode(value)) == value);
  CHECK_THROWS_AS(decode<Digits>("1"), ParseError);
}

TEST_CASE("Codec: an enum has the form that its author chose, in whatever way that was said") {
  CHECK(encode(Picky::yes) == "\"yes\"");
  CHECK(decode<Picky>("\"yes\"") == Picky::yes);
  CHECK(encode(Serialized::yes) == "\"yes\"");
  CHECK(decode<Serialized>("\"yes\"") == Serialized::yes);
}

TEST_CASE("Codec: a number in a file never reaches a conversion as an enumerator that there is not") {
  CHECK(decode<Indexed>("\"second\"") == Indexed::second);
  for (const std::string text : {"2", "-1", "77", "1.5", "\"third\"", "null"}) {
    CHECK_THROWS_AS(decode<Indexed>(text), ParseError);
  }
}

}  // namespace codec_enum_test
