// SPDX-License-Identifier: MIT
#pragma once

// Reduces a WriteBatch to at most one mutation per key, judged against the current tables, so that the whole
// batch can be refused before any part of it is done.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/mutation.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/write_batch.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Key, class Value, class KeyEqual>
class BatchPlan {
 public:
  using Batch = WriteBatch<Key, Value>;
  using Mutation = detail::Mutation<Key, Value>;

  BatchPlan(const KeyEqual& equal, SeededHash<Key> seeded) : equal_{equal}, seeded_{seeded} {}

  /// Adds the next change of the batch; `position` is that of its key in the table, or `kNone`.
  /// @throws DuplicateKeyError, KeyNotFoundError
  void add(typename Batch::Operation& operation, std::uint64_t hash, std::size_t position) {
    Item& item = item_for(operation, hash, position);
    using Action = typename Batch::Action;
    if (operation.action == Action::create && item.exists) {
      throw DuplicateKeyError{KeyText<Key>::for_message(operation.key)};
    }
    if ((operation.action == Action::update || operation.action == Action::remove) && !item.exists) {
      throw KeyNotFoundError{KeyText<Key>::for_message(operation.key)};
    }
    item.exists = operation.action != Action::remove;
    item.value = item.exists ? &*operation.value : nullptr;
  }

  /// The mutations in an order in which they can be performed one after another: removals last and from the
  /// back, since a removal moves the last entry of its table.
  [[nodiscard]] std::vector<Mutation> mutations() const {
    std::vector<Mutation> result;
    result.reserve(items_.size());
    const auto take = [&](bool erases) {
      for (const Item& item : items_) {
        const Mutation mutation = item.mutation(seeded_);
        if (mutation && (mutation.kind == Mutation::Kind::erase) == erases) result.push_back(mutation);
      }
    };
    take(false);
    const auto first_erase = static_cast<std::ptrdiff_t>(result.size());
    take(true);
    std::sort(result.begin() + first_erase, result.end(),
              [](const Mutation& a, const Mutation& b) { return a.position > b.position; });
    return result;
  }

 private:
  struct Item {
    std::uint64_t hash;
    std::size_t position;  // in the table before the batch, or kNone
    Key* key;
    Value* value = nullptr;
    bool exists;

    [[nodiscard]] Mutation mutation(SeededHash<Key> seeded) const noexcept {
      const bool existed = position != DenseMap<Key, Value>::kNone;
      if (exists) {
        return existed ? Mutation::replace(hash, position, *value)
                       : Mutation::insert(hash, *key, *value, seeded);
      }
      return existed ? Mutation::erase(hash, position) : Mutation{};
    }
  };

  struct Named {
    const Key* key;
    SeededHash<Key> seeded;

    static std::uint64_t hash(const Named& named, const HashSeed& seed) noexcept {
      return named.seeded(*named.key, seed);
    }
  };

  Item& item_for(typename Batch::Operation& operation, std::uint64_t hash, std::size_t position) {
    const auto same = [&](const Named& other) { return equal_(*other.key, operation.key); };
    const auto secret = [&](const HashSeed& seed) { return seeded_(operation.key, seed); };
    if (const std::size_t at = seen_.find(hash, same, secret); at != seen_.kNone)
      return items_[seen_[at].value];
    items_.push_back(Item{hash, position, &operation.key, nullptr, position != DenseMap<Key, Value>::kNone});
    seen_.prepare_insert(1);
    seen_.insert(hash, Named{&operation.key, seeded_}, items_.size() - 1, seeded_ ? &Named::hash : nullptr);
    return items_.back();
  }

  KeyEqual equal_;
  std::vector<Item> items_;
  SeededHash<Key> seeded_;
  DenseMap<Named, std::size_t> seen_;  // key -> index in items_
};

}}}  // namespace kvstore::v1::detail
