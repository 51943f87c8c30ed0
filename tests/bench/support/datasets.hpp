// SPDX-License-Identifier: MIT
#pragma once

// What the benchmarks of values keep: one kind of key and value each, with what a plain encoder and parser
// must do for it. `entries(n)` is how many of them stand for `n` strings of 100 bytes.

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "bench/support/data.hpp"
#include "bench/support/person.hpp"

namespace bench {

/// An integer of any length from 1 to 19 digits, all lengths of its binary form equally often.
[[nodiscard]] inline std::int64_t integer_of(std::size_t index) {
  const auto bits = static_cast<std::int64_t>(scatter(index));
  return bits >> (scatter(index + 1) % 64);
}

/// 100 characters, a tenth of which need an escape or are outside ASCII.
[[nodiscard]] inline std::string mixed_text_of(std::size_t index) {
  constexpr std::array<std::string_view, 6> kRare{"\"",       "\\",           "\n",
                                                  "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
  std::string text;
  const std::string plain = text_of(index, 100);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const std::uint64_t bits = scatter(index * 100 + i);
    if (bits % 10 == 0)
      text += kRare[(bits >> 32) % kRare.size()];
    else
      text += plain[i];
  }
  return text;
}

template <class K, class V, std::size_t kShare = 1>
struct Dataset {
  using Key = K;
  using Value = V;
  using Map = std::unordered_map<Key, Value>;
  [[nodiscard]] static std::size_t entries(std::size_t strings) {
    return strings < kShare ? 1 : strings / kShare;
  }
  [[nodiscard]] static Key key(std::size_t index) { return key_of(index); }
};

struct Strings : Dataset<std::string, std::string> {
  static constexpr std::string_view kId = "strings";
  static constexpr std::string_view kTitle = "strings of 100 bytes";
  [[nodiscard]] static Value value(std::size_t index) { return value_of(index); }
};

struct Integers : Dataset<std::string, std::int64_t> {
  static constexpr std::string_view kId = "int64";
  static constexpr std::string_view kTitle = "int64 values";
  [[nodiscard]] static Value value(std::size_t index) { return integer_of(index); }
};

struct Doubles : Dataset<std::int64_t, double> {
  static constexpr std::string_view kId = "double";
  static constexpr std::string_view kTitle = "int64 keys to doubles of 15 to 17 digits";
  [[nodiscard]] static Key key(std::size_t index) { return static_cast<Key>(scatter(index)); }
  [[nodiscard]] static Value value(std::size_t index) {
    return static_cast<double>(scatter(index) >> 11) * 0x1p-53 * 1000;
  }
};

struct Mixed : Dataset<std::string, std::string> {
  static constexpr std::string_view kId = "escapes";
  static constexpr std::string_view kTitle = "strings with 10 % escapes and UTF-8";
  [[nodiscard]] static Value value(std::size_t index) { return mixed_text_of(index); }
};

/// Each is bigger, and the peers slow.
struct Converted : Dataset<std::string, Person, 4> {
  static constexpr std::string_view kId = "adl";
  static constexpr std::string_view kTitle = "structs by to_json and from_json";
  [[nodiscard]] static Value value(std::size_t index) { return person_of(index); }
};

struct Listed : Dataset<std::string, ListedPerson, 4> {
  static constexpr std::string_view kId = "fields";
  static constexpr std::string_view kTitle = "structs by kvstore::fields";
  [[nodiscard]] static Value value(std::size_t index) { return {person_of(index)}; }
};

template <class Data>
[[nodiscard]] typename Data::Map map_of(std::size_t entries) {
  typename Data::Map map;
  map.reserve(entries);
  for (std::size_t i = 0; i < entries; ++i) map.emplace(Data::key(i), Data::value(i));
  return map;
}

}  // namespace bench
