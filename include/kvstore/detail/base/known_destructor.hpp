// SPDX-License-Identifier: MIT
#pragma once

// The types whose objects any thread may destroy. A program's own destructor may count on being called by one
// thread at a time, or by a certain one, so only types that the library knows are destroyed by several.

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether several threads may destroy objects of the type, each its own. Containers count only if their
/// memory comes from where the standard takes it: a source of the program's own may have a state that threads
/// share.
template <class T>
inline constexpr bool kDestroyedAnywhere = std::is_trivially_destructible_v<T>;

template <class Char>
inline constexpr bool
    kDestroyedAnywhere<std::basic_string<Char, std::char_traits<Char>, std::allocator<Char>>> = true;
template <class T>
inline constexpr bool kDestroyedAnywhere<std::vector<T, std::allocator<T>>> = kDestroyedAnywhere<T>;
template <class T>
inline constexpr bool kDestroyedAnywhere<std::optional<T>> = kDestroyedAnywhere<T>;
template <class A, class B>
inline constexpr bool kDestroyedAnywhere<std::pair<A, B>> = kDestroyedAnywhere<A> && kDestroyedAnywhere<B>;
template <class... T>
inline constexpr bool kDestroyedAnywhere<std::tuple<T...>> = (kDestroyedAnywhere<T> && ...);
template <class T, std::size_t kSize>
inline constexpr bool kDestroyedAnywhere<std::array<T, kSize>> = kDestroyedAnywhere<T>;

}}}  // namespace kvstore::v1::detail
