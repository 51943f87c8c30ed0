// SPDX-License-Identifier: MIT
#pragma once

// A verb's decision about a table, separate from its execution. A persistent store puts its own steps
// (capture for a snapshot, log, count) between the decision and the execution, which cannot fail.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "kvstore/detail/table/dense_map.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Key, class Value>
struct Mutation {
  enum class Kind : std::uint8_t { none, insert, replace, erase };
  using Table = DenseMap<Key, Value>;

  Kind kind = Kind::none;
  std::size_t position = Table::kNone;  // of the entry to replace or erase
  std::uint64_t hash = 0;               // of the key
  Key* key = nullptr;                   // of the entry to insert: moved from by perform()
  Value* value = nullptr;               // of the entry to insert or replace: moved from by perform()
  SeededHash<Key> seeded = nullptr;     // for an insert

  static Mutation insert(std::uint64_t hash, Key& key, Value& value, SeededHash<Key> seeded) noexcept {
    return {Kind::insert, Table::kNone, hash, &key, &value, seeded};
  }
  static Mutation replace(std::uint64_t hash, std::size_t position, Value& value) noexcept {
    return {Kind::replace, position, hash, nullptr, &value, nullptr};
  }
  static Mutation erase(std::uint64_t hash, std::size_t position) noexcept {
    return {Kind::erase, position, hash, nullptr, nullptr, nullptr};
  }

  /// Sets the value of a key to `value`, or removes the key if there is none; `position` is that of the key.
  static Mutation change(std::uint64_t hash, std::size_t position, Key& key, std::optional<Value>& value,
                         SeededHash<Key> seeded) noexcept {
    const bool exists = position != Table::kNone;
    if (value) return exists ? replace(hash, position, *value) : insert(hash, key, *value, seeded);
    return exists ? erase(hash, position) : Mutation{};
  }

  explicit operator bool() const noexcept { return kind != Kind::none; }

  /// The number of entries by which the table becomes larger.
  [[nodiscard]] std::int64_t growth() const noexcept {
    if (kind == Kind::insert) return 1;
    return kind == Kind::erase ? -1 : 0;
  }

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
  }
};

}}}  // namespace kvstore::v1::detail
