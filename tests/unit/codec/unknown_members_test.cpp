// SPDX-License-Identifier: MIT

// Members of an object that the list of its type does not name.

#include <map>
#include <string>

#include "kvstore/fields.hpp"
#include "support/catch.hpp"
#include "support/codec_text.hpp"

using Catch::Matchers::ContainsSubstring;
using codec_text::decode;
using codec_text::encode;
using codec_text::refuses;
using kvstore::ParseError;

namespace unknown_members_test {

struct Strict {
  int age = 0;
};
constexpr auto kvstore_fields(const Strict*) { return kvstore::fields("age", &Strict::age); }

struct Outer {
  Strict inner;
};
constexpr auto kvstore_fields(const Outer*) { return kvstore::fields("inner", &Outer::inner); }

/// The field was called "width" once.
struct Renamed {
  int breadth = 80;
};
constexpr auto kvstore_fields(const Renamed*) {
  return kvstore::fields_with_default("breadth", &Renamed::breadth);
}

struct Dropping {
  int age = 0;
};
constexpr auto kvstore_fields(const Dropping*) {
  return kvstore::fields("age", &Dropping::age).drop_unknown();
}

struct Keeping {
  int age = 0;
  std::map<std::string, std::string> others;
};
constexpr auto kvstore_fields(const Keeping*) {
  return kvstore::fields("age", &Keeping::age).keep_unknown(&Keeping::others);
}

TEST_CASE("Unknown members: they are refused, and the message names member, type and remedy") {
  REQUIRE_THROWS_WITH(decode<Strict>(R"({"age":1,"note":"hello"})"),
                      ContainsSubstring("member \"note\" is not in the list of members of ") &&
                          ContainsSubstring("Strict") && ContainsSubstring(".drop_unknown()") &&
                          ContainsSubstring(".keep_unknown("));
  REQUIRE_THROWS_AS(decode<Strict>(R"({"note":[],"age":1})"), ParseError);
  REQUIRE_THROWS_WITH(decode<Outer>(R"({"inner":{"age":1,"note":2}})"),
                      ContainsSubstring("in field \"inner\": member \"note\""));
}

TEST_CASE("Unknown members: a renamed field does not silently fall back to its default") {
  REQUIRE_THROWS_WITH(decode<Renamed>(R"({"width":120})"), ContainsSubstring("member \"width\""));
}

TEST_CASE("Unknown members: a list may drop them wherever they stand") {
  REQUIRE(decode<Dropping>(R"({"x":[{"age":1}],"age":2,"y":"}","z":null})").age == 2);
  REQUIRE(encode(decode<Dropping>(R"({"age":2,"y":1})")) == R"({"age":2})");
  REQUIRE_THROWS_AS(decode<Dropping>(R"({"age":2,"z":tru})"), ParseError);
  REQUIRE_THROWS_AS(decode<Dropping>(R"({"age":2,"z":1,"z":1})"), ParseError);
}

TEST_CASE("Unknown members: a list may keep them as they are") {
  const auto value = decode<Keeping>(
      "{\"x\":[1.10,\n{\"a\":\"\\u0041\"}],\"age\":2,\"big\":123456789012345678901234567890}");
  REQUIRE(value.age == 2);
  REQUIRE(value.others.size() == 2);
  REQUIRE(encode(value) == R"({"age":2,"big":123456789012345678901234567890,"x":[1.10, {"a":"\u0041"}]})");
  REQUIRE_THROWS_AS(decode<Keeping>(R"({"age":2,"z":1,"z":1})"), ParseError);
}

TEST_CASE("Unknown members: a kept one that could not be read back is refused") {
  REQUIRE(refuses(Keeping{1, {{"x", "tru"}}}));
  REQUIRE(refuses(Keeping{1, {{"x", "1,"}}}));
  REQUIRE(refuses(Keeping{1, {{"age", "1"}}}));
  REQUIRE_FALSE(refuses(Keeping{1, {{"x", "true"}}}));
}

}  // namespace unknown_members_test
