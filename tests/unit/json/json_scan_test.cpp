// SPDX-License-Identifier: MIT

// Compares the fast search for the end of a JSON value with the slow parser.

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "kvstore/detail/json/scan.hpp"
#include "kvstore/json_reader.hpp"
#include "support/catch.hpp"

namespace json_scan_test {

using kvstore::kMaxDepth;
using kvstore::detail::JsonEnd;
using kvstore::detail::value_end;
using Outcome = kvstore::detail::JsonEnd::Outcome;

namespace {

using Random = std::mt19937_64;

std::string random_string(Random& random) {
  static constexpr std::string_view kPieces[] = {"a",    "{",   "}",       "[",        "]", ",", ":", "\\\"",
                                                 "\\\\", "\\n", "\\u0041", "\xc3\xa9", " ", "x", "0"};
  std::string text = "\"";
  for (std::uint64_t left = random() % 40; left != 0; --left) text += kPieces[random() % std::size(kPieces)];
  return text + '"';
}

std::string random_value(Random& random, int depth) {
  const std::uint64_t kind = random() % (depth > 4 ? 4 : 6);
  if (kind == 0) return std::to_string(random() % 100'000) + ".5e-3";
  if (kind == 1) return "null";
  if (kind < 4) return random_string(random);
  const bool object = kind == 4;
  std::string text{object ? "{" : "["};
  for (std::uint64_t left = random() % 5; left != 0; --left) {
    if (text.size() > 1) text += random() % 2 == 0 ? "," : " ,\r\n\t";
    if (object) text += random_string(random) + ": ";
    text += random_value(random, depth + 1);
  }
  return text + (object ? '}' : ']');
}

}  // namespace

TEST_CASE("JSON scan: the end of any valid value is where the parser says, wherever it starts") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  Random random{seed};
  for (int round = 0; round < 5'000; ++round) {
    const std::string before(random() % 70, '"');
    const std::string value = random_value(random, 0);
    const std::string text = before + value + random_string(random) + ",]}\"";
    kvstore::JsonReader reader{std::string_view{text}.substr(before.size())};
    const std::size_t end = before.size() + reader.skip_value().size();
    const JsonEnd found = value_end(text, before.size());
    INFO(value);
    REQUIRE(found.outcome == Outcome::complete);
    REQUIRE(found.position == end);
  }
}

TEST_CASE("JSON scan: every part of a value is incomplete") {
  const std::string value =
      R"({"a\\\"]}": [1, "}]\u0041", {"b": [{}, [], "é"]}, null], "c": "0123456789abcdef"})";
  for (std::size_t size = 0; size < value.size(); ++size) {
    INFO(value.substr(0, size));
    CHECK(value_end(std::string_view{value}.substr(0, size), 0).outcome == Outcome::incomplete);
  }
  CHECK(value_end(value, 0).position == value.size());
}

TEST_CASE("JSON scan: a run of backslashes ends a string if their number is even, wherever the run lies") {
  for (std::size_t before = 0; before < 130; ++before) {
    for (std::size_t slashes = 1; slashes < 70; ++slashes) {
      std::string text = "[\"" + std::string(before, 'x') + std::string(slashes, '\\') + "\"]";
      const bool even = slashes % 2 == 0;
      if (!even) text += "\"]";
      REQUIRE(value_end(text, 0).position == text.size());
      REQUIRE(value_end(text, 1).position == text.size() - 1);
    }
  }
}

TEST_CASE("JSON scan: nesting is refused one level beyond the limit, at the bracket that exceeds it") {
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  CHECK(value_end(nested(kMaxDepth), 0).outcome == Outcome::complete);
  const JsonEnd end = value_end(nested(kMaxDepth + 1), 0);
  CHECK(end.outcome == Outcome::malformed);
  CHECK(end.position == kMaxDepth);
}

TEST_CASE("JSON scan: a control character is refused inside a string and is space outside") {
  for (std::size_t before = 0; before < 70; ++before) {
    const std::string filler(before, 'x');
    CHECK(value_end("[\n\"" + filler + "\"\n]\"\n\"", 0).position == before + 6);
    const JsonEnd inside = value_end("[\"" + filler + "\n\"]", 0);
    CHECK(inside.outcome == Outcome::malformed);
    CHECK(inside.position == before + 2);
    CHECK(value_end("\"" + filler + "\n\"", 0).position == before + 1);
  }
}

TEST_CASE("JSON scan: a number or word ends at any byte that can stand in none, wherever that is") {
  using kvstore::detail::is_scalar_byte;
  for (std::size_t before = 1; before < 40; ++before) {
    for (int code = 0; code < 256; ++code) {
      std::string text(60, '7');
      text.back() = ',';
      text[before] = static_cast<char>(code);
      const JsonEnd end = value_end(text, 0);
      REQUIRE(end.outcome == Outcome::complete);
      REQUIRE(end.position == (is_scalar_byte(text[before]) ? 59 : before));
      REQUIRE(value_end(std::string_view{text}.substr(0, before), 0).outcome == Outcome::incomplete);
    }
  }
}

TEST_CASE("JSON scan: a string is called plain if what stands there is its text") {
  const std::string filler(20, 'x');
  CHECK(value_end('"' + filler + '"', 0).plain);
  CHECK(value_end('"' + filler + "\"\xc3\xa9", 0).plain);
  CHECK_FALSE(value_end('"' + filler + "\\n\"", 0).plain);
  CHECK_FALSE(value_end('"' + filler + "\xc3\xa9\"", 0).plain);
  CHECK_FALSE(value_end("\"\xc3\xa9" + filler + '"', 0).plain);
}

TEST_CASE("JSON scan: blocks are classified alike with and without vector instructions") {
  std::string bytes(256, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i);
  for (std::size_t at = 0; at + kvstore::detail::kJsonBlockBytes <= bytes.size(); ++at) {
    const auto fast = kvstore::detail::classify(bytes.data() + at);
    const auto slow = kvstore::detail::classify_portable(bytes.data() + at);
    INFO("block at " << at);
    CHECK(fast.quote == slow.quote);
    CHECK(fast.backslash == slow.backslash);
    CHECK(fast.open == slow.open);
    CHECK(fast.close == slow.close);
    CHECK(fast.control == slow.control);
  }
}

}  // namespace json_scan_test
