// SPDX-License-Identifier: MIT
#pragma once

// CRC-32C (Castagnoli), which finds every error burst of up to 32 bits. Computed by the processor's own
// instruction if it has one, as found at run time; otherwise by table. Source: RFC 3720, whose appendix B.4
// has the test vectors; Intel SDM, instruction CRC32.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__x86_64__) && defined(__GNUC__)
#include <nmmintrin.h>
#define KVSTORE_HAS_CRC32_INSTRUCTION 1
#endif

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr std::array<std::uint32_t, 256> kCrc32cTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}();

/// The plain version, one byte at a time, on the inverted value.
[[nodiscard]] inline std::uint32_t crc32c_by_table(std::uint32_t crc, std::string_view bytes) noexcept {
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kCrc32cTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  }
  return crc;
}

#ifdef KVSTORE_HAS_CRC32_INSTRUCTION
/// The same, eight bytes at a time.
[[nodiscard]] __attribute__((target("sse4.2"))) inline std::uint32_t crc32c_by_instruction(
    std::uint32_t crc, std::string_view bytes) noexcept {
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t wide = crc;
  for (; left >= sizeof wide; left -= sizeof wide, at += sizeof wide) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<std::uint32_t>(wide);
  for (; left > 0; --left, ++at) crc = _mm_crc32_u8(crc, static_cast<unsigned char>(*at));
  return crc;
}

inline const bool kHasCrc32Instruction = __builtin_cpu_supports("sse4.2") != 0;
#endif

/// The checksum of `bytes`, continuing `crc`, the checksum of the bytes before them.
[[nodiscard]] inline std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc = 0) noexcept {
#ifdef KVSTORE_HAS_CRC32_INSTRUCTION
  if (kHasCrc32Instruction) return ~crc32c_by_instruction(~crc, bytes);
#endif
  return ~crc32c_by_table(~crc, bytes);
}

}}}  // namespace kvstore::v1::detail
