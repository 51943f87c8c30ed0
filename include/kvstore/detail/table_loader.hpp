// SPDX-License-Identifier: MIT
#pragma once

// Fills the tables of a store that opens: entries first, straight into their segment's vector, then each
// index in one pass.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/codec.hpp"
#include "kvstore/detail/dense_map.hpp"
#include "kvstore/detail/json_reader.hpp"
#include "kvstore/detail/json_writer.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

inline constexpr std::size_t kDefaultSegments = 256;
inline constexpr std::size_t kMostSegments = 65536;

template <class Key, class Value, class HashOf, class KeyEqual>
class TableLoader final : public LoadSink {
 public:
  using Table = DenseMap<Key, Value>;

  /// `segments` = 0 leaves the number to what comes. `hash_of` maps a key to its mixed hash.
  TableLoader(std::size_t segments, HashOf hash_of, KeyEqual equal,
              const std::function<void(const Progress&)>& progress)
      : fixed_{segments != 0},
        tables_(std::bit_ceil(fixed_ ? segments : kDefaultSegments)),
        hash_of_{std::move(hash_of)},
        equal_{std::move(equal)},
        progress_{progress} {}

  void expect(std::uint64_t bytes) override {
    constexpr std::uint64_t kSegmentBytes = std::uint64_t{256} << 10;
    if (fixed_ || entries_ != 0) return;
    const std::uint64_t wanted =
        std::clamp<std::uint64_t>(bytes / kSegmentBytes, kDefaultSegments, kMostSegments);
    tables_.resize(std::bit_ceil(static_cast<std::size_t>(wanted)));
  }

  void put(std::string_view key_text, std::string_view value_text) override {
    Key key = KeyText<Key>::parse(key_text);
    JsonReader reader{value_text};
    Value value = Codec<Value>::decode(reader);
    reader.finish();
    const std::uint64_t hash = hash_of_(key);
    tables_[(hash >> 16) & (tables_.size() - 1)].append(hash, std::move(key), std::move(value));
    ++entries_;
    bytes_ += key_text.size() + value_text.size();
    if (entries_ % 4096 == 0) report(false);
  }

  void finish() override {
    if (std::exchange(finished_, true)) return;
    for (Table& table : tables_) {
      const std::size_t twice = table.build_index(equal_);
      if (twice != Table::kNone) throw DuplicateEntryError{text_of(table[twice].key)};
    }
    report(true);
  }

  [[nodiscard]] std::vector<Table> take() && { return std::move(tables_); }
  [[nodiscard]] std::uint64_t entries() const noexcept { return entries_; }

 private:
  void report(bool finished) const {
    if (progress_) progress_({Progress::Phase::load, entries_, bytes_, finished});
  }

  [[nodiscard]] static std::string text_of(const Key& key) {
    JsonWriter text;
    KeyText<Key>::append(key, text);
    return std::string{text.text()};
  }

  bool fixed_;
  std::vector<Table> tables_;
  HashOf hash_of_;
  KeyEqual equal_;
  const std::function<void(const Progress&)>& progress_;
  std::uint64_t entries_ = 0;
  std::uint64_t bytes_ = 0;
  bool finished_ = false;
};

}  // namespace kvstore::inline v0::detail
