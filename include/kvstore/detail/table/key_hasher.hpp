// SPDX-License-Identifier: MIT
#pragma once

// Both forms of a store's hash: the usual one, and the one with the secret of a table.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>

#include "kvstore/detail/base/lookup.hpp"
#include "kvstore/detail/base/same_text.hpp"
#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/hash.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Strings that compare as their bytes do.
template <class Key>
inline constexpr bool kIsPlainString = false;
template <class Allocator>
inline constexpr bool kIsPlainString<std::basic_string<char, std::char_traits<char>, Allocator>> = true;

template <class Key, class Hash>
class KeyHasher {
 public:
  using LookupKey = detail::LookupKey<Key, Hash>;

  explicit KeyHasher(const Hash& hash) noexcept : hash_{hash} {}

  [[nodiscard]] std::uint64_t operator()(LookupKey key) const {
    const auto hash = static_cast<std::uint64_t>(hash_(key));
    if constexpr (requires { typename Hash::is_avalanching; })
      return hash;
    else
      return mix(hash ^ kSecret[2], kSecret[3]);
  }

  static constexpr bool kCanKeepSecret = SeededFor<Hash, std::remove_cvref_t<LookupKey>>;

  /// Hashes with a secret. Not called unless `kCanKeepSecret`.
  [[nodiscard]] static std::uint64_t seeded(LookupKey key, const HashSeed& seed) noexcept {
    if constexpr (kCanKeepSecret)
      return Hash{}(key, seed);
    else
      return 0;
  }
  /// The same for tables; null if the store's hash cannot do that.
  static constexpr SeededHash<Key> kSeeded =
      kCanKeepSecret ? [](const Key& key, const HashSeed& seed) noexcept { return seeded(key, seed); }
                     : SeededHash<Key>{nullptr};

  /// The position of `key` in `table`, or `kNone`.
  template <class Table, class Probe, class KeyEqual>
  [[nodiscard]] static std::size_t find(const Table& table, std::uint64_t hash, const Probe& key,
                                        const KeyEqual& equal) {
    const auto same = [&](const Key& other) { return is_same(other, key, equal); };
    return table.find_or(hash, same, [&]() -> std::size_t {
      if (!kCanKeepSecret || !table.is_secret()) [[likely]]
        return Table::kNone;
      return find_by_secret(table, key, equal);
    });
  }

  /// The entry of `key` in `table`, or null.
  template <class Table, class Probe, class KeyEqual>
  [[nodiscard]] static const typename Table::Entry* find_entry(const Table& table, std::uint64_t hash,
                                                               const Probe& key, const KeyEqual& equal) {
    const auto same = [&](const Key& other) { return is_same(other, key, equal); };
    return table.find_entry_or(hash, same, [&]() -> const typename Table::Entry* {
      if (!kCanKeepSecret || !table.is_secret()) [[likely]]
        return nullptr;
      const std::size_t position = find_by_secret(table, key, equal);
      return position == Table::kNone ? nullptr : &table[position];
    });
  }

 private:
  template <class Probe, class KeyEqual>
  [[nodiscard]] static bool is_same(const Key& other, const Probe& key, const KeyEqual& equal) {
    if constexpr (std::is_same_v<KeyEqual, std::equal_to<>> && kIsPlainString<Key> &&
                  std::is_convertible_v<const Probe&, std::string_view>) {
      return is_same_text(other, key);
    } else {
      return equal(other, key);
    }
  }

  /// Out of line, and without a closure of the caller, which would have to lie in memory before each search.
  template <class Table, class KeyEqual>
  [[nodiscard, gnu::noinline, gnu::cold]] static std::size_t find_by_secret(const Table& table, LookupKey key,
                                                                            const KeyEqual& equal) {
    return table.find(seeded(key, table.seed()), [&](const Key& other) { return equal(other, key); });
  }

  const Hash& hash_;
};

}}}  // namespace kvstore::v1::detail
