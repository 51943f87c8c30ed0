// SPDX-License-Identifier: MIT
#pragma once

// What a verb has decided to do to a table, apart from doing it: a store that persists puts its own steps
// (capture for a snapshot, log, count) between the decision and the deed, which cannot fail.

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

  static Mutation insert(std::uint64_t hash, Key& key, Value& value) noexcept {
    return {Kind::insert, Table::kNone, hash, &key, &value};
  }
  static Mutation replace(std::uint64_t hash, std::size_t position, Value& value) noexcept {
    return {Kind::replace, position, hash, nullptr, &value};
  }
  static Mutation erase(std::uint64_t hash, std::size_t position) noexcept {
    return {Kind::erase, position, hash, nullptr, nullptr};
  }

  /// What makes `value` that of a key, or removes the key if it is none; `position` says where the key is.
  static Mutation change(std::uint64_t hash, std::size_t position, Key& key,
                         std::optional<Value>& value) noexcept {
    const bool exists = position != Table::kNone;
    if (value) return exists ? replace(hash, position, *value) : insert(hash, key, *value);
    return exists ? erase(hash, position) : Mutation{};
  }

  explicit operator bool() const noexcept { return kind != Kind::none; }

  /// The key concerned, before perform().
  [[nodiscard]] const Key& key_in(const Table& table) const noexcept {
    return kind == Kind::insert ? *key : table[position].key;
  }

  /// Makes room and carries the decision out, where nothing else is to be done between the two. May throw;
  /// nothing has changed then.
  void apply(Table& table) const {
    if (kind == Kind::insert) table.prepare_insert(1);
    perform(table);
  }

  /// Carries the decision out. An insert needs `table.prepare_insert` before.
  void perform(Table& table) const noexcept {
    if (kind == Kind::replace)
      table.replace(position, *value);
    else
      insert_or_erase(table);
  }

 private:
  /// Out of line, so that replacing a value is a few instructions in the caller.
  [[gnu::noinline]] void insert_or_erase(Table& table) const noexcept {
    if (kind == Kind::insert)
      table.insert(hash, std::move(*key), std::move(*value));
    else if (kind == Kind::erase)
      table.erase(position);
  }
};

}}}  // namespace kvstore::v1::detail
