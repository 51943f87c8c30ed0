// SPDX-License-Identifier: MIT
#pragma once

// The slot of a key in a Redis Cluster: CRC-16 (XMODEM) of the key, or of its hash tag. Source: Redis Cluster
// specification, "Key distribution model".

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr std::size_t kRedisSlots = 16384;

inline constexpr auto kCrc16Table = [] {
  std::array<std::uint16_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x8000U) != 0 ? 0x1021U : 0U);
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}();

[[nodiscard]] constexpr std::uint16_t crc16(std::string_view bytes) noexcept {
  std::uint32_t crc = 0;
  for (const char byte : bytes) {
    crc = ((crc << 8) ^ kCrc16Table[((crc >> 8) ^ static_cast<unsigned char>(byte)) & 0xFFU]) & 0xFFFFU;
  }
  return static_cast<std::uint16_t>(crc);
}

/// The hashed part of a key: the text between its first `{` and the next `}`, unless that is empty; otherwise
/// the whole key.
[[nodiscard]] constexpr std::string_view hashed_part(std::string_view key) noexcept {
  const std::size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const std::size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

[[nodiscard]] constexpr std::uint16_t redis_slot(std::string_view key) noexcept {
  return static_cast<std::uint16_t>(crc16(hashed_part(key)) % kRedisSlots);
}

}}}  // namespace kvstore::v1::detail
