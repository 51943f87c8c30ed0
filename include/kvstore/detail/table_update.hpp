// SPDX-License-Identifier: MIT
#pragma once

// What a store that follows another process is to change: collected without a lock, applied in one step.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/dense_map.hpp"
#include "kvstore/detail/value_loader.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

template <class Key, class Value, class HashOf, class KeyEqual>
class TableUpdate final : public LoadSink {
 public:
  using Table = DenseMap<Key, Value>;

  /// `stored_version` is that of what was loaded before. `options` and `path` outlive it.
  TableUpdate(HashOf hash_of, KeyEqual equal, const Options& options, const std::filesystem::path& path,
              std::uint32_t stored_version)
      : LoadSink{{.purpose = LoadPurpose::follow, .integer_keys = kIntegerKey<Key>}},
        hash_of_{std::move(hash_of)},
        equal_{std::move(equal)},
        values_{options, path} {
    values_.stored_version(stored_version);
  }

  void expect(std::uint64_t) override {}
  void schema_version(std::uint32_t stored) override { values_.stored_version(stored); }
  void put(std::string_view key, std::string_view value) override { change({key, value}); }
  void finish() override {}

  void change(const Change& change) override {
    Key key = KeyText<Key>::parse(change.key);
    const std::uint64_t hash = hash_of_(key);
    std::optional<Value> value;
    if (change.value) value = values_.parse(change.key, *change.value);
    steps_.push_back({hash, std::move(key), std::move(value)});
  }

  void clear() override {
    steps_.clear();
    cleared_ = true;
  }

  [[nodiscard]] bool empty() const noexcept { return !cleared_ && steps_.empty(); }

  /// Carries it out; under the locks of all tables. If it throws std::bad_alloc, part of it was.
  template <class TableOf>
  void apply(const TableOf& table_of, std::vector<Table>& tables) {
    if (cleared_) {
      for (Table& table : tables) table = Table{};
    }
    for (Step& step : steps_) apply(table_of(step.hash), step);
  }

 private:
  struct Step {
    std::uint64_t hash;
    Key key;
    std::optional<Value> value;  // none = removed
  };

  void apply(Table& table, Step& step) {
    const std::size_t position =
        table.find(step.hash, [&](const Key& other) { return equal_(other, step.key); });
    const bool exists = position != Table::kNone;
    if (!step.value) {
      if (exists) table.erase(position);
    } else if (exists) {
      table.replace(position, *step.value);
    } else {
      table.prepare_insert(1);
      table.insert(step.hash, std::move(step.key), std::move(*step.value));
    }
  }

  HashOf hash_of_;
  KeyEqual equal_;
  ValueLoader<Value> values_;
  std::vector<Step> steps_;
  bool cleared_ = false;
};

}  // namespace kvstore::inline v0::detail
