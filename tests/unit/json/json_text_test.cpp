// SPDX-License-Identifier: MIT

// Compares the JSON writer, reader and trees with each other and with nlohmann's parser, on random input.

#include <bit>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/detail/json/tree.hpp"
#include "support/catch.hpp"

namespace json_text_test {

using kvstore::JsonReader;
using kvstore::JsonWriter;

namespace {

enum class Verdict { refused, accepted };

/// Whether both ways to read a value accept a text. The text is copied to the heap at its exact size, so that
/// the address sanitizer notices a read beyond the end.
Verdict judge(const std::string& text) {
  const std::vector<char> bytes(text.begin(), text.end());
  const std::string_view exact{bytes.data(), bytes.size()};
  try {
    JsonReader in{exact, true};
    static_cast<void>(kvstore::detail::read_dom<nlohmann::json>(in));
    in.finish();
    JsonReader skipping{exact};
    skipping.skip_value();
    skipping.finish();
    return Verdict::accepted;
  } catch (const kvstore::ParseError& error) {
    CHECK(error.offset() <= text.size());
    return Verdict::refused;
  }
}

/// Whether nlohmann's parser accepts a text, and no object in it has a key twice.
Verdict judge_by_nlohmann(const std::string& text) {
  std::vector<std::set<std::string>> keys;
  bool duplicate = false;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) duplicate |= !keys.back().insert(parsed.get<std::string>()).second;
    return true;
  };
  const auto parsed = nlohmann::json::parse(text, watch, false);
  return parsed.is_discarded() || duplicate ? Verdict::refused : Verdict::accepted;
}

const std::string kSample =
    R"( {"name": "Zo\u00eb \ud83d\ude00 \"q\" \\ \n", "long": "thirty-two bytes of plain text or more", )"
    "\"utf8\": \"na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80\", "
    R"("numbers": [0, -0, 1.5, -2e-3, 1E+5, 18446744073709551615, -9223372036854775808, 99999999999999999999], )"
    R"("nested": {"a": {"a": [[], {}, [null, true, false]]}}, "": ""} )";

}  // namespace

TEST_CASE("JSON text: a million random doubles read back bit for bit") {
  std::mt19937_64 random{5};
  JsonWriter out;
  int different = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const auto value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    out.clear();
    out.number(value);
    JsonReader in{out.text()};
    different += std::bit_cast<std::uint64_t>(in.number<double>()) != std::bit_cast<std::uint64_t>(value);
    in.finish();
  }
  CHECK(different == 0);
}

TEST_CASE("JSON text: random floats read back bit for bit") {
  std::mt19937 random{6};
  JsonWriter out;
  int different = 0;
  for (int i = 0; i < 200'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    out.clear();
    out.number(value);
    JsonReader in{out.text()};
    different += std::bit_cast<std::uint32_t>(in.number<float>()) != std::bit_cast<std::uint32_t>(value);
  }
  CHECK(different == 0);
}

