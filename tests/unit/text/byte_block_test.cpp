// SPDX-License-Identifier: MIT

// Compares searches in blocks of text with plain loops. Texts are on the heap at their exact size, so that
// the address sanitizer notices a read beyond their end.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kvstore/detail/text/byte_block.hpp"
#include "support/catch.hpp"

namespace byte_block_test {

using kvstore::detail::kBlockSize;

namespace {

std::vector<char> random_bytes(std::mt19937& random, std::size_t size) {
  std::vector<char> bytes(size);
  for (char& byte : bytes) {
    const char rare[] = {'"', '\\', '\n', '\0', '\x1f', ' ', '\x7f', '\x80', '\xff', '!', '#', '[', ']'};
    byte = random() % 12 == 0 ? rare[random() % sizeof rare] : static_cast<char>('a' + random() % 26);
  }
  return bytes;
}

bool wants_escape(char byte) { return byte == '"' || byte == '\\' || static_cast<unsigned char>(byte) < ' '; }
bool is_beyond_ascii(char byte) { return static_cast<unsigned char>(byte) > 127; }

}  // namespace

TEST_CASE("Byte block: a part of a block is its bytes and zeros, and reads no others") {
  std::mt19937 random{31};
  for (int round = 0; round < 1000; ++round) {
    for (std::size_t size = 0; size < kBlockSize; ++size) {
      const auto bytes = random_bytes(random, size);
      std::string expected(bytes.begin(), bytes.end());
      expected.resize(kBlockSize);
      std::string stored(kBlockSize, 'x');
      kvstore::detail::store_block(stored.data(), kvstore::detail::load_part_block(bytes.data(), size));
      REQUIRE(stored == expected);
    }
  }
}

TEST_CASE("Byte block: a step finds what a loop over its bytes finds") {
  std::mt19937 random{32};
  for (int round = 0; round < 20'000; ++round) {
    const auto bytes = random_bytes(random, random() % 40);
    const std::size_t size = std::min<std::size_t>(bytes.size(), kBlockSize);
    const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(size);
    const auto escape = std::find_if(bytes.begin(), end, wants_escape);
    const auto step = kvstore::detail::text_step(bytes.data(), bytes.size());
    REQUIRE(step.ends_at_escape == (escape != end));
    REQUIRE(step.plain == static_cast<std::size_t>(escape - bytes.begin()));
    REQUIRE(step.beyond_ascii == std::any_of(bytes.begin(), end, is_beyond_ascii));
  }
}

TEST_CASE("Byte block: bytes are special if and only if a string may not hold them unseen") {
  for (int code = 0; code < 256; ++code) {
    const char byte = static_cast<char>(code);
    for (std::size_t at = 0; at < kBlockSize; ++at) {
      std::string text(kBlockSize, 'a');
      text[at] = byte;
      const auto block = kvstore::detail::load_block(text.data());
      const unsigned bit = 1U << at;
      REQUIRE(kvstore::detail::special_bits(block) ==
              (wants_escape(byte) || is_beyond_ascii(byte) ? bit : 0));
      REQUIRE(kvstore::detail::beyond_ascii_bits(block) == (is_beyond_ascii(byte) ? bit : 0));
    }
  }
}

TEST_CASE("Byte block: bytes that equal one are found wherever they are") {
  std::mt19937 random{33};
  for (int round = 0; round < 20'000; ++round) {
    const unsigned kinds = round % 2 == 0 ? 3 : 256;
    std::string text(kBlockSize, ' ');
    for (char& byte : text) byte = static_cast<char>(random() % kinds);
    const auto wanted = static_cast<std::uint8_t>(random() % kinds);
    unsigned expected = 0;
    for (std::size_t i = 0; i < kBlockSize; ++i) {
      if (static_cast<std::uint8_t>(text[i]) == wanted) expected |= 1U << i;
    }
    REQUIRE(kvstore::detail::equal_bits(kvstore::detail::load_block(text.data()), wanted) == expected);
  }
}

}  // namespace byte_block_test
