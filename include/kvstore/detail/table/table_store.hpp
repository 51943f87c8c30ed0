// SPDX-License-Identifier: MIT
#pragma once

// The tables of a store in memory, and the primitives on which all verbs are built.

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/held_key.hpp"
#include "kvstore/detail/base/key_range.hpp"
#include "kvstore/detail/base/lookup.hpp"
#include "kvstore/detail/base/string_argument.hpp"
#include "kvstore/detail/codec/key.hpp"
#include "kvstore/detail/codec/missing.hpp"
#include "kvstore/detail/table/batch_plan.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/key_hasher.hpp"
#include "kvstore/detail/table/mutation.hpp"
#include "kvstore/detail/table/object_types.hpp"
#include "kvstore/detail/table/reentry.hpp"
#include "kvstore/detail/table/tables.hpp"
#include "kvstore/error.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/write_batch.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Key, class Value, class Hash, class KeyEqual>
class TableStore : ObjectTypes<Key, Value> {
 public:
  TableStore(const TableStore&) = delete;
  TableStore& operator=(const TableStore&) = delete;
  virtual ~TableStore() = default;

 protected:
  using LookupKey = detail::LookupKey<Key, Hash>;
  static constexpr bool kTextKeys = kIsString<Key> && std::same_as<LookupKey, std::string_view>;
  using KeyArgument = std::conditional_t<kTextKeys, StringArgument<Key>, Key>;
  using CheckedKey = std::conditional_t<kTextKeys, std::string_view, const Key&>;
  using Table = DenseMap<Key, Value>;
  using Tables = detail::Tables<Key, Value>;
  using Mutation = detail::Mutation<Key, Value>;
  using Intended = detail::Intended<CheckedKey, Value>;
  using Hasher = KeyHasher<Key, Hash>;
  static constexpr std::size_t kGroup = Tables::kGroup;

  TableStore(std::size_t tables, Hash hash, KeyEqual equal)
      : tables_(tables), hash_{std::move(hash)}, equal_{std::move(equal)} {
    check_has_equal<KeyEqual, Key>();
  }

  // A derived store overrides the primitives to lock, capture, log, count and save; it repeats no verb.
  // `verb` is the verb on whose behalf a primitive runs.

  /// Runs `fn` on a table, for reading. `fn` returns whether it found its key.
  virtual bool read_table(Verb /*verb*/, std::size_t table, FunctionRef<bool(const Table&)> fn) const {
    return fn(tables_[table]);
  }
  /// Runs `fn` once for all tables of `hashes`, at most `kGroup`, that are available at once, and passes it
  /// their bits; then once for each of the others. `fn` returns the bits of the tables in which it found its
  /// key.
  virtual void read_tables_together(Verb /*verb*/, std::span<const std::uint64_t> hashes,
                                    FunctionRef<std::uint32_t(std::uint32_t)> fn) const {
    for (const std::uint64_t hash : hashes) tables_.of(hash).prefetch(hash);
    fn((std::uint32_t{1} << hashes.size()) - 1);
  }
  /// Runs `fn` on every table in turn, for reading.
  virtual void for_each_table(Verb /*verb*/, FunctionRef<void(const Table&)> fn) const {
    for (const Table& table : tables_) fn(table);
  }
  /// Performs the mutation that `decide` returns for a table. `intended` is null if the operation learns the
  /// new value only there.
  virtual void edit_table(Verb /*verb*/, std::size_t index, const Intended* /*intended*/,
                          FunctionRef<Mutation(Table&)> decide) {
    decide(tables_[index]).apply(tables_[index]);
  }
  /// Carries out what `decide` decides, which concerns the tables of `hashes` only: all of it or nothing.
  virtual void edit_tables(Verb /*verb*/, std::span<const std::uint64_t> /*hashes*/,
                           FunctionRef<std::vector<Mutation>()> decide) {
    const std::vector<Mutation> mutations = decide();
    for (const auto& inserts : tables_.inserts_of(mutations))
      tables_[inserts.table].prepare_insert(inserts.count);
    for (const Mutation& mutation : mutations) mutation.perform(tables_.of(mutation.hash));
  }
  /// Empties every table.
  virtual void clear_tables() {
    for (Table& table : tables_) table = Table{};
  }

  /// Refuses a key or value that a persistent store could not read back. @throws ValueError
  virtual void check_entry(CheckedKey /*key*/, const Value& /*value*/) const {}
  virtual void check_value(LookupKey /*key*/, const Value& /*value*/) const {}
  /// Records a check that failed before any primitive ran.
  virtual void note_failure(Verb /*verb*/) const noexcept {}

  /// A copy of a value for `modify` to work on; nothing if the value must be modified in place.
  [[nodiscard]] virtual std::optional<Value> duplicate(const Value& value) const {
    if constexpr (std::copy_constructible<Value>)
      return value;
    else
      return std::nullopt;
  }

