// SPDX-License-Identifier: MIT
#pragma once

// Keys and values that every benchmark shares: the same for the same number, on every machine.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

/// A one-to-one mapping of 64-bit numbers that looks random. Source: splitmix64 by Sebastiano Vigna, public
/// domain.
[[nodiscard]] constexpr std::uint64_t scatter(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

/// Key number `index`: 16 hexadecimal digits, in no order.
[[nodiscard]] inline std::string key_of(std::size_t index) {
  std::string key(16, '0');
  std::uint64_t bits = scatter(index);
  for (char& digit : key) {
    digit = "0123456789abcdef"[bits & 15U];
    bits >>= 4;
  }
  return key;
}

/// Text of `size` letters and digits, another one for each `seed`.
[[nodiscard]] inline std::string text_of(std::uint64_t seed, std::size_t size) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
  static_assert(kLetters.size() == 64);
  std::string text(size, ' ');
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (i % 10 == 0) bits = scatter(seed * 0x9e3779b97f4a7c15U + i);
    text[i] = kLetters[bits & 63U];
    bits >>= 6;
  }
  return text;
}

/// The 100-byte value of key number `index`.
[[nodiscard]] inline std::string value_of(std::size_t index) { return text_of(index, 100); }

/// The same with a quotation mark in two of five, as text of users has: JSON escapes it.
[[nodiscard]] inline std::string words_of(std::size_t index) {
  std::string text = value_of(index);
  if (index % 5 < 2) text[index % text.size()] = '"';
  return text;
}

}  // namespace bench
