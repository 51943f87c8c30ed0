// SPDX-License-Identifier: MIT

// Texts and values that codecs refuse, on reading and on writing.

#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/codec_text.hpp"

namespace codec_strict_test {

using codec_text::decode;
using codec_text::refuses;
using kvstore::ParseError;
using nlohmann::json;

namespace {

json nested(int depth) {
  json value = json::array();
  for (int i = 1; i < depth; ++i) value = json::array({std::move(value)});
  return value;
}

}  // namespace

TEST_CASE("Codec: refuses to write NaN and infinity, inside containers too") {
  CHECK(refuses(std::nan("")));
  CHECK(refuses(HUGE_VALF));
  CHECK(refuses(std::map<int, std::vector<double>>{{1, {1.0, HUGE_VAL}}}));
  CHECK(refuses(std::optional<float>{std::nanf("")}));
  CHECK(refuses(std::variant<int, double>{std::nan("")}));
}

TEST_CASE("Codec: refuses to write invalid UTF-8, in keys of maps too") {
  CHECK(refuses(std::string{"\xC3"}));
  CHECK(refuses(std::tuple<int, std::string>{1, "\xFF"}));
  CHECK(refuses(std::map<std::string, int>{{"\xFF", 1}}));
}

TEST_CASE("Codec: refuses to write a present value that would be read back as an empty one") {
  CHECK(refuses(std::optional<std::optional<int>>{std::optional<int>{}}));
  CHECK(refuses(std::optional<json>{json(nullptr)}));
  CHECK(refuses(std::optional<std::unique_ptr<int>>{std::unique_ptr<int>{}}));
  CHECK(refuses(std::make_unique<std::optional<int>>()));
  CHECK(refuses(std::vector<std::optional<std::monostate>>{std::monostate{}}));
  CHECK_FALSE(refuses(std::optional<std::optional<int>>{std::optional<int>{1}}));
  CHECK_FALSE(refuses(std::optional<json>{}));
}

TEST_CASE("Codec: refuses to write what is nested too deep, counting the containers around it") {
  CHECK_FALSE(refuses(std::vector<json>{nested(511)}));
  CHECK(refuses(std::vector<json>{nested(512)}));
  CHECK(refuses(std::optional<std::map<int, json>>{{{1, nested(512)}}}));
}

TEST_CASE("Codec: a failed write of a container leaves the writer as usable as before") {
  kvstore::JsonWriter out;
  for (int i = 0; i < 2 * kvstore::kMaxDepth; ++i) {
    CHECK_THROWS_AS(kvstore::Codec<std::vector<std::string>>::encode({"\xFF"}, out), kvstore::ValueError);
    out.truncate(0);
  }
  kvstore::Codec<std::vector<std::string>>::encode({"x"}, out);
  CHECK(out.text() == R"(["x"])");
}

TEST_CASE("Codec: numbers of another kind or range are refused when read") {
  CHECK_THROWS_AS(decode<std::uint8_t>("300"), ParseError);
  CHECK_THROWS_AS(decode<int>("1.5"), ParseError);
  CHECK_THROWS_AS(decode<int>("1.0"), ParseError);
  CHECK_THROWS_AS(decode<int>("\"1\""), ParseError);
  CHECK_THROWS_AS(decode<int>("true"), ParseError);
  CHECK_THROWS_AS(decode<bool>("1"), ParseError);
  CHECK_THROWS_AS(decode<double>("\"1\""), ParseError);
  CHECK_THROWS_AS(decode<std::string>("1"), ParseError);
  CHECK_THROWS_AS(decode<std::vector<std::uint8_t>>("[1,256]"), ParseError);
}

TEST_CASE("Codec: arrays, pairs and tuples must have their length") {
  CHECK_THROWS_AS((decode<std::array<int, 2>>("[1]")), ParseError);
  CHECK_THROWS_AS((decode<std::array<int, 2>>("[1,2,3]")), ParseError);
  CHECK_THROWS_AS((decode<std::pair<int, int>>("[1]")), ParseError);
  CHECK_THROWS_AS((decode<std::pair<int, int>>("[1,2,3]")), ParseError);
  CHECK_THROWS_AS((decode<std::tuple<int>>("[]")), ParseError);
  CHECK_THROWS_AS(decode<std::tuple<>>("[1]"), ParseError);
}

TEST_CASE("Codec: an element twice in a set, or a key twice in a map, is refused") {
  CHECK_THROWS_AS(decode<std::set<int>>("[1,2,1]"), ParseError);
  CHECK_THROWS_AS((decode<std::map<std::string, int>>(R"({"a":1,"\u0061":2})")), ParseError);
  CHECK_THROWS_AS((decode<std::map<int, int>>(R"({"1":1,"1":2})")), ParseError);
  CHECK_THROWS_AS((decode<std::map<std::pair<int, int>, int>>("[[[1,2],3],[[1,2],4]]")), ParseError);
}

TEST_CASE("Codec: a key of a map must be an integer in the form that is written") {
  for (const auto* key : {"042", "+5", " 5", "5 ", "1.0", "", "x", "300"}) {
    CAPTURE(key);
    CHECK_THROWS_AS((decode<std::map<std::uint8_t, int>>('{' + json(key).dump() + ":1}")), ParseError);
  }
}

TEST_CASE("Codec: a variant's index must be one of its types, with a value of that type") {
  using Variant = std::variant<int, std::string>;
  for (const auto* text : {"[2,1]", "[-1,1]", "[0,\"x\"]", "[1]", "[0,1,2]", "5", "[]"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(decode<Variant>(text), ParseError);
  }
}

}  // namespace codec_strict_test
