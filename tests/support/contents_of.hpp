// SPDX-License-Identifier: MIT
#pragma once

#include <map>

#include "kvstore/key_value_store.hpp"

namespace support {

/// The entries of a store.
template <class Key, class Value, class Hash, class KeyEqual>
[[nodiscard]] std::map<Key, Value> contents_of(
    const kvstore::KeyValueStore<Key, Value, Hash, KeyEqual>& store) {
  std::map<Key, Value> contents;
  store.for_each([&](const Key& key, const Value& value) { contents.emplace(key, value); });
  return contents;
}

}  // namespace support
