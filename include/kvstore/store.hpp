// SPDX-License-Identifier: MIT
#pragma once

// The concept of a store, wherever its data is: functions written against it run on every store.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <concepts>
#include <cstddef>
#include <optional>

#include "kvstore/write_batch.hpp"

namespace kvstore { inline namespace v1 {

/// A store of `Value` by `Key`, in memory, in a file, or on another machine. The verbs mean the same
/// everywhere, and throw the same errors. Each store makes its own promises about threads, crashes and other
/// machines.
///
/// ```cpp
/// template <kvstore::Store<std::string, int> Counters>
/// void count(Counters& counters, const std::string& name) {
///   if (!counters.modify(name, [](int& n) { ++n; })) counters.upsert(name, 1);
/// }
/// ```
template <class S, class Key, class Value>
concept Store =
    requires(S& store, const S& view, const Key& key, const Value& value, const WriteBatch<Key, Value>& batch,
             void (*see)(const Value&), void (*change)(Value&), void (*each)(const Key&, const Value&)) {
      store.create(key, value);
      { store.try_create(key, value) } -> std::same_as<bool>;
      { view.read(key) } -> std::same_as<Value>;
      { view.try_read(key) } -> std::same_as<std::optional<Value>>;
      store.update(key, value);
      { store.try_update(key, value) } -> std::same_as<bool>;
      store.remove(key);
      { store.try_remove(key) } -> std::same_as<bool>;
      { store.upsert(key, value) } -> std::same_as<bool>;
      { view.visit(key, see) } -> std::same_as<bool>;
      { store.modify(key, change) } -> std::same_as<bool>;
      { store.upsert_with(key, value, change) } -> std::same_as<bool>;
      { store.compare_exchange(key, value, value) } -> std::same_as<bool>;
      store.apply(batch);
      store.clear();
      { view.contains(key) } -> std::same_as<bool>;
      { view.size() } -> std::convertible_to<std::size_t>;
      { view.empty() } -> std::same_as<bool>;
      view.for_each(each);
    };

}}  // namespace kvstore::v1
