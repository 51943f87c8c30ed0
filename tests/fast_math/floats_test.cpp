// SPDX-License-Identifier: MIT

// Compiled with -ffast-math, with which a compiler takes no float for NaN or infinite, and a processor takes
// subnormal numbers for zero. The tests compare bits.

#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/codec.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/storage/memory_storage.hpp"
#include "support/catch.hpp"

namespace fast_math_test {

namespace {

constexpr std::uint64_t kNaN = 0x7FF8000000000000U;
constexpr std::uint64_t kInfinity = 0x7FF0000000000000U;
constexpr std::uint64_t kSign = 0x8000000000000000U;

double from(std::uint64_t bits) { return std::bit_cast<double>(bits); }

template <class T>
std::string text_of(T value) {
  kvstore::JsonWriter out;
  out.number(value);
  return std::string{out.text()};
}

std::uint64_t bits_of(std::string_view text) {
  kvstore::JsonReader in{text};
  return std::bit_cast<std::uint64_t>(in.number<double>());
}

}  // namespace

TEST_CASE("Fast math: NaN and infinity are refused when they are written") {
  using Store = kvstore::BatchPersistentKeyValueStore<std::string, double>;
  Store store{std::make_unique<kvstore::MemoryStorage>()};
  for (const std::uint64_t bits : {kNaN, kNaN | kSign, kInfinity, kInfinity | kSign, kInfinity | 1U}) {
    REQUIRE_THROWS_AS(store.upsert("bad", from(bits)), kvstore::ValueError);
  }
  REQUIRE_THROWS_AS(text_of(std::bit_cast<float>(0x7F800000U)), kvstore::ValueError);
  REQUIRE(store.empty());
}

TEST_CASE("Fast math: a number beyond a double is refused when it is read") {
  REQUIRE_THROWS_AS(bits_of("1e400"), kvstore::ParseError);
}

TEST_CASE("Fast math: subnormal numbers and the sign of zero survive") {
  REQUIRE(text_of(from(1)) == "5e-324");
  REQUIRE(text_of(from(kSign | 1U)) == "-5e-324");
  REQUIRE(text_of(std::bit_cast<float>(1U)) == "1e-45");
  REQUIRE(text_of(from(kSign)) == "-0.0");
  REQUIRE(bits_of("-0.0") == kSign);
  REQUIRE(bits_of("-1e-400") == kSign);
  REQUIRE(bits_of("5e-324") == 1);
  for (const std::uint64_t bits :
       {std::uint64_t{1}, std::uint64_t{0x000FFFFFFFFFFFFF}, std::uint64_t{0x0010000000000000},
        std::uint64_t{0x0000123456789ABC}, std::uint64_t{0x3FB999999999999A}}) {
    REQUIRE(bits_of(text_of(from(bits))) == bits);
  }
}

}  // namespace fast_math_test
