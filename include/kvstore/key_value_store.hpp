// SPDX-License-Identifier: MIT
#pragma once

// The store's verbs, written once. See BatchPersistentKeyValueStore for the one that many threads share and
// that survives a restart.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/detail/batch_plan.hpp"
#include "kvstore/detail/dense_map.hpp"
#include "kvstore/detail/function_ref.hpp"
#include "kvstore/detail/lookup.hpp"
#include "kvstore/detail/mutation.hpp"
#include "kvstore/detail/reentry.hpp"
#include "kvstore/error.hpp"
#include "kvstore/hash.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/write_batch.hpp"

namespace kvstore::inline v0 {

/// A map in memory with clear verbs and clear errors.
///
/// *Thread safety*: one thread at a time, like a standard container. The persistent store, which derives from
/// this class, may be used from any thread; through a reference to this class as well.
///
/// *Requirements*: `Key` and `Value` move without throwing. `read` and its kin copy values, so that they need
/// copyable ones; `visit` and `modify` do not. `Value` need not be default-constructible.
///
/// *Exception safety*: strong for every verb: if it throws, nothing was changed (`modify` on a move-only
/// value of a store in memory excepted). Only `StorageError` of a persistent store differs; it says so.
///
/// *Complexity*: amortised O(1) for verbs on one key, which is hashed once.
///
/// ```cpp
/// kvstore::KeyValueStore<std::string, int> ages;
/// ages.create("alice", 30);
/// ages.modify("alice", [](int& age) { ++age; });
/// int age = ages.read("alice");
/// ages.remove("alice");
/// ```
template <class Key, class Value, class Hash = kvstore::Hash<Key>, class KeyEqual = std::equal_to<>>
class KeyValueStore {
 public:
  using key_type = Key;
  using mapped_type = Value;
  using Batch = WriteBatch<Key, Value>;
  /// What lookups take: `std::string_view` for string keys, else `const Key&`. A hash with a member type
  /// `lookup_type` chooses its own.
  using LookupKey = detail::LookupKey<Key, Hash>;

  KeyValueStore() : KeyValueStore(1, Hash{}, KeyEqual{}) {}
  explicit KeyValueStore(Hash hash, KeyEqual equal = KeyEqual{})
      : KeyValueStore(1, std::move(hash), std::move(equal)) {}
  KeyValueStore(const KeyValueStore&) = delete;
  KeyValueStore& operator=(const KeyValueStore&) = delete;
  virtual ~KeyValueStore() = default;

  /// Adds an entry.
  /// @throws DuplicateKeyError if the key exists; ValueError if the store persists and could not read it
  /// back.
  void create(Key key, Value value) {
    if (!insert_if_absent(key, value)) throw DuplicateKeyError{KeyText<Key>::for_message(key)};
  }

  /// Adds an entry unless the key exists. @returns whether it was added.
  bool try_create(Key key, Value value) { return insert_if_absent(key, value); }

  /// A copy of the value. @throws KeyNotFoundError
  [[nodiscard]] Value read(LookupKey key) const requires std::copy_constructible<Value> {
    if (std::optional<Value> value = try_read(key)) return *std::move(value);
    throw_not_found(key);
  }

  /// A copy of the value, or nothing if the key does not exist.
  [[nodiscard]] std::optional<Value> try_read(LookupKey key) const requires std::copy_constructible<Value> {
    std::optional<Value> result;
    look(Verb::read, key, [&](const Value& value) { result.emplace(value); });
    return result;
  }

  /// Replaces the value of an existing key. @throws KeyNotFoundError; ValueError as `create`.
  void update(LookupKey key, Value value) {
    if (!try_update(key, std::move(value))) throw_not_found(key);
  }

  /// Replaces the value if the key exists. @returns whether it did.
  bool try_update(LookupKey key, Value value) {
    checked(Verb::update, [&] { check_value(key, value); });
    return edit(Verb::update, key, [&](Table&, std::uint64_t hash, std::size_t position) {
      return Mutation::replace(hash, position, value);
    });
  }

