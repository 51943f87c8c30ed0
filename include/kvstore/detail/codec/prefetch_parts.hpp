// SPDX-License-Identifier: MIT
#pragma once

// Long strings and elements of containers lie scattered over the heap: asking for them a few entries before
// they are read hides the wait for memory, which else takes longer than encoding them.

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/fields.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr std::size_t kCacheLine = 64;

/// Asks for the first two lines of a text or of elements; more of them the hardware finds by itself. Always
/// inlined, since GCC takes a function that only prefetches for one without effect, and leaves out its calls.
[[gnu::always_inline]] inline void prefetch_bytes([[maybe_unused]] const void* start,
                                                  [[maybe_unused]] std::size_t size) noexcept {
#if defined(__GNUC__)
  const char* const bytes = static_cast<const char*>(start);
  if (size > 0) __builtin_prefetch(bytes);
  if (size > kCacheLine) __builtin_prefetch(bytes + kCacheLine);
#endif
}

template <class T>
[[gnu::always_inline]] inline void prefetch_parts(const T& value) noexcept {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    const std::string_view text = value;
    prefetch_bytes(text.data(), text.size());
  } else if constexpr (ListsItsFields<T>) {
    std::apply([&value](const auto&... field) { (prefetch_parts(value.*field.pointer), ...); },
               kFieldsOf<T>.each);
  } else if constexpr (requires { value.data(), value.size(); }) {
    prefetch_bytes(value.data(), value.size() * sizeof(*value.data()));
  }
}

}}}  // namespace kvstore::v1::detail
