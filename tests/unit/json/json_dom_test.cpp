// SPDX-License-Identifier: MIT

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "kvstore/detail/json/tree.hpp"
#include "support/catch.hpp"

namespace json_dom_test {

using Catch::Matchers::ContainsSubstring;
using kvstore::JsonReader;
using kvstore::JsonWriter;
using kvstore::ParseError;
using kvstore::ValueError;
using nlohmann::json;

namespace {

json read(std::string_view text) {
  JsonReader in{text};
  json value = kvstore::detail::read_dom<json>(in);
  in.finish();
  return value;
}

std::string write(const json& value) {
  JsonWriter out;
  kvstore::detail::write_dom(value, out);
  return std::string{out.text()};
}

/// Whether both the cheap check and the write refuse the value.
bool refuses(const json& value) {
  bool by_check = false;
  bool by_write = false;
  try {
    kvstore::detail::check_dom(value);
  } catch (const ValueError&) { by_check = true; }
  try {
    static_cast<void>(write(value));
  } catch (const ValueError&) { by_write = true; }
  CHECK(by_check == by_write);
  return by_check;
}

json nested(int depth) {
  json value = json::array();
  for (int i = 1; i < depth; ++i) value = json::array({std::move(value)});
  return value;
}

}  // namespace

TEST_CASE("JSON tree: is written as nlohmann writes it") {
  const json value = {{"text", "a\"b"},
                      {"list", {1, -2, 3.5, nullptr, true}},
                      {"none", json::array()},
                      {"no", json::object()}};
  CHECK(write(value) == value.dump());
  CHECK(read(write(value)) == value);
}

TEST_CASE("JSON tree: integers have the types that nlohmann gives them") {
  CHECK(read("5").is_number_unsigned());
  CHECK(read("-5").type() == json::value_t::number_integer);
  CHECK(read("18446744073709551615") == json(UINT64_MAX));
  CHECK(read("-9223372036854775808") == json(INT64_MIN));
  CHECK(read("1.0").is_number_float());
}

TEST_CASE("JSON tree: an integer beyond 64 bits is refused, unless the reader may round") {
  for (const std::string text : {"18446744073709551616", "-9223372036854775809", "12345678901234567890123"}) {
    CHECK_THROWS_WITH(read("[" + text + "]"), ContainsSubstring("expected an integer of at most 64 bits") &&
                                                  ContainsSubstring(text) &&
                                                  ContainsSubstring("round_numbers"));
    JsonReader in{text, true};
    const auto rounded = kvstore::detail::read_dom<json>(in);
    CHECK(rounded.is_number_float());
    CHECK(rounded.get<double>() == std::stod(text));
  }
}

TEST_CASE("JSON tree: minus zero keeps its sign") { CHECK(write(read("[-0,-0.0,0]")) == "[-0.0,-0.0,0]"); }

TEST_CASE("JSON tree: a number beyond a double is refused") {
  CHECK_THROWS_AS(read("[1e400]"), ParseError);
  CHECK_THROWS_AS(read(std::string(400, '9')), ParseError);
}

TEST_CASE("JSON tree: a duplicate key is refused, in nested objects too") {
  CHECK_THROWS_AS(read(R"({"a": 1, "a": 1})"), ParseError);
  CHECK_THROWS_AS(read(R"([{"x": {"a": 1, "b": 2, "\u0061": 3}}])"), ParseError);
  CHECK_NOTHROW(read(R"({"a": {"a": 1}, "b": {"a": 1}})"));
}

TEST_CASE("JSON tree: NaN, infinity, invalid UTF-8 and binary data are refused at any depth") {
  CHECK(refuses(json{{"a", {std::nan("")}}}));
  CHECK(refuses(json(HUGE_VAL)));
  CHECK(refuses(json{{"a", "\xFF"}}));
  CHECK(refuses(json{{"\xFF", "a"}}));
  CHECK(refuses(json::array({json::binary({1, 2})})));
  CHECK(refuses(json(json::value_t::discarded)));
  CHECK_FALSE(refuses(json{{"a", {1.5, "\xC3\xA9"}}}));
}

TEST_CASE("JSON tree: nesting is limited both ways at the same depth") {
  CHECK_FALSE(refuses(nested(512)));
  CHECK(refuses(nested(513)));
  CHECK(read(write(nested(512))) == nested(512));
  CHECK_THROWS_AS(read(std::string(513, '[') + std::string(513, ']')), ParseError);
}

TEST_CASE("JSON tree: 200,000 levels are refused both ways without exhausting the stack") {
  CHECK(refuses(nested(200'000)));
  CHECK_THROWS_AS(read(std::string(200'000, '[') + std::string(200'000, ']')), ParseError);
  std::string objects;
  for (int i = 0; i < 200'000; ++i) objects += R"({"a":)";
  CHECK_THROWS_AS(read(objects), ParseError);
}

TEST_CASE("JSON tree: an ordered tree keeps the order of its keys") {
  JsonReader in{R"({"z":1,"a":{"y":2,"b":3}})"};
  JsonWriter out;
  kvstore::detail::write_dom(kvstore::detail::read_dom<nlohmann::ordered_json>(in), out);
  CHECK(out.text() == R"({"z":1,"a":{"y":2,"b":3}})");
}

}  // namespace json_dom_test
