// SPDX-License-Identifier: MIT
#pragma once

// Applies changes to the tables of a store that opens. The tables are dealt out to parts, so that several
// threads can apply changes, each to its own parts. All changes of a key belong to one part.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "kvstore/detail/base/known_destructor.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/mutation.hpp"
#include "kvstore/detail/table/tables.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Key, class Value, class HashOf, class KeyEqual>
class TableParts {
 public:
  using Table = DenseMap<Key, Value>;
  using Tables = detail::Tables<Key, Value>;

  /// A change, parsed. A change of a key that is not there is one too.
  struct Step {
    std::uint64_t hash;
    Key key;
    std::optional<Value> value;  // none = removed
  };

  /// `tables` and `equal` outlive this object.
  TableParts(Tables& tables, const KeyEqual& equal)
      : tables_{tables}, equal_{equal}, parts_(std::min(kMost, tables.size())) {}

  [[nodiscard]] std::size_t size() const noexcept { return parts_.size(); }
  [[nodiscard]] std::size_t of(std::uint64_t hash) const noexcept {
    return tables_.index_of(hash) & (parts_.size() - 1);
  }

  /// Prefetches the memory that `apply` reads first.
  void prefetch(std::uint64_t hash) const noexcept { tables_.of(hash).prefetch(hash); }

  /// Several threads may call this, each for keys of other parts.
  void apply(Step& step) {
    Table& table = tables_.of(step.hash);
    if (table.size() == 0) note_filled(parts_[of(step.hash)], table);
    const std::size_t position = HashOf::find(table, step.hash, step.key, equal_);
    Mutation<Key, Value>::change(step.hash, position, step.key, step.value, HashOf::kSeeded).apply(table);
  }

  /// Removes all entries of one part.
  void clear(std::size_t index) noexcept {
    Part& part = parts_[index];
    if (!std::exchange(part.known, true)) {
      for (std::size_t i = index; i < tables_.size(); i += parts_.size()) tables_[i] = Table{};
    }
    for (Table* table : part.filled) *table = Table{};
    part.filled.clear();
  }

 private:
  // Replacing and removing destroy values. A power of two, as the number of tables is.
  static constexpr std::size_t kMost = kDestroyedAnywhere<Key> && kDestroyedAnywhere<Value> ? 16 : 1;

  struct alignas(64) Part {
    bool known = false;          // all its tables but `filled` are empty
    std::vector<Table*> filled;  // some may be empty again
  };

  /// Keeps in mind that a table is no longer empty. A `clear` costs no more than the changes before it, since
  /// a journal may hold as many as lines.
  void note_filled(Part& part, Table& table) {
    if (!part.known) return;
    part.known = part.filled.size() < tables_.size();
    if (part.known)
      part.filled.push_back(&table);
    else
      part.filled.clear();
  }

  Tables& tables_;
  const KeyEqual& equal_;
  std::vector<Part> parts_;
};

/// Changes that a thread has read ahead, by part.
template <class Parts>
class StagedSteps {
 public:
  using Step = typename Parts::Step;

  explicit StagedSteps(Parts& parts) : parts_{parts}, steps_(parts.size()) {}

  void add(Step&& step) { steps_[parts_.of(step.hash)].push_back(std::move(step)); }
  /// All steps added before count for nothing.
  void clear() noexcept {
    forget();
    cleared_ = true;
  }
  void apply(std::size_t part) {
    constexpr std::size_t kAhead = 8;
    if (cleared_) parts_.clear(part);
    std::vector<Step>& steps = steps_[part];
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (i + kAhead < steps.size()) parts_.prefetch(steps[i + kAhead].hash);
      parts_.apply(steps[i]);
    }
    steps.clear();
  }
  void forget() noexcept {
    for (std::vector<Step>& steps : steps_) steps.clear();
    cleared_ = false;
  }

 private:
  Parts& parts_;
  std::vector<std::vector<Step>> steps_;  // by part
  bool cleared_ = false;                  // before the steps, all entries are removed
};

}}}  // namespace kvstore::v1::detail