  /// Removes an entry. @throws KeyNotFoundError
  void remove(LookupKey key) {
    if (!try_remove(key)) throw_not_found(key);
  }

  /// Removes the entry if the key exists. @returns whether it did.
  bool try_remove(LookupKey key) {
    return edit(Verb::remove, key, [](Table&, std::uint64_t hash, std::size_t position) {
      return Mutation::erase(hash, position);
    });
  }

  /// Replaces the value or adds an entry. @returns true if it was added. @throws ValueError as `create`.
  bool upsert(Key key, Value value) {
    checked(Verb::upsert, [&] { check_entry(key, value); });
    bool added = false;
    const std::uint64_t hash = hash_of(key);
    detail::CallbackScope::refuse_reentry(this);
    edit_table(Verb::upsert, hash, [&](Table& table) {
      const std::size_t position = find(table, hash, key);
      added = position == Table::kNone;
      return added ? Mutation::insert(hash, key, value) : Mutation::replace(hash, position, value);
    });
    return added;
  }

  /// Runs `fn(const Value&)` on the value without copying it. @returns false if the key does not exist.
  /// *Thread safety*: `fn` runs under the shared lock of the key's segment; calling this store from it throws
  /// `ReentryError`. The reference dies when `fn` returns.
  template <class Fn>
    requires std::invocable<Fn&, const Value&>
  bool visit(LookupKey key, Fn&& fn) const {
    return look(Verb::visit, key, [&](const Value& value) {
      const detail::CallbackScope scope{this};
      std::invoke(fn, value);
    });
  }

  /// Runs `fn(Value&)` on a copy of the value and puts the result back, as one atomic step. @returns false if
  /// the key does not exist. If `fn` throws, the entry stays as it was. A move-only value is modified in
  /// place (in a persistent store it is restored from its JSON if `fn` throws).
  /// *Thread safety*: `fn` runs under the exclusive lock of the key's segment; calling this store from it
  /// throws `ReentryError`.
  template <class Fn>
    requires std::invocable<Fn&, Value&>
  bool modify(LookupKey key, Fn&& fn) {
    std::optional<Value> changed;
    return edit(Verb::modify, key, [&](Table& table, std::uint64_t hash, std::size_t position) {
      changed = duplicate(table[position].value);
      {
        const detail::CallbackScope scope{this};
        std::invoke(fn, changed ? *changed : table.value(position));
      }
      if (!changed) return Mutation{};
      check_value(key, *changed);
      return Mutation::replace(hash, position, *changed);
    });
  }

  /// Replaces the value if it equals `expected`, as one atomic step. @returns whether it did; false also if
  /// the key does not exist. @throws ValueError as `create`.
  bool compare_exchange(LookupKey key, const Value& expected,
                        Value desired) requires std::equality_comparable<Value> {
    checked(Verb::compare_exchange, [&] { check_value(key, desired); });
    bool equal = false;
    edit(Verb::compare_exchange, key, [&](Table& table, std::uint64_t hash, std::size_t position) {
      equal = table[position].value == expected;
      return equal ? Mutation::replace(hash, position, desired) : Mutation{};
    });
    return equal;
  }

  /// Whether the key exists.
  [[nodiscard]] bool contains(LookupKey key) const {
    return look(Verb::contains, key, [](const Value&) {});
  }

  /// The number of entries. *Complexity*: O(segments). *Thread safety*: beside writers, a number that each
  /// segment had at some moment of the call.
  [[nodiscard]] std::size_t size() const {
    std::size_t total = 0;
    detail::CallbackScope::refuse_reentry(this);
    look_at_tables(Verb::size, [&](const Table& table) { total += table.size(); });
    return total;
  }

  /// Whether there is no entry; as `size`.
  [[nodiscard]] bool empty() const { return size() == 0; }

