// SPDX-License-Identifier: MIT
#pragma once

// The tables of a store. The hash of a key selects its table.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/mutation.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// A power of two of tables, at most 65536. Once threads use the store, tables change, but their number and
/// addresses do not.
template <class Key, class Value>
class Tables {
 public:
  using Table = DenseMap<Key, Value>;
  using Mutation = detail::Mutation<Key, Value>;
  static constexpr std::size_t kGroup = 16;  // keys that `read_many` looks for at once

  explicit Tables(std::size_t count) : tables_(count) {}

  [[nodiscard]] std::size_t size() const noexcept { return tables_.size(); }
  /// The number of entries in all of them, which no thread may change meanwhile.
  [[nodiscard]] std::uint64_t entries() const noexcept {
    std::uint64_t entries = 0;
    for (const Table& table : tables_) entries += table.size();
    return entries;
  }
  [[nodiscard]] Table& operator[](std::size_t index) noexcept { return tables_[index]; }
  [[nodiscard]] const Table& operator[](std::size_t index) const noexcept { return tables_[index]; }
  [[nodiscard]] auto begin() noexcept { return tables_.begin(); }
  [[nodiscard]] auto end() noexcept { return tables_.end(); }
  [[nodiscard]] auto begin() const noexcept { return tables_.begin(); }
  [[nodiscard]] auto end() const noexcept { return tables_.end(); }

  /// The index of the table for keys with this hash. The middle bits select it; the table itself uses the
  /// upper half.
  [[nodiscard]] std::size_t index_of(std::uint64_t hash) const noexcept {
    return static_cast<std::size_t>(hash >> 16) & (tables_.size() - 1);
  }
  [[nodiscard]] Table& of(std::uint64_t hash) noexcept { return tables_[index_of(hash)]; }
  [[nodiscard]] const Table& of(std::uint64_t hash) const noexcept { return tables_[index_of(hash)]; }

  /// The number of entries that a table is to take.
  struct Inserts {
    std::size_t table;
    std::size_t count;
  };
  /// The number of inserts among `mutations`, by table. *Complexity*: O(mutations), apart from sorting them
  [[nodiscard]] std::vector<Inserts> inserts_of(std::span<const Mutation> mutations) const {
    std::vector<std::size_t> indices;
    indices.reserve(mutations.size());
    for (const Mutation& mutation : mutations) {
      if (mutation.kind == Mutation::Kind::insert) indices.push_back(index_of(mutation.hash));
    }
    std::sort(indices.begin(), indices.end());
    std::vector<Inserts> result;
    for (const std::size_t index : indices) {
      if (result.empty() || result.back().table != index) result.push_back({index, 0});
      ++result.back().count;
    }
    return result;
  }

 private:
  std::vector<Table> tables_;
};

}}}  // namespace kvstore::v1::detail
