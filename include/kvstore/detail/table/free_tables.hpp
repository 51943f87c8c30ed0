// SPDX-License-Identifier: MIT
#pragma once

// Destroys the entries of a store. A million texts lie scattered over the heap, so that one thread mostly
// waits for memory.

#include <cstddef>
#include <type_traits>

#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/base/known_destructor.hpp"
#include "kvstore/detail/table/tables.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Entries of fewer tables are destroyed before a thread has started.
inline constexpr std::size_t kManyEntries = 50'000;

/// Destroys the entries of tables that nobody uses any more, with `threads` threads, if they are many and
/// their types are known to allow that. Otherwise leaves them to the destructor of `tables`.
template <class Key, class Value>
void free_tables(Tables<Key, Value>& tables, std::size_t threads, std::size_t many = kManyEntries) noexcept {
  using Table = typename Tables<Key, Value>::Table;
  constexpr bool kCostsNothing =
      std::is_trivially_destructible_v<Key> && std::is_trivially_destructible_v<Value>;
  if constexpr (kDestroyedAnywhere<Key> && kDestroyedAnywhere<Value> && !kCostsNothing) {
    std::size_t entries = 0;
    for (const Table& table : tables) entries += table.size();
    if (entries < many) return;
    for_each_index(tables.size(), threads, [&](std::size_t i) { tables[i] = Table{}; });
  }
}

/// Frees tables when it is destroyed itself: to be declared before whatever may use them to the end.
template <class Key, class Value>
class TablesEnd {
 public:
  /// `tables` outlives this object.
  TablesEnd(Tables<Key, Value>& tables, std::size_t threads) noexcept : tables_{tables}, threads_{threads} {}
  TablesEnd(const TablesEnd&) = delete;
  TablesEnd& operator=(const TablesEnd&) = delete;
  ~TablesEnd() { free_tables(tables_, threads_); }

 private:
  Tables<Key, Value>& tables_;
  std::size_t threads_;
};

}}}  // namespace kvstore::v1::detail