  // The building blocks of the verbs. ---------------------------------------------------------------------

  /// A search that has begun: the memory that it reads first is on its way while the operation runs its
  /// checks and takes its lock.
  struct Search {
    std::uint64_t hash;
    std::size_t table;
  };
  [[nodiscard]] Search begin_search(LookupKey key) const {
    const std::uint64_t hash = hash_of(key);
    const std::size_t table = tables_.index_of(hash);
    tables_[table].prefetch(hash);
    return {hash, table};
  }

  /// Runs a check outside the primitives, and records its failure.
  template <class Check>
  void checked(Verb verb, const Check& check) const {
    try {
      check();
    } catch (...) {
      note_failure(verb);
      throw;
    }
  }

  /// Runs `fn(const Value&)` if the key exists. @returns whether it does.
  template <class Fn>
  bool read_entry(Verb verb, LookupKey key, const Fn& fn) const {
    const Search search = begin_search(key);
    CallbackScope::check_reentry(this);
    return read_table(verb, search.table, [&](const Table& table) {
      const auto* const entry = Hasher::find_entry(table, search.hash, key, equal_);
      if (entry == nullptr) return false;
      fn(entry->value);
      return true;
    });
  }

  /// Performs the mutation that `decide(table, hash, position)` returns if the key exists. @returns whether
  /// it does.
  template <class Decide>
  bool edit(Verb verb, LookupKey key, const Decide& decide) {
    bool found = false;
    const Search search = begin_search(key);
    CallbackScope::check_reentry(this);
    edit_table(verb, search.table, nullptr, [&](Table& table) {
      const std::size_t position = find(table, search.hash, key);
      found = position != Table::kNone;
      return found ? decide(table, search.hash, position) : Mutation{};
    });
    return found;
  }

  /// Adds an entry, or, if the key exists, performs the mutation that `otherwise(table, hash, position)`
  /// returns.
  /// @returns whether an entry was added.
  template <class Otherwise>
  bool add(Verb verb, KeyArgument& key, Value& value, const Otherwise& otherwise) {
    const CheckedKey view = view_of(key);
    Search search{};
    checked(verb, [&] {
      search = begin_search(view);
      check_entry(view, value);
    });
    bool added = false;
    CallbackScope::check_reentry(this);
    const Intended intended{view, &value};
    edit_table(verb, search.table, &intended, [&](Table& table) {
      const std::size_t position = find(table, search.hash, view);
      added = position == Table::kNone;
      return added ? Mutation::insert(search.hash, owned_key(key), value, Hasher::kSeeded)
                   : otherwise(table, search.hash, position);
    });
    return added;
  }
  [[nodiscard]] static CheckedKey view_of(const KeyArgument& key) noexcept {
    if constexpr (kTextKeys)
      return key.view();
    else
      return key;
  }

  /// Runs `fn(index, const Value&)` for each of `keys` that exists. @returns how many exist.
  template <class Keys, class Fn>
  std::size_t read_entries(Verb verb, const Keys& keys, const Fn& fn) const {
    std::size_t found = 0;
    std::size_t first = 0;  // of the group
    CallbackScope::check_reentry(this);
    for (auto at = std::ranges::begin(keys); at != std::ranges::end(keys);) {
      std::array<std::uint64_t, kGroup> hashes{};
      std::array<HeldKey<std::iter_reference_t<KeyIterator<Keys>>>, kGroup> group{};
      std::size_t count = 0;
      for (; count < kGroup && at != std::ranges::end(keys); ++at, ++count) {
        group[count].hold(*at);
        hashes[count] = hash_of(group[count].get());
      }
      read_tables_together(verb, std::span{hashes}.first(count), [&](std::uint32_t which) {
        const auto visit = [&](std::size_t i, const Value& value) { fn(first + i, value); };
        const std::uint32_t those = read_in_stages(which, hashes, group, visit);
        found += static_cast<std::size_t>(std::popcount(those));
        return those;
      });
      first += count;
    }
    return found;
  }

  /// Carries out the operations of a batch as one step. Moves from them if they are not constant: then none
  /// are left.
  template <class Operations>
  void apply_all(Operations& operations) {
    if constexpr (std::is_const_v<Operations>) {
      apply_each(operations);
    } else {
      try {
        apply_each(operations);
      } catch (const StorageError&) {  // applied, and not on disk yet
        operations.clear();
        throw;
      }
      operations.clear();
    }
  }
  template <class Operations>
  void apply_each(Operations& operations) {
    constexpr bool kMoves = !std::is_const_v<Operations>;
    CallbackScope::check_reentry(this);
    std::vector<std::uint64_t> hashes;
    hashes.reserve(operations.size());
    for (const auto& operation : operations) {
      if (operation.value) checked(Verb::apply, [&] { check_entry(operation.key, *operation.value); });
      hashes.push_back(hash_of(operation.key));
    }
    edit_together<kMoves>(Verb::apply, hashes, [&](auto& plan, std::size_t i) {
      auto& operation = operations[i];
      plan.add(operation.action, &operation.key, operation.value ? &*operation.value : nullptr, hashes[i],
               find(tables_.of(hashes[i]), hashes[i], operation.key));
    });
  }

