// SPDX-License-Identifier: MIT
#pragma once

// The pending changes of a store that follows another process. They are collected without a lock, one for
// each key, so that all of them can be made in one step that cannot fail half-way.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/detail/change/stored_key.hpp"
#include "kvstore/detail/store/value_loader.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/mutation.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Key, class Value, class HashOf, class KeyEqual>
class TableUpdate final : public LoadSink {
 public:
  using Table = DenseMap<Key, Value>;
  using Mutation = detail::Mutation<Key, Value>;

  /// `stored_version` is that of the entries loaded before. `options` and `path` outlive this object.
  TableUpdate(HashOf hash_of, KeyEqual equal, const Options& options, const std::filesystem::path& path,
              std::uint32_t stored_version)
      : hash_of_{std::move(hash_of)}, equal_{std::move(equal)}, values_{options, path} {
    values_.stored_version(stored_version);
  }

  void expect(std::uint64_t) override {}
  void schema_version(std::uint32_t stored) override { values_.stored_version(stored); }
  void put(std::string_view key, std::string_view value) override { change({key, value}); }
  void finish() override {}

  void change(const Change& change) override {
    Key key = change.value ? parse_stored_key<Key>(change.key) : parse_entry_key<Key>(change.key);
    const std::uint64_t hash = hash_of_(key);
    std::optional<Value> value;
    if (change.value) value = values_.parse(change.key, *change.value);
    const auto same = [&](const Place& other) { return equal_(steps_[other.step].key, key); };
    const auto secret = [&](const HashSeed& seed) { return HashOf::seeded(key, seed); };
    if (const std::size_t at = places_.find(hash, same, secret); at != places_.kNone) {
      std::swap(steps_[places_[at].key.step].value, value);
      return;
    }
    places_.prepare_insert(1);
    steps_.push_back({hash, std::move(key), std::move(value)});
    places_.insert(hash, Place{this, steps_.size() - 1}, Nothing{},
                   HashOf::kSeeded == nullptr ? nullptr : &Place::hash);
  }

  void clear() override {
    cleared_ = true;
    if (steps_.empty()) return;
    steps_.clear();
    places_ = {};
  }

  [[nodiscard]] bool empty() const noexcept { return !cleared_ && steps_.empty(); }
  /// Whether all existing entries are gone; then `fill` makes the new tables.
  [[nodiscard]] bool replaces_everything() const noexcept { return cleared_; }

  /// Moves the entries into tables that are empty.
  template <class TableOf>
  void fill(const TableOf& table_of) {
    for (Step& step : steps_) {
      Mutation::change(step.hash, Table::kNone, step.key, step.value, HashOf::kSeeded)
          .apply(table_of(step.hash));
    }
  }

  /// The mutations for the current tables, in an order in which they can be performed: removals last and from
  /// the back, since a removal moves the last entry of its table. The mutations point into this object.
  template <class TableOf>
  [[nodiscard]] std::vector<Mutation> mutations(const TableOf& table_of) {
    std::vector<Mutation> result;
    std::vector<Mutation> removals;
    for (Step& step : steps_) {
      const std::size_t position = HashOf::find(table_of(step.hash), step.hash, step.key, equal_);
      const Mutation mutation = Mutation::change(step.hash, position, step.key, step.value, HashOf::kSeeded);
      if (mutation) (step.value ? result : removals).push_back(mutation);
    }
    std::sort(removals.begin(), removals.end(),
              [](const Mutation& a, const Mutation& b) { return a.position > b.position; });
    result.insert(result.end(), removals.begin(), removals.end());
    return result;
  }

 private:
  struct Step {
    std::uint64_t hash;
    Key key;
    std::optional<Value> value;  // none = removed
  };
  struct Place {
    const TableUpdate* update;
    std::size_t step;

    static std::uint64_t hash(const Place& place, const HashSeed& seed) noexcept {
      return HashOf::seeded(place.update->steps_[place.step].key, seed);
    }
  };
  struct Nothing {};

  HashOf hash_of_;
  KeyEqual equal_;
  ValueLoader<Value> values_;
  std::vector<Step> steps_;
  DenseMap<Place, Nothing> places_;  // of the keys in `steps_`
  bool cleared_ = false;
};

}}}  // namespace kvstore::v1::detail
