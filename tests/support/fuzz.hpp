// SPDX-License-Identifier: MIT
#pragma once

// The parts that the fuzz targets share.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "kvstore/codec.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/detail/store/table_loader.hpp"
#include "kvstore/detail/table/key_hasher.hpp"
#include "kvstore/hash.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"
#include "support/text_entries.hpp"

namespace support {

/// Checks a requirement of a fuzz target. Aborts if it does not hold, so that the fuzzer keeps the input.
inline void require(bool holds, const std::string& words) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", words.c_str());
  std::abort();
}

using JsonContents = std::map<std::string, nlohmann::json>;

/// Loads as a store of `nlohmann::json` values does. @throws the exceptions of the storage and of the store
inline JsonContents load_json(kvstore::Storage& storage) {
  using Hasher = kvstore::detail::KeyHasher<std::string, kvstore::Hash<std::string>>;
  const kvstore::Hash<std::string> hash;
  const kvstore::Options options;
  const kvstore::detail::Observer observer{options, storage.path()};
  kvstore::detail::TableLoader<std::string, nlohmann::json, Hasher, std::equal_to<>> loader{
      1, Hasher{hash}, {}, options, observer};
  storage.load({}, loader);
  loader.finish();
  JsonContents contents;
  const auto tables = std::move(loader).take();
  for (const auto& table : tables) {
    for (const auto& entry : table.entries()) contents.emplace(entry.key, entry.value);
  }
  require(contents.size() == tables[0].size(), "each key is there once");
  return contents;
}

/// The entries that a store with these contents would pass to a storage.
inline TextEntries text_entries(const JsonContents& contents) {
  TextEntries entries;
  for (const auto& [key, value] : contents) {
    kvstore::JsonWriter out;
    kvstore::Codec<nlohmann::json>::encode(value, out);
    entries.emplace_back(key, out.text());
  }
  return entries;
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace support
