// SPDX-License-Identifier: MIT

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "kvstore/detail/utf8.hpp"
#include "support/catch.hpp"

namespace {

/// Decodes one character after another, to compare with.
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
    std::string text;
    kvstore::detail::append_utf8(text, code);
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
