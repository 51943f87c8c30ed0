// SPDX-License-Identifier: MIT
#pragma once

// Asks for memory before it is needed. Entries, and the texts of long strings, lie scattered over the heap:
// prefetching several before reading them overlaps the cache misses.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <string_view>

namespace kvstore { inline namespace v1 { namespace detail {

/// Asks for the cache line at `address`, which may be any address at all.
inline void prefetch([[maybe_unused]] const void* address) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#endif
}

/// Asks for the first lines of the text of a string; of another type, for nothing.
template <class T>
void prefetch_text([[maybe_unused]] const T& object) noexcept {
  if constexpr (std::convertible_to<const T&, std::string_view>) {
    const std::string_view text = object;
    prefetch(text.data());
    if (text.size() > 16) prefetch(text.data() + std::min<std::size_t>(text.size() - 1, 64));
  }
}

}}}  // namespace kvstore::v1::detail