  /// Runs `fn(const Key&, const Value&)` on every entry, in no order. *Thread safety*: holds the shared lock
  /// of one segment at a time, so it is no point in time beside writers; `checkpoint` is. Calling this store
  /// from `fn` throws `ReentryError`.
  template <class Fn>
    requires std::invocable<Fn&, const Key&, const Value&>
  void for_each(Fn&& fn) const {
    detail::CallbackScope::refuse_reentry(this);
    look_at_tables(Verb::for_each, [&](const Table& table) {
      const detail::CallbackScope scope{this};
      for (const auto& entry : table.entries()) std::invoke(fn, entry.key, entry.value);
    });
  }

  /// Removes every entry, as one atomic step.
  void clear() {
    detail::CallbackScope::refuse_reentry(this);
    clear_tables();
  }

  /// Carries out every change of the batch, in order, or none of them. @throws DuplicateKeyError,
  /// KeyNotFoundError, ValueError: as the verbs do, and nothing was changed. *Thread safety*: atomic to
  /// other threads; holds the exclusive locks of the segments concerned. *Complexity*: O(size of the batch).
  void apply(Batch batch) {
    detail::CallbackScope::refuse_reentry(this);
    std::vector<std::uint64_t> hashes;
    hashes.reserve(batch.size());
    for (const auto& operation : batch.operations()) {
      if (operation.value) checked(Verb::apply, [&] { check_entry(operation.key, *operation.value); });
      hashes.push_back(hash_of(operation.key));
    }
    edit_tables(hashes, [&] { return planned(batch, hashes); });
  }

 protected:
  using Table = detail::DenseMap<Key, Value>;
  using Mutation = detail::Mutation<Key, Value>;

  // The primitives through which alone the verbs reach an entry. A derived store overrides them to lock,
  // capture, log, count and save; it repeats no verb. `verb` says for which one.

  /// Runs `fn`, which says whether it found what it looked for, on the table of `hash`, for reading.
  virtual bool look_at_table(Verb /*verb*/, std::uint64_t hash,
                             detail::FunctionRef<bool(const Table&)> fn) const {
    return fn(table_of(hash));
  }
  /// Runs `fn` on every table in turn, for reading.
  virtual void look_at_tables(Verb /*verb*/, detail::FunctionRef<void(const Table&)> fn) const {
    for (const Table& table : tables_) fn(table);
  }
  /// Carries out what `decide` decides on the table of `hash`.
  virtual void edit_table(Verb /*verb*/, std::uint64_t hash, detail::FunctionRef<Mutation(Table&)> decide) {
    Table& table = table_of(hash);
    const Mutation mutation = decide(table);
    if (mutation.kind == Mutation::Kind::insert) table.prepare_insert(1);
    mutation.perform(table);
  }
  /// Carries out what `decide` decides, which concerns the tables of `hashes` only: all of it or nothing.
  virtual void edit_tables(std::span<const std::uint64_t> /*hashes*/,
                           detail::FunctionRef<std::vector<Mutation>()> decide) {
    const std::vector<Mutation> mutations = decide();
    prepare_inserts(mutations);
    for (const Mutation& mutation : mutations) mutation.perform(table_of(mutation.hash));
  }
  /// Empties every table.
  virtual void clear_tables() {
    for (Table& table : tables_) table = Table{};
  }

  /// Refuses a key or value that a persistent store could not read back. @throws ValueError
  virtual void check_entry(const Key& /*key*/, const Value& /*value*/) const {}
  virtual void check_value(LookupKey /*key*/, const Value& /*value*/) const {}
  /// Takes that a check failed before a primitive was reached.
  virtual void note_failure(Verb /*verb*/) const noexcept {}

  KeyValueStore(std::size_t tables, Hash hash, KeyEqual equal)
      : tables_(tables), hash_{std::move(hash)}, equal_{std::move(equal)} {}

