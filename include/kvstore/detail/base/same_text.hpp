// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "kvstore/detail/base/load_word.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The same as `a == b`, without a call for texts as short as most keys. A processor overlaps the waits of
/// two operations only as far as it looks ahead, which is counted in instructions. Overlapping words cover a
/// text.
[[nodiscard]] inline bool is_same_text(std::string_view a, std::string_view b) noexcept {
  const std::size_t size = a.size();
  if (size != b.size()) return false;
  const char* const x = a.data();
  const char* const y = b.data();
  const auto differ = [x, y](std::size_t at) {
    return load_word<std::uint64_t>(x + at) ^ load_word<std::uint64_t>(y + at);
  };
  if (size > 32) return std::memcmp(x, y, size) == 0;
  if (size > 16) return (differ(0) | differ(8) | differ(size - 16) | differ(size - 8)) == 0;
  if (size >= 8) return (differ(0) | differ(size - 8)) == 0;
  if (size >= 4) {
    return load_word<std::uint32_t>(x) == load_word<std::uint32_t>(y) &&
           load_word<std::uint32_t>(x + size - 4) == load_word<std::uint32_t>(y + size - 4);
  }
  return size == 0 || (x[0] == y[0] && x[size / 2] == y[size / 2] && x[size - 1] == y[size - 1]);
}

}}}  // namespace kvstore::v1::detail
