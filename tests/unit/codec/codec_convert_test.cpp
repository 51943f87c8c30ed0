// SPDX-License-Identifier: MIT

// Types that nlohmann/json converts, and codecs written by users.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/codec_text.hpp"

using codec_text::decode;
using codec_text::encode;
using codec_text::refuses;
using kvstore::ParseError;

namespace codec_convert_test {

struct Person {
  std::string name;
  std::uint8_t age = 0;
  int points = 0;
  double weight = 0;
  bool active = false;
  std::vector<std::int16_t> scores;
  bool operator==(const Person&) const = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Person, name, age, points, weight, active, scores)

struct Strict {
  int id = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Strict, id)

/// Resembles a sequence, but defines its own conversion.
struct Path : std::vector<int> {};
void to_json(nlohmann::json& out, const Path& path) { out = {{"steps", path.size()}}; }
void from_json(const nlohmann::json& in, Path& path) { path.resize(in.at("steps").get<std::size_t>()); }

/// Contains a hash set, whose order need not survive.
struct Tags {
  std::unordered_set<int> ids;
  bool operator==(const Tags&) const = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Tags, ids)

struct Even {
  int value = 0;
};
void to_json(nlohmann::json& out, const Even& even) { out = even.value; }
void from_json(const nlohmann::json& in, Even& even) {
  if (in.get<int>() % 2 != 0) throw std::invalid_argument{"odd"};
  even.value = in.get<int>();
}

/// Keeps its value between 0 and 1000.
struct Clamped {
  int value = 0;
};
void to_json(nlohmann::json& out, const Clamped& clamped) { out = clamped.value; }
void from_json(const nlohmann::json& in, Clamped& clamped) {
  clamped.value = std::clamp(in.get<int>(), 0, 1000);
}

/// Has a codec of its own.
struct Celsius {
  double degrees = 0;
  bool operator==(const Celsius&) const = default;
};

}  // namespace codec_convert_test

template <>
struct kvstore::Codec<codec_convert_test::Celsius> {
  static void encode(const codec_convert_test::Celsius& value, JsonWriter& out) { out.number(value.degrees); }
  static codec_convert_test::Celsius decode(JsonReader& in) { return {in.number<double>()}; }
};

namespace codec_convert_test {

TEST_CASE("Codec: a type with fields for nlohmann round-trips") {
  const Person person{"Zo\xC3\xAB", 42, -7, 61.5, true, {1, -2}};
  CHECK(decode<Person>(encode(person)) == person);
  const std::map<std::string, std::vector<std::optional<Person>>> people{{"a", {person, std::nullopt}}};
  CHECK((decode<std::map<std::string, std::vector<std::optional<Person>>>>(encode(people)) == people));
}

TEST_CASE("Codec: a number that does not fit a field is refused, with its place") {
  CHECK_THROWS_WITH(decode<Person>(R"({"age":300})"), "number 300 at /age does not fit its field");
  CHECK_THROWS_WITH(decode<Person>(R"({"age":-1})"), "number -1 at /age does not fit its field");
  CHECK_THROWS_WITH(decode<Person>(R"({"points":1.5})"), "number 1.5 at /points does not fit its field");
  CHECK_THROWS_WITH(decode<Person>(R"({"points":4294967296})"),
                    "number 4294967296 at /points does not fit its field");
  CHECK_THROWS_WITH(decode<Person>(R"({"points":true})"), "boolean true at /points does not fit its field");
  CHECK_THROWS_WITH(decode<Person>(R"({"scores":[1,65537]})"),
                    "number 65537 at /scores/1 does not fit its field");
  CHECK_THROWS_AS(decode<Person>(R"({"points":1.0})"), ParseError);
  CHECK_THROWS_AS(decode<Person>(R"({"active":1})"), ParseError);
}

TEST_CASE("Codec: an unsigned number does not pass for a negative one") {
  CHECK_THROWS_AS(decode<Person>(R"({"points":4294967295})"), ParseError);
  CHECK_THROWS_AS(decode<Even>("18446744073709551614"), ParseError);
}

TEST_CASE("Codec: the offset of a conversion's error is that of the value") {
  try {
    static_cast<void>(decode<std::vector<Strict>>(R"([{"id":1}, {"di":2}])"));
    FAIL("accepted");
  } catch (const ParseError& error) {
    CHECK(error.offset() == 11);
    CHECK_THAT(error.what(), Catch::Matchers::ContainsSubstring("key 'id' not found"));
  }
}

TEST_CASE("Codec: missing, further and whole-numbered fields are fine") {
  CHECK(decode<Person>("{}") == Person{});
  CHECK(decode<Person>(R"({"weight":60,"other":1e5,"age":0})").weight == 60);
}

TEST_CASE("Codec: what from_json throws is an error of the text") {
  CHECK_THROWS_AS(decode<Even>("3"), ParseError);
  CHECK_THROWS_AS(decode<Person>("[]"), ParseError);
}

TEST_CASE("Codec: a from_json that normalises is left alone") {
  CHECK(decode<Clamped>("70000").value == 1000);
  CHECK(decode<Clamped>("-5").value == 0);
}

TEST_CASE("Codec: a hash set inside a converted type comes back whatever its order") {
  Tags tags;
  for (int i = 0; i < 100; ++i) tags.ids.insert(i * 256);
  CHECK(decode<Tags>(encode(tags)) == tags);
  CHECK(decode<Tags>(R"({"ids":[512,256,0]})").ids.size() == 3);
}

TEST_CASE("Codec: a container with a to_json of its own is converted by it") {
  Path path;
  path.resize(3);
  CHECK(encode(path) == R"({"steps":3})");
  CHECK(decode<Path>(R"({"steps":2})").size() == 2);
}

TEST_CASE("Codec: a converted value that could not be read back is refused when written") {
  CHECK(refuses(Person{"\xFF", 0, 0, 0, false, {}}));
  CHECK(refuses(Person{"x", 0, 0, std::nan(""), false, {}}));
  CHECK(refuses(std::vector<Person>{{"x", 0, 0, HUGE_VAL, false, {}}}));
}

TEST_CASE("Codec: types of the standard library that nlohmann knows are converted") {
  CHECK(decode<std::filesystem::path>(encode(std::filesystem::path{"/a/b"})) == "/a/b");
}

TEST_CASE("Codec: a user's codec is used, inside containers too") {
  CHECK(encode(std::vector<Celsius>{{1.5}, {-0.0}}) == "[1.5,-0.0]");
  CHECK(decode<std::optional<Celsius>>("2") == Celsius{2});
  CHECK(refuses(std::optional<Celsius>{Celsius{HUGE_VAL}}));
}

}  // namespace codec_convert_test