  /// Sets all entries of a range, a group in one step after another.
  template <class Entries>
  void upsert_all(const Entries& entries) {
    constexpr std::size_t kTogether = 256;
    CallbackScope::check_reentry(this);
    std::vector<EntryView> group;
    for (auto at = std::ranges::begin(entries); at != std::ranges::end(entries);) {
      group.clear();
      for (; group.size() < kTogether && at != std::ranges::end(entries); ++at)
        group.push_back({&at->first, &at->second});
      upsert_together(group);
    }
  }

  /// An entry to be set.
  struct EntryView {
    const Key* key;
    const Value* value;
  };
  /// Sets the entries as one step.
  void upsert_together(const std::vector<EntryView>& entries) {
    std::vector<std::uint64_t> hashes;
    hashes.reserve(entries.size());
    for (const EntryView& entry : entries) {
      checked(Verb::upsert, [&] { check_entry(*entry.key, *entry.value); });
      hashes.push_back(hash_of(*entry.key));
    }
    edit_together<false>(Verb::upsert, hashes, [&](auto& plan, std::size_t i) {
      plan.add(WriteBatch<Key, Value>::Action::upsert, entries[i].key, entries[i].value, hashes[i],
               find(tables_.of(hashes[i]), hashes[i], *entries[i].key));
    });
  }

  // The tables. -------------------------------------------------------------------------------------------

  [[nodiscard]] std::uint64_t hash_of(LookupKey key) const { return Hasher{hash_}(key); }
  /// The hash, for those that fill tables. The store outlives it.
  [[nodiscard]] Hasher hasher() const noexcept { return Hasher{hash_}; }
  template <class Probe>
  [[nodiscard]] std::size_t find(const Table& table, std::uint64_t hash, const Probe& key) const {
    return Hasher::find(table, hash, key, equal_);
  }

  [[nodiscard]] Tables& tables() noexcept { return tables_; }
  [[nodiscard]] const Tables& tables() const noexcept { return tables_; }
  [[nodiscard]] const KeyEqual& key_equal() const noexcept { return equal_; }

 private:
  [[nodiscard]] static Key& owned_key(KeyArgument& key) {
    if constexpr (kTextKeys)
      return key.string();
    else
      return key;
  }

  /// Prefetches all entries that it will most likely read before it reads the first of them.
  template <class Group, class Visit>
  std::uint32_t read_in_stages(std::uint32_t which, const std::array<std::uint64_t, kGroup>& hashes,
                               const Group& group, const Visit& visit) const {
    for (std::uint32_t left = which; left != 0; left &= left - 1) {
      const std::uint64_t hash = hashes[static_cast<std::size_t>(std::countr_zero(left))];
      tables_.of(hash).prefetch_likely(hash);
    }
    std::uint32_t found = 0;
    for (std::uint32_t left = which; left != 0; left &= left - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(left));
      const Table& table = tables_.of(hashes[i]);
      const LookupKey key = group[i].get();
      const auto* const entry = Hasher::find_entry(table, hashes[i], key, equal_);
      if (entry == nullptr) continue;
      visit(i, entry->value);
      found |= std::uint32_t{1} << i;
    }
    return found;
  }

  /// Carries out the changes of which `add(plan, i)` adds one to a plan, for each of `hashes`. Searches for
  /// sixteen keys at a time, so that their cache misses overlap.
  template <bool kMoves, class Add>
  void edit_together(Verb verb, std::span<const std::uint64_t> hashes, const Add& add) {
    PlannedCopies<Key, Value> copies;
    edit_tables(verb, hashes, [&] {
      BatchPlan<Key, Value, KeyEqual, kMoves> plan{equal_, Hasher::kSeeded, hashes.size()};
      for (std::size_t first = 0; first < hashes.size(); first += kGroup) {
        const auto group = hashes.subspan(first, std::min(kGroup, hashes.size() - first));
        for (const std::uint64_t hash : group) tables_.of(hash).prefetch(hash);
        for (const std::uint64_t hash : group) tables_.of(hash).prefetch_likely(hash);
        for (const std::uint64_t hash : group) tables_.of(hash).prefetch_texts(hash);
        for (std::size_t i = first; i < first + group.size(); ++i) add(plan, i);
      }
      return plan.mutations([&](std::uint64_t hash) -> const Table& { return tables_.of(hash); }, copies);
    });
  }

  Tables tables_;
  Hash hash_;
  KeyEqual equal_;
};

}}}  // namespace kvstore::v1::detail
