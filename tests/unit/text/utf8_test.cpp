// SPDX-License-Identifier: MIT

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "kvstore/detail/text/utf8.hpp"
#include "support/catch.hpp"

namespace utf8_test {

namespace {

/// Decodes one character after another, for comparison.
bool plainly_valid(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at++]);
    const int tail = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : lead >> 3 == 30 ? 3 : -1;
    if (tail < 0) return false;
    std::uint32_t code = tail == 0 ? lead : lead & (0x3FU >> tail);
    for (int i = 0; i < tail; ++i) {
      if (at == text.size() || (static_cast<unsigned char>(text[at]) >> 6) != 2) return false;
      code = code << 6 | (static_cast<unsigned char>(text[at++]) & 0x3FU);
    }
    const std::uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (code < least[tail] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("UTF-8: every code point but the surrogates is valid") {
  bool all_valid = true;
  for (char32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text(4, '\0');
    text.resize(kvstore::detail::write_utf8(text.data(), code));
    all_valid = all_valid && kvstore::detail::is_valid_utf8(text) && plainly_valid(text);
  }
  CHECK(all_valid);
}

TEST_CASE("UTF-8: every sequence of three bytes is judged like a plain decoder does") {
  int different = 0;
  for (unsigned bytes = 0; bytes < 1U << 24; bytes += 7) {
    const std::string text{static_cast<char>(bytes >> 16), static_cast<char>(bytes >> 8),
                           static_cast<char>(bytes)};
    different += kvstore::detail::is_valid_utf8(text) != plainly_valid(text);
  }
  CHECK(different == 0);
}

TEST_CASE("UTF-8: mistakes are found wherever they stand in longer text") {
  std::mt19937 random{24};
  int different = 0;
  int valid = 0;
  for (unsigned round = 0; round < 1'000'000; ++round) {
    const std::size_t before = random() % 33;  // lets the characters cross the ends of blocks
    std::string text(before + 4 + random() % 33, 'a');
    const char bytes[] = {static_cast<char>(random() % 3 == 0 ? 0xE0 + random() % 32 : random()),
                          static_cast<char>(0x80 + random() % 64), static_cast<char>(random()),
                          static_cast<char>(0x80 + random() % 64)};
    const std::size_t size = 1 + random() % 4;
    text.replace(before, size, bytes, size);
    const bool is_valid = plainly_valid(text);
    valid += is_valid;
    different += kvstore::detail::is_valid_utf8(text) != is_valid;
  }
  CHECK(different == 0);
  CHECK(valid > 30'000);
}

TEST_CASE("UTF-8: a character cut off by the end of the text is a mistake") {
  const std::string characters[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
  for (const std::string& character : characters) {
    for (std::size_t before = 0; before < 50; ++before) {
      const std::string text = std::string(before, 'a') + character;
      CHECK(kvstore::detail::is_valid_utf8(text));
      for (std::size_t less = 1; less < character.size(); ++less) {
        CHECK_FALSE(kvstore::detail::is_valid_utf8(text.substr(0, text.size() - less)));
      }
    }
  }
}

TEST_CASE("UTF-8: the first byte that is wrong is found") {
  for (std::size_t at = 0; at < 60; ++at) {
    std::string text;
    while (text.size() < 60) text += "ab\xC3\xA9";
    text[at] = '\xFF';
    const char* const end = text.data() + text.size();
    const std::size_t expected = at % 4 == 3 ? at - 1 : at;  // the character before lacks its tail
    CHECK(kvstore::detail::find_invalid_utf8(text.data(), end) == text.data() + expected);
  }
}

TEST_CASE("UTF-8: random mixtures of any length are judged like a plain decoder does") {
  std::mt19937 random{23};
  int different = 0;
  int valid = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::string text(random() % 20, 'a');
    for (auto left = random() % 6; left > 0; --left) {
      text += std::string_view{"\xF0\x9F\x98\x80\xE2\x82\xAC\xC3\xA9zzzz"}.substr(random() % 10,
                                                                                  1 + random() % 4);
      text += std::string(random() % 20, 'b');
    }
    const bool is_valid = plainly_valid(text);
    valid += is_valid;
    different += kvstore::detail::is_valid_utf8(text) != is_valid;
  }
  CHECK(different == 0);
  CHECK(valid > 1000);
}

}  // namespace utf8_test
