// SPDX-License-Identifier: MIT
#pragma once

// The definitions of text_place.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/text_place.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

[[noreturn]] KVSTORE_INLINE void throw_placed(File& file, const CorruptionError& error) {
  constexpr std::size_t kBlock = std::size_t{16} << 10;
  if (error.line() != 0) throw error;
  std::vector<char> block(static_cast<std::size_t>(std::min<std::uint64_t>(error.offset(), kBlock)));
  CorruptionError::Place place{1, 1, error.key()};
  for (std::uint64_t at = 0; at < error.offset();) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(error.offset() - at, block.size()));
    const auto got = read_full(file, at, {block.data(), wanted});
    if (got.error || got.value != wanted) throw error;
    for (const char c : std::string_view{block.data(), wanted}) {
      constexpr int kMask = 0xC0;
      constexpr int kContinuation = 0x80;  // a further byte of the same character
      if ((c & kMask) != kContinuation) ++place.column;
      if (c != '\n') continue;
      ++place.line;
      place.column = 1;
    }
    at += wanted;
  }
  throw CorruptionError{error.path(), error.offset(), error.expected(), place};
}

}}}  // namespace kvstore::v1::detail
