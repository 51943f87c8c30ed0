// SPDX-License-Identifier: MIT

// Compares doubles written in the fast way with those of std::to_chars.

#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/detail/json/shortest_decimal.hpp"
#include "kvstore/json_writer.hpp"
#include "support/catch.hpp"

namespace shortest_decimal_test {

namespace {

std::string plain(double value) {
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

bool has_fraction(double value) { return std::isfinite(value) && value != std::trunc(value); }

/// Counts the doubles that are written in the fast way, and those among them that differ from std::to_chars.
class Comparison {
 public:
  void add(double value) {
    if (!has_fraction(value)) return;
    char text[64];
    const char* const end = kvstore::detail::write_shortest(text, value);
    if (end == nullptr) return;
    ++fast_;
    const std::string_view written{text, static_cast<std::size_t>(end - text)};
    if (written == plain(value)) return;
    ++different_;
    example_ = std::string{written} + " for " + plain(value);
  }
  void add_with_neighbours(double value) {
    for (const double near : {value, std::nextafter(value, 0.0), std::nextafter(value, 1e300)}) {
      add(near);
      add(-near);
    }
  }

  void check_and_expect(int fast) const {
    INFO(fast_ << " the fast way; " << example_);
    CHECK(different_ == 0);
    CHECK((!kIsThere || fast_ >= fast));
  }

 private:
#if defined(__SIZEOF_INT128__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  static constexpr bool kIsThere = true;
#else
  static constexpr bool kIsThere = false;
#endif
  int fast_ = 0;
  int different_ = 0;
  std::string example_;
};

}  // namespace

TEST_CASE("Shortest decimal: random doubles of every exponent") {
  std::mt19937_64 random{51};
  Comparison comparison;
  constexpr std::uint64_t kMantissa = (std::uint64_t{1} << 52) - 1;
  for (std::uint64_t exponent = 1023 - 12; exponent <= 1023 + 52; ++exponent) {
    for (int round = 0; round < 20'000; ++round) {
      const std::uint64_t mantissa = random() & kMantissa;
      comparison.add(std::bit_cast<double>(exponent << 52 | mantissa));
      // Few bits: these decimals are short, and half-way cases are exact.
      comparison.add(-std::bit_cast<double>(exponent << 52 | (mantissa >> 40 << 40)));
    }
  }
  comparison.check_and_expect(1'500'000);
}

TEST_CASE("Shortest decimal: every power of two, and the doubles next to it") {
  Comparison comparison;
  for (int exponent = -12; exponent <= 53; ++exponent) {
    double up = std::ldexp(1.0, exponent);
    double down = up;
    for (int step = 0; step < 2000; ++step) {
      comparison.add(up);
      comparison.add(down);
      up = std::nextafter(up, 1e300);
      down = std::nextafter(down, 0.0);
    }
  }
  comparison.check_and_expect(200'000);
}

TEST_CASE("Shortest decimal: decimals of every length, and the doubles next to them") {
  std::mt19937_64 random{52};
  Comparison comparison;
  for (int round = 0; round < 400'000; ++round) {
    std::string text = std::to_string(random() >> (random() % 64));
    if (text.size() > 17) text.resize(17);
    const std::size_t point = random() % (text.size() + 3);
    if (point < text.size() && point > 0) text.insert(point, 1, '.');
    if (point >= text.size()) text.insert(0, "0." + std::string(point - text.size(), '0'));
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    comparison.add_with_neighbours(value);
  }
  comparison.check_and_expect(1'000'000);
}

TEST_CASE("Shortest decimal: halves, quarters and so on, next to the largest that have them") {
  Comparison comparison;
  for (int bits = 1; bits <= 52; ++bits) {
    const double largest = std::ldexp(1.0, 53 - bits);
    for (int step = 1; step < 200; ++step) {
      comparison.add(largest - std::ldexp(step, -bits));
      comparison.add(largest / 2 + std::ldexp(step, -bits));
    }
  }
  comparison.check_and_expect(10'000);
}

TEST_CASE("Shortest decimal: around a thousandth, where the text with an exponent begins to be the shorter") {
  Comparison comparison;
  for (const double value : {0.001, 0.0001, 0.00099, 0.01, 0.0010000000000000002, 0.1, 0.5, 1.5, 0.3}) {
    comparison.add_with_neighbours(value);
    kvstore::JsonWriter writer;
    writer.number(value);
    CHECK(writer.text() == plain(value));
  }
  comparison.check_and_expect(20);
}

}  // namespace shortest_decimal_test