  [[nodiscard]] std::uint64_t hash_of(LookupKey key) const {
    const auto hash = static_cast<std::uint64_t>(hash_(key));
    if constexpr (requires { typename Hash::is_avalanching; })
      return hash;
    else
      return detail::mix(hash ^ detail::kSecret[2], detail::kSecret[3]);
  }
  // The middle of the hash chooses the table; the table itself uses the upper half.
  [[nodiscard]] std::size_t table_index(std::uint64_t hash) const noexcept {
    return static_cast<std::size_t>(hash >> 16) & (tables_.size() - 1);
  }
  [[nodiscard]] Table& table_of(std::uint64_t hash) noexcept { return tables_[table_index(hash)]; }
  [[nodiscard]] const Table& table_of(std::uint64_t hash) const noexcept {
    return tables_[table_index(hash)];
  }

  /// The segments' tables; a power of two of them, at most 65536.
  std::vector<Table>& tables() noexcept { return tables_; }
  const std::vector<Table>& tables() const noexcept { return tables_; }
  const KeyEqual& key_equal() const noexcept { return equal_; }

  /// Makes room in each table for what `mutations` will insert.
  void prepare_inserts(std::span<const Mutation> mutations) {
    std::vector<std::size_t> inserts(mutations.empty() ? 0 : tables_.size());
    for (const Mutation& mutation : mutations) {
      if (mutation.kind != Mutation::Kind::insert) continue;
      const std::size_t index = table_index(mutation.hash);
      tables_[index].prepare_insert(++inserts[index]);
    }
  }

  /// A copy of a value for `modify` to work on; nothing if the value must be modified where it stands.
  [[nodiscard]] virtual std::optional<Value> duplicate(const Value& value) const {
    if constexpr (std::copy_constructible<Value>)
      return value;
    else
      return std::nullopt;
  }

 private:
  template <class Probe>
  [[nodiscard]] std::size_t find(const Table& table, std::uint64_t hash, const Probe& key) const {
    return table.find(hash, [&](const Key& other) { return equal_(other, key); });
  }

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
  bool look(Verb verb, LookupKey key, const Fn& fn) const {
    const std::uint64_t hash = hash_of(key);
    detail::CallbackScope::refuse_reentry(this);
    return look_at_table(verb, hash, [&](const Table& table) {
      const std::size_t position = find(table, hash, key);
      if (position == Table::kNone) return false;
      fn(table[position].value);
      return true;
    });
  }

  /// Carries out what `decide(table, hash, position)` decides if the key exists. @returns whether it does.
  template <class Decide>
  bool edit(Verb verb, LookupKey key, const Decide& decide) {
    bool found = false;
    const std::uint64_t hash = hash_of(key);
    detail::CallbackScope::refuse_reentry(this);
    edit_table(verb, hash, [&](Table& table) {
      const std::size_t position = find(table, hash, key);
      found = position != Table::kNone;
      return found ? decide(table, hash, position) : Mutation{};
    });
    return found;
  }

  bool insert_if_absent(Key& key, Value& value) {
    checked(Verb::create, [&] { check_entry(key, value); });
    bool added = false;
    const std::uint64_t hash = hash_of(key);
    detail::CallbackScope::refuse_reentry(this);
    edit_table(Verb::create, hash, [&](Table& table) {
      added = find(table, hash, key) == Table::kNone;
      return added ? Mutation::insert(hash, key, value) : Mutation{};
    });
    return added;
  }

  [[nodiscard]] std::vector<Mutation> planned(Batch& batch, std::span<const std::uint64_t> hashes) const {
    detail::BatchPlan<Key, Value, KeyEqual> plan{equal_};
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      auto& operation = batch.operations()[i];
      plan.add(operation, hashes[i], find(table_of(hashes[i]), hashes[i], operation.key));
    }
    return plan.mutations();
  }

  [[noreturn]] static void throw_not_found(LookupKey key) {
    throw KeyNotFoundError{KeyText<Key>::for_message(key)};
  }

  std::vector<Table> tables_;
  Hash hash_;
  KeyEqual equal_;
};

}  // namespace kvstore::inline v0
