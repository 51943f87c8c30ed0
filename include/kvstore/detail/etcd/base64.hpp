// SPDX-License-Identifier: MIT
#pragma once

// Base64 (RFC 4648, section 4), which etcd's JSON gateway uses for keys and values.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr std::string_view kBase64Letters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline void append_base64(std::string& out, std::string_view bytes) {
  const auto byte = [&](std::size_t i) {
    return i < bytes.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) : 0U;
  };
  out.reserve(out.size() + (bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    out += kBase64Letters[group >> 18];
    out += kBase64Letters[group >> 12 & 63U];
    out += i + 1 < bytes.size() ? kBase64Letters[group >> 6 & 63U] : '=';
    out += i + 2 < bytes.size() ? kBase64Letters[group & 63U] : '=';
  }
}

/// Each letter's six bits; 64 for bytes that are not letters.
[[nodiscard]] constexpr std::array<std::uint8_t, 256> base64_values() noexcept {
  std::array<std::uint8_t, 256> values{};
  values.fill(64);
  for (std::size_t i = 0; i < kBase64Letters.size(); ++i) {
    values[static_cast<unsigned char>(kBase64Letters[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}

/// @throws ParseError if the text is not base64
[[nodiscard]] inline std::string base64_bytes(std::string_view text) {
  static constexpr auto kValues = base64_values();
  std::size_t length = text.size();
  while (length > 0 && text.size() - length < 2 && text[length - 1] == '=') --length;
  if (text.size() % 4 != 0) throw ParseError{text.size(), "expected base64"};
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t group = 0;
  unsigned bits = 0;
  for (std::size_t i = 0; i < length; ++i) {
    const std::uint8_t value = kValues[static_cast<unsigned char>(text[i])];
    if (value > 63) throw ParseError{i, "expected base64"};
    group = (group << 6 | value) & 0xFFFFFFU;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(group >> bits & 0xFFU);
  }
  return bytes;
}

}}}  // namespace kvstore::v1::detail
