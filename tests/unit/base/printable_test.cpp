// SPDX-License-Identifier: MIT

#include "kvstore/detail/base/printable.hpp"

#include <cstdint>
#include <string>

#include "kvstore/error.hpp"
#include "support/catch.hpp"

namespace printable_test {

using kvstore::detail::printable_line;

namespace {

std::string utf8(std::uint32_t point) {
  const auto byte = [](std::uint32_t bits) { return static_cast<char>(bits); };
  const auto next = [&](int shift) { return byte(0x80U | ((point >> shift) & 0x3FU)); };
  if (point < 0x80) return {byte(point)};
  if (point < 0x800) return {byte(0xC0U | (point >> 6U)), next(0)};
  if (point < 0x10000) return {byte(0xE0U | (point >> 12U)), next(6), next(0)};
  return {byte(0xF0U | (point >> 18U)), next(12), next(6), next(0)};
}

/// Unicode: control characters, and the marks, embeddings, overrides and isolates of UAX 9.
bool is_obeyed(std::uint32_t point) {
  return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x200E || point == 0x200F ||
         (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
}

}  // namespace

TEST_CASE("Printable: of all characters, those that a terminal obeys are escaped, and no others") {
  for (std::uint32_t point = 0; point <= 0x10FFFF; ++point) {
    if (point >= 0xD800 && point <= 0xDFFF) continue;
    const std::string text = utf8(point);
    if ((printable_line(text) != text) != is_obeyed(point)) FAIL(point);
  }
  CHECK(printable_line("a\xC2\x9B"
                       "31mb") == R"(a\xc2\x9b31mb)");
  CHECK(printable_line("a\u202Eb") == R"(a\xe2\x80\xaeb)");
}

TEST_CASE("Printable: an error's text has none of them, whatever its key is") {
  const std::string key =
      "x\xC2\x9B"
      "31m\u202E";
  const std::string message = kvstore::KeyNotFoundError{key}.what();
  CHECK(message.find("\xC2\x9B") == std::string::npos);
  CHECK(message.find("\u202E") == std::string::npos);
}

}  // namespace printable_test
