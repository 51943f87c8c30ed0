// SPDX-License-Identifier: MIT
#pragma once

// The checksums of lines that wait in a journal's tail: a file of fixed size that is written round and round,
// in which lines of earlier rounds, or of other journals, stand behind the new ones. Each checksum is
// combined there with a number that belongs to one offset of one journal, so that no other line passes.

#include <bit>
#include <cstdint>
#include <cstring>

#include "kvstore/detail/base/load_word.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The numbers for one round of a journal's lines through its tail.
class LineMask {
 public:
  LineMask() = default;
  /// `id` is the journal's, and `base` the offset in the journal of the round's first byte.
  LineMask(std::uint64_t id, std::uint64_t base) noexcept : id_{id}, base_{base} {}

  /// Stores the eight digits of a line's checksum, masked, for the line that stands at `position` of the
  /// round.
  void store(char* to, const char* digits, std::uint64_t position) const noexcept {
    const std::uint64_t word = load_word<std::uint64_t>(digits) ^ in_byte_order(number(base_ + position));
    std::memcpy(to, &word, sizeof word);
  }
  /// Turns masked digits into plain ones, or the other way round.
  void turn(char* digits, std::uint64_t position) const noexcept { store(digits, digits, position); }

 private:
  /// The number whose bytes in memory are those of `bits`, the lowest first, on any machine.
  [[nodiscard]] static std::uint64_t in_byte_order(std::uint64_t bits) noexcept {
    if constexpr (std::endian::native == std::endian::little) return bits;
    std::uint64_t turned = 0;
    for (int i = 0; i < 8; ++i, bits >>= 8U) turned = turned << 8U | (bits & 0xFFU);
    return turned;
  }

  /// splitmix64, by Guy Steele and others: different offsets give different numbers.
  [[nodiscard]] std::uint64_t number(std::uint64_t offset) const noexcept {
    std::uint64_t bits = id_ + offset * 0x9E37'79B9'7F4A'7C15U;
    bits = (bits ^ (bits >> 30U)) * 0xBF58'476D'1CE4'E5B9U;
    bits = (bits ^ (bits >> 27U)) * 0x94D0'49BB'1331'11EBU;
    return bits ^ (bits >> 31U);
  }

  std::uint64_t id_ = 0;
  std::uint64_t base_ = 0;
};

}}}  // namespace kvstore::v1::detail
