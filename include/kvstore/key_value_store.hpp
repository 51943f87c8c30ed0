// SPDX-License-Identifier: MIT
#pragma once

// The store's verbs, written once. BatchPersistentKeyValueStore is the store that many threads share and that
// survives a restart.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/detail/base/callback.hpp"
#include "kvstore/detail/base/key_range.hpp"
#include "kvstore/detail/table/reentry.hpp"
#include "kvstore/detail/table/table_store.hpp"
#include "kvstore/detail/table/text_value.hpp"
#include "kvstore/error.hpp"
#include "kvstore/hash.hpp"  // IWYU pragma: export
#include "kvstore/key_text.hpp"
#include "kvstore/kvstore_fwd.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/write_batch.hpp"

namespace kvstore { inline namespace v1 {

/// A map in memory with clear verbs and clear errors.
///
/// *Thread safety*: one thread at a time, like a standard container. The persistent store, which derives from
/// this class, may be used from any thread, also through a reference to this class.
///
/// *Requirements*: `Key` and `Value` move without throwing. `read` and its variants copy values, so they need
/// a copyable `Value`; `visit` and `modify` do not. `Value` need not be default-constructible.
///
/// *Exception safety*: strong for every verb: if it throws, nothing was changed (except by `modify` on a
/// move-only value of a store in memory). The one exception is `StorageError` of a persistent store, as
/// documented at its class.
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
///
/// `Hash` is by default `kvstore::Hash<Key>`, and `KeyEqual` `std::equal_to<>`.
template <class Key, class Value, class Hash, class KeyEqual>
class KeyValueStore : protected detail::TableStore<Key, Value, Hash, KeyEqual> {
  using Base = detail::TableStore<Key, Value, Hash, KeyEqual>;

 public:
  using key_type = Key;                  ///< as the standard's maps call it
  using mapped_type = Value;             ///< as the standard's maps call it
  using Batch = WriteBatch<Key, Value>;  ///< what `apply` takes
  /// What lookups take: `std::string_view` for string keys, otherwise `const Key&`. A hash with a member type
  /// `lookup_type` chooses its own.
  using LookupKey = typename Base::LookupKey;
  /// The type of a new entry's key: a `Key`; for string keys anything that can be viewed as a string, which
  /// is copied only if the entry is added.
  using KeyArgument = typename Base::KeyArgument;

  /// Empty.
  KeyValueStore() : KeyValueStore(1, Hash{}, KeyEqual{}) {}
  /// Empty, with a hash and a comparison that carry state.
  explicit KeyValueStore(Hash hash, KeyEqual equal = KeyEqual{})
      : KeyValueStore(1, std::move(hash), std::move(equal)) {}

  /// Adds an entry.
  /// @throws DuplicateKeyError if the key exists; ValueError if the store persists and could not read the
  /// entry back.
  void create(KeyArgument key, Value value) {
    if (!add_new(key, value)) throw_duplicate(key);
  }

  /// Adds an entry unless the key exists. @returns whether it was added; otherwise `value` is as it was.
  bool try_create(KeyArgument key, Value&& value) { return add_new(key, value); }
  /// The same, with a copy of the value.
  bool try_create(KeyArgument key, const Value& value)
    requires std::copy_constructible<Value>
  {
    Value copy(value);
    return add_new(key, copy);
  }

  /// A copy of the value. @throws KeyNotFoundError
  [[nodiscard]] Value read(LookupKey key) const
    requires std::copy_constructible<Value>
  {
    if (std::optional<Value> value = try_read(key)) return *std::move(value);
    throw_not_found(key);
  }

  /// A copy of the value, or nothing if the key does not exist.
  [[nodiscard]] std::optional<Value> try_read(LookupKey key) const
    requires std::copy_constructible<Value>
  {
    std::optional<Value> result;
    read_entry(Verb::read, key, [&](const Value& value) { result.emplace(value); });
    return result;
  }