TEST_CASE("JSON text: strings with escapes of every kind are read as nlohmann reads them") {
  std::mt19937 random{8};
  const std::string_view good[] = {"a",
                                   "long enough for a block",
                                   "\\n",
                                   "\\\"",
                                   "\\\\",
                                   "\\/",
                                   "\\b",
                                   "\\f",
                                   "\\r",
                                   "\\t",
                                   "\\u0000",
                                   "\\u00e9",
                                   "\\uFFFF",
                                   "\\ud83d\\ude00",
                                   "\xC3\xA9",
                                   "\xE2\x82\xAC",
                                   "\xF0\x9F\x98\x80",
                                   "\x7f"};
  const std::string_view bad[] = {
      "\\", "\\x",  "\\u12", "\\u12g4", "\\ud83d",      "\\ude00",   "\\ud83d\\u0041",
      "\n", "\x01", "\xC3",  "\xA9",    "\xED\xA0\x80", "\\\xC3\xA9"};
  int accepted = 0;
  for (int round = 0; round < 50'000; ++round) {
    const auto rarity = 1 + random() % 30;
    std::string text = "\"";
    for (auto left = random() % 40; left > 0; --left) {
      text += random() % rarity == 0 ? good[random() % std::size(good)] : "a";
    }
    if (random() % 4 == 0) text.insert(1 + random() % text.size(), bad[random() % std::size(bad)]);
    text += '"';
    const auto expected = nlohmann::json::parse(text, nullptr, false);
    CAPTURE(text);
    REQUIRE(judge(text) == (expected.is_discarded() ? Verdict::refused : Verdict::accepted));
    if (expected.is_discarded()) continue;
    JsonReader in{text};
    REQUIRE(in.string() == expected.get_ref<const std::string&>());
    ++accepted;
  }
  CHECK(accepted > 30'000);
  CHECK(accepted < 45'000);
}

TEST_CASE("JSON text: a tree is read into another one as into a new one") {
  std::mt19937 random{9};
  const std::string_view pieces[] = {"1",
                                     "-1",
                                     "1.5",
                                     "\"x\"",
                                     "true",
                                     "null",
                                     "[]",
                                     "{}",
                                     "[1,\"y\",{\"a\":[2]}]",
                                     "{\"a\":1,\"b\":{\"c\":\"z\"}}"};
  const auto random_text = [&random, &pieces] {
    std::string text;
    for (const char key : std::string_view{random() % 4 == 0 ? "hbcdeaf" : "abcdefg"}) {
      if (random() % 4 == 0) continue;
      text += (text.empty() ? "{\"" : ",\"") + std::string{key} + "\":";
      text += pieces[random() % std::size(pieces)];
    }
    return text.empty() ? std::string{pieces[random() % std::size(pieces)]} : text + '}';
  };
  nlohmann::json reused;
  nlohmann::ordered_json reused_ordered;
  for (int round = 0; round < 8'000; ++round) {
    const std::string text = random_text();
    JsonReader in{text};
    kvstore::detail::DomReader<nlohmann::json>{in}.read(reused);
    in.finish();
    JsonReader again{text};
    kvstore::detail::DomReader<nlohmann::ordered_json>{again}.read(reused_ordered);
    CAPTURE(text);
    REQUIRE(reused == nlohmann::json::parse(text));
    REQUIRE(reused.dump() == nlohmann::json::parse(text).dump());  // equal numbers may differ: 1 and 1.0
    REQUIRE(reused_ordered.dump() == text);
  }
}

TEST_CASE("JSON text: random strings read back, as nlohmann reads them") {
  std::mt19937 random{7};
  JsonWriter out;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (auto left = random() % 60; left > 0; --left) {
      const auto code = static_cast<char32_t>(random() % (random() % 4 == 0 ? 0xD800 : 0x80));
      char character[4];
      text.append(character, kvstore::detail::write_utf8(character, code));
    }
    out.clear();
    out.string(text);
    JsonReader in{out.text()};
    REQUIRE(in.string() == text);
    REQUIRE(nlohmann::json::parse(out.text()).get<std::string>() == text);
  }
}

TEST_CASE("JSON text: the sample reads as nlohmann reads it") {
  JsonReader in{kSample, true};
  CHECK(kvstore::detail::read_dom<nlohmann::json>(in) == nlohmann::json::parse(kSample));
}

TEST_CASE("JSON text: every truncation of a document is refused") {
  const std::string document = kSample.substr(0, kSample.rfind('}') + 1);
  REQUIRE(judge(document) == Verdict::accepted);
  int accepted = 0;
  for (std::size_t size = 0; size < document.size(); ++size) {
    accepted += judge(document.substr(0, size)) == Verdict::accepted;
  }
  CHECK(accepted == 0);
}

TEST_CASE("JSON text: randomly damaged documents are judged as nlohmann judges them") {
  std::mt19937 random{11};
  const std::string_view likely = "\"\\{}[]:,0123456789.eE+-ntfu \x01\x80\xFF\xC3";
  int accepted = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = kSample;
    for (auto left = 1 + random() % 3; left > 0; --left) {
      const char byte = random() % 3 != 0 ? likely[random() % likely.size()] : static_cast<char>(random());
      const auto at = random() % text.size();
      const auto kind = random() % 3;
      if (kind == 0) text[at] = byte;
      if (kind == 1) text.insert(at, 1, byte);
      if (kind == 2) text.erase(at, 1);
    }
    const auto verdict = judge(text);
    accepted += verdict == Verdict::accepted;
    if (verdict != judge_by_nlohmann(text)) {
      CAPTURE(text);
      FAIL("judged differently");
    }
  }
  CHECK(accepted > 1000);
}

}  // namespace json_text_test
