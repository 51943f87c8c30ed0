// SPDX-License-Identifier: MIT
#pragma once

// Ranges of keys to look up, as `read_many` takes them.

#include <concepts>
#include <iterator>
#include <type_traits>
#include <utility>

namespace kvstore { inline namespace v1 { namespace detail {

template <class Keys>
using KeyIterator = decltype(std::ranges::begin(std::declval<const Keys&>()));

/// Ranges of keys to look up. Defined without the header <ranges>, which costs more compile time than it
/// saves text.
template <class Keys, class Key, class Lookup>
concept KeyRange =
    std::forward_iterator<KeyIterator<Keys>> &&
    std::sentinel_for<decltype(std::ranges::end(std::declval<const Keys&>())), KeyIterator<Keys>> &&
    (std::same_as<std::iter_value_t<KeyIterator<Keys>>, Key> ||
     (!std::is_reference_v<Lookup> &&
      std::convertible_to<const std::remove_reference_t<std::iter_reference_t<KeyIterator<Keys>>>&, Lookup>));

/// Ranges of entries to set: their elements have a `first` that is a key, and a `second` that is a value.
template <class Entries, class Key, class Value>
concept EntryRange = std::forward_iterator<KeyIterator<Entries>> &&
                     std::is_reference_v<std::iter_reference_t<KeyIterator<Entries>>> &&
                     requires(const std::iter_value_t<KeyIterator<Entries>>& entry) {
                       requires std::same_as<std::remove_cvref_t<decltype((entry.first))>, Key>;
                       requires std::same_as<std::remove_cvref_t<decltype((entry.second))>, Value>;
                     };

}}}  // namespace kvstore::v1::detail
