// SPDX-License-Identifier: MIT
#pragma once

// An entry of a table, and the demands on its types.

#include <cstdint>
#include <type_traits>
#include <utility>

#include "kvstore/detail/base/prefetch.hpp"
#include "kvstore/detail/base/sip_hash.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Hashes a key with a table's secret; null if the hash of the store cannot do that.
template <class Key>
using SeededHash = std::uint64_t (*)(const Key&, const HashSeed&) noexcept;

/// One key and its value.
template <class Key, class Value>
struct Entry {
  Entry(Key&& k, Value&& v) noexcept : key(std::move(k)), value(std::move(v)) {}

  /// Prefetches the memory that the destructor touches.
  [[gnu::always_inline]] void prefetch_owned() const noexcept {
    detail::prefetch_owned(key);
    detail::prefetch_owned(value);
  }

  Key key;
  Value value;
};

/// A move that fails in the middle would leave a change half done: the index knows an entry that is not
/// there.
template <class T>
consteval bool check_movable() {
  static_assert(std::is_nothrow_move_constructible_v<T>,
                "kvstore: keys and values must be movable without throwing, and this type is not, as "
                "std::deque and std::atomic are not. Wrap it in a std::unique_ptr, use a std::vector or the "
                "plain value, or declare a noexcept move constructor");
  return true;
}

/// Entries that are so small and trivial that they lie in the index of their table: see slot_map.hpp.
template <class Key, class Value>
concept LiesInIndex =
    std::is_trivially_copyable_v<Entry<Key, Value>> && std::is_copy_constructible_v<Entry<Key, Value>> &&
    sizeof(Entry<Key, Value>) <= 16 && alignof(Entry<Key, Value>) <= 16;

}}}  // namespace kvstore::v1::detail