  /// Copies of the values of many keys, in their order: `read_many(keys)`, or `read_many({"a", "b"})`. Faster
  /// than single reads from a few keys on, since the cache misses of sixteen keys overlap. Each value is from
  /// some moment during the call; together they are not a snapshot. *Thread safety*: holds the shared locks
  /// of up to sixteen segments, but never waits for one while holding another.
  template <detail::KeyRange<Key, LookupKey> Keys = std::initializer_list<std::remove_cvref_t<LookupKey>>>
  [[nodiscard]] std::vector<std::optional<Value>> read_many(const Keys& keys) const
    requires std::copy_constructible<Value>
  {
    std::vector<std::optional<Value>> values(
        static_cast<std::size_t>(std::ranges::distance(std::ranges::begin(keys), std::ranges::end(keys))));
    read_entries(Verb::read, keys,
                 [&](std::size_t index, const Value& value) { values[index].emplace(value); });
    return values;
  }

  /// Replaces the value of an existing key. @throws KeyNotFoundError; ValueError as `create`.
  void update(LookupKey key, Value value) {
    if (!try_update(key, std::move(value))) throw_not_found(key);
  }

  /// Replaces the value if the key exists. @returns whether it did; otherwise `value` is as it was.
  bool try_update(LookupKey key, Value&& value) { return replace(key, value); }
  /// The same, with a copy of the value.
  bool try_update(LookupKey key, const Value& value)
    requires std::copy_constructible<Value>
  {
    Value copy(value);
    return replace(key, copy);
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

  /// Replaces the value or adds an entry. @returns true if an entry was added. @throws ValueError as
  /// `create`.
  bool upsert(KeyArgument key, Value value) { return set(key, value); }

  /// The same for text that is no string yet, in a store of strings: `upsert(key, std::string_view{line})`.
  /// The text is copied into the memory of a value that the thread has replaced before, if that fits, so
  /// that replacing values allocates nothing.
  template <class Text>
    requires detail::TextFor<Value, Text>
  bool upsert(KeyArgument key, const Text& text) {
    detail::TextValue<Value> value{text};
    return set(key, *value);
  }

  /// Runs `fn(Value&)` on the value as `modify` does, or adds `initial` if the key does not exist, as one
  /// atomic step: `counts.upsert_with("a", 1, [](int& n) { ++n; })`. @returns true if an entry was added.
  /// @throws ValueError as `create`; the exceptions of `fn`, and then nothing was changed.
  template <class Fn>
    requires std::invocable<Fn&, Value&>
  bool upsert_with(KeyArgument key, Value initial, Fn&& fn) {
    std::optional<Value> changed;
    return add(Verb::upsert, key, initial, [&](Table& table, std::uint64_t hash, std::size_t position) {
      return change(table, hash, position, Base::view_of(key), fn, changed).mutation;
    });
  }

  /// Runs `fn(const Value&)` on the value without copying it. @returns false if the key does not exist.
  /// *Thread safety*: `fn` runs while writers of the key's segment are kept out; calling this store from `fn`
  /// throws `ReentryError`. The reference is valid only until `fn` returns.
  template <class Fn>
    requires std::invocable<Fn&, const Value&>
  bool visit(LookupKey key, Fn&& fn) const {
    return read_entry(Verb::visit, key, [&](const Value& value) {
      const detail::CallbackScope scope{this};
      std::invoke(fn, value);
    });
  }

  /// Runs `fn(index, const Value&)` for each existing key of many, without copying, in unspecified order;
  /// `index` is the key's position in `keys`. @returns how many keys exist. Otherwise as `read_many` and
  /// `visit`.
  template <detail::KeyRange<Key, LookupKey> Keys = std::initializer_list<std::remove_cvref_t<LookupKey>>,
            class Fn>
    requires std::invocable<Fn&, std::size_t, const Value&>
  std::size_t visit_many(const Keys& keys, Fn&& fn) const {
    return read_entries(Verb::visit, keys, [&](std::size_t index, const Value& value) {
      const detail::CallbackScope scope{this};
      std::invoke(fn, index, value);
    });
  }

  /// Runs `fn(Value&)` on a copy of the value and stores the result, as one atomic step. A function that
  /// returns `false` (as a `bool`, no other type) changes nothing: nothing is logged, saved or counted as
  /// applied. @returns whether the result was stored; false also if the key does not exist. If `fn` throws,
  /// the entry is unchanged. In a store in memory, a move-only value is modified in place, whatever `fn`
  /// throws or returns.
  /// *Thread safety*: `fn` runs under the exclusive lock of the key's segment; calling this store from `fn`
  /// throws `ReentryError`.
  template <class Fn>
    requires std::invocable<Fn&, Value&>
  bool modify(LookupKey key, Fn&& fn) {
    std::optional<Value> changed;
    bool stored = false;
    edit(Verb::modify, key, [&](Table& table, std::uint64_t hash, std::size_t position) {
      const Changed made = change(table, hash, position, key, fn, changed);
      stored = made.wanted;
      return made.mutation;
    });
    return stored;
  }

  /// Removes the entry if `wanted(const Value&)` returns true for its value, as one atomic step. @returns
  /// whether it did; false also if the key does not exist. *Thread safety*: as `modify`.
  template <class Fn>
    requires std::predicate<Fn&, const Value&>
  bool remove_if(LookupKey key, Fn&& wanted) {
    bool removed = false;
    edit(Verb::remove, key, [&](Table& table, std::uint64_t hash, std::size_t position) {
      const detail::CallbackScope scope{this};
      removed = std::invoke(wanted, table.entry(position, hash).value);
      return removed ? Mutation::erase(hash, position) : Mutation{};
    });
    return removed;
  }

  /// Removes every entry for which `wanted(const Key&, const Value&)` returns true. @returns how many.
  /// `wanted` is asked twice about each entry that goes: the second time decides, under the exclusive lock of
  /// the entry's segment. Each removal is atomic by itself, all together are not. *Complexity*: O(entries)
  template <class Fn>
    requires std::predicate<Fn&, const Key&, const Value&> && std::copy_constructible<Key>
  std::size_t erase_if(Fn&& wanted) {
    std::vector<Key> keys;
    for_each([&](const Key& key, const Value& value) {
      if (std::invoke(wanted, key, value)) keys.push_back(key);
    });
    std::size_t removed = 0;
    for (const Key& key : keys) {
      removed += remove_if(key, [&](const Value& value) -> bool { return std::invoke(wanted, key, value); });
    }
    return removed;
  }

  /// Replaces the value if it equals `expected`, as one atomic step. @returns whether it did; false also if
  /// the key does not exist. @throws ValueError as `create`.
  bool compare_exchange(LookupKey key, const Value& expected, Value desired)
    requires std::equality_comparable<Value>
  {
    checked(Verb::compare_exchange, [&] { this->check_value(key, desired); });
    bool equal = false;
    edit(Verb::compare_exchange, key, [&](Table& table, std::uint64_t hash, std::size_t position) {
      equal = table.entry(position, hash).value == expected;
      return equal ? Mutation::replace(hash, position, desired) : Mutation{};
    });
    return equal;
  }

  /// Whether the key exists.
  [[nodiscard]] bool contains(LookupKey key) const {
    return read_entry(Verb::contains, key, [](const Value&) {});
  }

  /// The number of entries. *Complexity*: O(segments). *Thread safety*: while others write, each segment is
  /// counted at some moment of its own during the call.
  [[nodiscard]] std::size_t size() const {
    std::size_t total = 0;
    detail::CallbackScope::check_reentry(this);
    this->for_each_table(Verb::size, [&](const Table& table) { total += table.size(); });
    return total;
  }

  /// Whether there is no entry; as `size`.
  [[nodiscard]] bool empty() const { return size() == 0; }

  /// Runs `fn(const Key&, const Value&)` on every entry, in unspecified order, or until `fn` returns `false`
  /// (as a `bool`, no other type). *Thread safety*: holds the
  /// shared lock of one segment at a time. While others write, the entries are not a snapshot; `checkpoint`
  /// writes one. Calling this store from `fn` throws `ReentryError`.
  template <class Fn>
    requires std::invocable<Fn&, const Key&, const Value&>
  void for_each(Fn&& fn) const {
    detail::CallbackScope::check_reentry(this);
    bool goes_on = true;
    this->for_each_table(Verb::for_each, [&](const Table& table) {
      if (!goes_on) return;
      const detail::CallbackScope scope{this};
      for (const auto& entry : table.entries()) {
        goes_on = detail::run_unless_false(fn, entry.key, entry.value);
        if (!goes_on) return;
      }
    });
  }

  /// A store has no iterators: another thread may change it between two steps. Use `for_each`.
  void begin() const = delete;  // a store has no iterators: use for_each, or read_many for some keys
  void end() const = delete;    ///< as `begin`
  /// No references leave a store. Use `read`, `try_read`, `upsert` or `modify`.
  template <class Lookup>
  void operator[](const Lookup&) const = delete;  // a store has no [ ]: use read, try_read, upsert or modify

  /// Removes every entry, as one atomic step.
  void clear() {
    detail::CallbackScope::check_reentry(this);
    this->clear_tables();
  }

  /// Carries out every change of the batch, in order, or none of them. @throws DuplicateKeyError,
  /// KeyNotFoundError, ValueError as the verbs do; then nothing was changed. *Thread safety*: atomic for
  /// other threads; holds the exclusive locks of the segments concerned. *Complexity*: O(size of the batch).
  void apply(const Batch& batch)
    requires std::copy_constructible<Value>
  {
    this->apply_all(batch.operations());
  }
  /// The same, and moves from the batch, which is empty then. If nothing was changed, it is as before.
  void apply(Batch&& batch) { this->apply_all(batch.operations()); }

  /// Sets the value of each key, as `upsert` does: `upsert_many({{"a", 1}, {"b", 2}})`, or any range of
  /// pairs. Of equal keys, the last one counts. Each entry is set atomically, all together are not: see
  /// `apply`. If this throws, the entries before those of the error may be set. Faster than single calls, as
  /// `read_many`, and a journal gets one line for many. @throws ValueError as `create`. *Thread safety*:
  /// holds the exclusive locks of the segments of up to 256 entries. *Complexity*: O(entries).
  template <detail::EntryRange<Key, Value> Entries = std::initializer_list<std::pair<Key, Value>>>
  void upsert_many(const Entries& entries)
    requires std::copy_constructible<Key> && std::copy_constructible<Value>
  {
    this->upsert_all(entries);
  }

 protected:
  using Base::add;
  using Base::checked;
  using Base::edit;
  using Base::hash_of;
  using Base::hasher;
  using Base::read_entries;
  using Base::read_entry;
  using typename Base::Hasher;
  using typename Base::Intended;
  using typename Base::Mutation;
  using typename Base::Table;

  KeyValueStore(std::size_t tables, Hash hash, KeyEqual equal)
      : Base(tables, std::move(hash), std::move(equal)) {}

 private:
  bool add_new(KeyArgument& key, Value& value) {
    return add(Verb::create, key, value, [](Table&, std::uint64_t, std::size_t) { return Mutation{}; });
  }
  bool set(KeyArgument& key, Value& value) {
    return add(Verb::upsert, key, value, [&](Table&, std::uint64_t hash, std::size_t position) {
      return Mutation::replace(hash, position, value);
    });
  }
  bool replace(LookupKey key, Value& value) {
    checked(Verb::update, [&] { this->check_value(key, value); });
    return edit(Verb::update, key, [&](Table&, std::uint64_t hash, std::size_t position) {
      return Mutation::replace(hash, position, value);
    });
  }
  struct Changed {
    Mutation mutation;
    bool wanted;
  };
  /// The change that `fn` makes of the value at `position`; the mutation points to `changed`.
  template <class Fn>
  Changed change(Table& table, std::uint64_t hash, std::size_t position, LookupKey key, Fn& fn,
                 std::optional<Value>& changed) {
    changed = this->duplicate(table.entry(position, hash).value);
    bool wanted = false;
    {
      const detail::CallbackScope scope{this};
      wanted = detail::run_change(fn, changed ? *changed : table.value(position));
    }
    if (!wanted || !changed) return {Mutation{}, wanted};
    this->check_value(key, *changed);
    return {Mutation::replace(hash, position, *changed), true};
  }

  [[noreturn]] static void throw_not_found(LookupKey key) {
    throw KeyNotFoundError{KeyText<Key>::for_message(key)};
  }
  [[noreturn]] static void throw_duplicate(const KeyArgument& key) {
    throw DuplicateKeyError{KeyText<Key>::for_message(Base::view_of(key))};
  }
};

}}  // namespace kvstore::v1
