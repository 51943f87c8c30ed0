// SPDX-License-Identifier: MIT
#pragma once

// Reduces a list of changes to at most one mutation per key, judged against the current tables, so that the
// whole list can be refused before any part of it is done.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <type_traits>
#include <vector>

#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/mutation.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/write_batch.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The keys and values that mutations point to, unless these belong to the list itself.
template <class Key, class Value>
struct PlannedCopies {
  std::deque<Key> keys;
  std::deque<Value> values;
};

/// `kMoves`: keys and values of the list may be moved from, by the mutations.
template <class Key, class Value, class KeyEqual, bool kMoves>
class BatchPlan {
 public:
  using KeyPointer = std::conditional_t<kMoves, Key*, const Key*>;
  using ValuePointer = std::conditional_t<kMoves, Value*, const Value*>;
  using Table = DenseMap<Key, Value>;
  using Mutation = detail::Mutation<Key, Value>;
  using Action = typename WriteBatch<Key, Value>::Action;

  /// For a list of `size` changes, which outlives this object.
  BatchPlan(const KeyEqual& equal, SeededHash<Key> seeded, std::size_t size)
      : equal_{equal}, seeded_{seeded} {
    items_.reserve(size);
    seen_.prepare_insert(size);
  }

  /// Adds the next change of the list; `position` is that of its key in the table, or `kNone`; `value` is
  /// null for a removal. @throws DuplicateKeyError, KeyNotFoundError
  void add(Action action, KeyPointer key, ValuePointer value, std::uint64_t hash, std::size_t position) {
    Item& item = item_for(key, hash, position);
    if (action == Action::create && item.exists) throw DuplicateKeyError{KeyText<Key>::for_message(*key)};
    if ((action == Action::update || action == Action::remove) && !item.exists)
      throw KeyNotFoundError{KeyText<Key>::for_message(*key)};
    item.exists = action != Action::remove;
    item.value = item.exists ? value : nullptr;
  }

  /// The mutations in an order in which they can be performed one after another: removals last and from the
  /// back, since a removal moves the last entry of its table. `table_of(hash)` is the table of a key. What
  /// cannot be assigned in place is copied into `copies`.
  template <class TableOf>
  [[nodiscard]] std::vector<Mutation> mutations(const TableOf& table_of,
                                                PlannedCopies<Key, Value>& copies) const {
    std::vector<Mutation> result;
    result.reserve(items_.size());
    for (const Item& item : items_) {
      if (item.exists) result.push_back(item.setting(table_of(item.hash), copies, seeded_));
    }
    const auto first_erase = static_cast<std::ptrdiff_t>(result.size());
    for (const Item& item : items_) {
      if (!item.exists && item.existed()) result.push_back(Mutation::erase(item.hash, item.position));
    }
    std::sort(result.begin() + first_erase, result.end(),
              [](const Mutation& a, const Mutation& b) { return a.position > b.position; });
    return result;
  }

 private:
  struct Item {
    std::uint64_t hash;
    std::size_t position;  // in the table before the list, or kNone
    KeyPointer key;
    ValuePointer value = nullptr;
    bool exists;

    [[nodiscard]] bool existed() const noexcept { return position != Table::kNone; }

    [[nodiscard]] Mutation setting(const Table& table, PlannedCopies<Key, Value>& copies,
                                   SeededHash<Key> seeded) const {
      if constexpr (kMoves) {
        return existed() ? Mutation::replace(hash, position, *value)
                         : Mutation::insert(hash, *key, *value, seeded);
      } else {
        return setting_copy(table, copies, seeded);
      }
    }
    [[nodiscard]] Mutation setting_copy(const Table& table, PlannedCopies<Key, Value>& copies,
                                        SeededHash<Key> seeded) const {
      if (existed() && fits_in_place(table[position].value, *value))
        return Mutation::assign(hash, position, *value);
      Value& copy = copies.values.emplace_back(*value);
      if (existed()) return Mutation::replace(hash, position, copy);
      return Mutation::insert(hash, copies.keys.emplace_back(*key), copy, seeded);
    }
  };

  struct Named {
    const Key* key;
    SeededHash<Key> seeded;

    static std::uint64_t hash(const Named& named, const HashSeed& seed) noexcept {
      return named.seeded(*named.key, seed);
    }
  };

  Item& item_for(KeyPointer key, std::uint64_t hash, std::size_t position) {
    const auto same = [&](const Named& other) { return equal_(*other.key, *key); };
    const auto secret = [&](const HashSeed& seed) { return seeded_(*key, seed); };
    if (const std::size_t at = seen_.find(hash, same, secret); at != seen_.kNone)
      return items_[seen_[at].value];
    items_.push_back(Item{hash, position, key, nullptr, position != Table::kNone});
    seen_.insert(hash, Named{key, seeded_}, items_.size() - 1, seeded_ ? &Named::hash : nullptr);
    return items_.back();
  }

  KeyEqual equal_;
  std::vector<Item> items_;
  SeededHash<Key> seeded_;
  DenseMap<Named, std::size_t> seen_;  // key -> index in items_
};

}}}  // namespace kvstore::v1::detail
