// SPDX-License-Identifier: MIT
#pragma once

// The two ends of a storage as plain lists: the entries that a store would save, and the entries that a load
// delivers.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/storage.hpp"

namespace support {

/// Keys and the JSON text of their values, in order.
using TextEntries = std::vector<std::pair<std::string, std::string>>;

/// Keeps the entries of a load. Checks values and keys as strictly as a store does.
class CollectingSink : public kvstore::LoadSink {
 public:
  void schema_version(std::uint32_t stored) override { version = stored; }
  void expect(std::uint64_t bytes) override { expected_bytes = bytes; }

  void put(std::string_view key, std::string_view value) override {
    kvstore::JsonReader reader{value};
    reader.skip_value();
    reader.finish();
    entries.emplace_back(key, value);
  }

  void finish() override {
    if (finished) return;
    std::unordered_set<std::string> keys;
    for (const auto& entry : entries) {
      if (!keys.insert(entry.first).second) throw kvstore::DuplicateEntryError{entry.first};
    }
    finished = true;
  }

  /// Keeps the order in which the keys came first.
  void change(const kvstore::Change& change) override {
    finish();
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [&](const auto& entry) { return entry.first == change.key; });
    if (!change.value) {
      if (found != entries.end()) entries.erase(found);
    } else if (found != entries.end()) {
      found->second = *change.value;
    } else {
      put(change.key, *change.value);
    }
  }

  void clear() override {
    finish();
    entries.clear();
  }

  TextEntries entries;
  std::uint32_t version = 0;
  std::uint64_t expected_bytes = 0;
  bool finished = false;
};

/// Passes a list to a storage.
class ListSource : public kvstore::ChangeSource {
 public:
  explicit ListSource(TextEntries entries) : entries_{std::move(entries)} {}

  bool next(kvstore::Change& change) override {
    if (next_ == entries_.size()) return false;
    const auto& entry = entries_[next_++];
    change = {entry.first, entry.second};
    return true;
  }

 private:
  TextEntries entries_;
  std::size_t next_ = 0;
};

inline void save_to(kvstore::Storage& storage, const TextEntries& entries) {
  ListSource source{entries};
  storage.save(source);
}

[[nodiscard]] inline TextEntries sorted(TextEntries entries) {
  std::sort(entries.begin(), entries.end());
  return entries;
}

inline TextEntries load_from(kvstore::Storage& storage) {
  CollectingSink sink;
  storage.load({}, sink);
  return sink.entries;
}

}  // namespace support
