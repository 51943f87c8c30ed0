// SPDX-License-Identifier: MIT
#pragma once

// A verb's decision about a table, separate from its execution. A persistent store puts its own steps
// (capture for a snapshot, log, count) between the decision and the execution, which cannot fail.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "kvstore/detail/table/dense_map.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether `value` can be assigned to `old` without memory, and without keeping much more than it needs.
template <class Value>
[[nodiscard]] bool fits_in_place(const Value& old, const Value& value) noexcept {
  if constexpr (std::is_same_v<Value, std::string>) {
    constexpr std::size_t kSpare = 64;  // bytes
    return value.size() <= old.capacity() && old.capacity() <= 2 * value.size() + kSpare;
  } else {
    return std::is_trivially_copyable_v<Value> && std::is_nothrow_copy_assignable_v<Value>;
  }
}
template <class Value>
void assign_in_place(Value& old, const Value& value) noexcept {
  if constexpr (std::is_copy_assignable_v<Value>) old = value;
}

/// The entry that an operation will set, unless it finds that it must not. `CheckedKey` is a key or a view of
/// one.
template <class CheckedKey, class Value>
struct Intended {
  CheckedKey key;
  const Value* value;
};

template <class Key, class Value>
struct Mutation {
  enum class Kind : std::uint8_t { none, insert, replace, assign, erase };
  using Table = DenseMap<Key, Value>;

  Kind kind = Kind::none;
  std::size_t position = Table::kNone;  // of the entry to change or erase
  std::uint64_t hash = 0;               // of the key
  Key* key = nullptr;                   // of the entry to insert: moved from by perform()
  Value* value = nullptr;               // of the entry to insert or replace: moved from by perform()
  SeededHash<Key> seeded = nullptr;     // for an insert
  const Value* source = nullptr;        // to assign to the entry's value, which has room for it

  static Mutation insert(std::uint64_t hash, Key& key, Value& value, SeededHash<Key> seeded) noexcept {
    return {Kind::insert, Table::kNone, hash, &key, &value, seeded, nullptr};
  }
  static Mutation replace(std::uint64_t hash, std::size_t position, Value& value) noexcept {
    return {Kind::replace, position, hash, nullptr, &value, nullptr, nullptr};
  }
  /// Needs `fits_in_place`.
  static Mutation assign(std::uint64_t hash, std::size_t position, const Value& value) noexcept {
    return {Kind::assign, position, hash, nullptr, nullptr, nullptr, &value};
  }
  static Mutation erase(std::uint64_t hash, std::size_t position) noexcept {
    return {Kind::erase, position, hash, nullptr, nullptr, nullptr, nullptr};
  }

  /// Sets the value of a key to `value`, or removes the key if there is none; `position` is that of the key.
  static Mutation change(std::uint64_t hash, std::size_t position, Key& key, std::optional<Value>& value,
                         SeededHash<Key> seeded) noexcept {
    const bool exists = position != Table::kNone;
    if (value) return exists ? replace(hash, position, *value) : insert(hash, key, *value, seeded);
    return exists ? erase(hash, position) : Mutation{};
  }

  explicit operator bool() const noexcept { return kind != Kind::none; }

  /// Whether an existing entry gets another value, or none.
  [[nodiscard]] bool changes_entry() const noexcept {
    return kind == Kind::replace || kind == Kind::assign || kind == Kind::erase;
  }
  /// The new value of the entry, before perform(); not of an erased one.
  [[nodiscard]] const Value& new_value() const noexcept { return source != nullptr ? *source : *value; }

  /// The key concerned, before perform().
  [[nodiscard]] const Key& key_in(const Table& table) const noexcept {
    return kind == Kind::insert ? *key : table.entry(position, hash).key;
  }

  /// Makes room and performs the mutation, for a store without steps of its own between the two. May throw;
  /// then nothing has changed.
  void apply(Table& table) const {
    if (kind == Kind::insert) table.prepare_insert(1);
    perform(table);
  }

  /// Performs the mutation. An insert needs `table.prepare_insert` first.
  void perform(Table& table) const noexcept {
    if (kind == Kind::replace)
      table.replace(position, *value, hash);
    else
      insert_or_erase(table);
  }

 private:
  /// Out of line, so that replacing a value is a few instructions in the caller.
  [[gnu::noinline]] void insert_or_erase(Table& table) const noexcept {
    if (kind == Kind::insert)
      table.insert(hash, std::move(*key), std::move(*value), seeded);
    else if (kind == Kind::erase)
      table.erase(position);
    else if (kind == Kind::assign)
      assign_in_place(table.value(position), *source);
  }
};

}}}  // namespace kvstore::v1::detail
