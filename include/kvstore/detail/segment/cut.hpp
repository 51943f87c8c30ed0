// SPDX-License-Identifier: MIT
#pragma once

// The part of one segment in a point-in-time snapshot, which is taken while writers go on.
//
// A cut is a moment: the snapshot holds each entry as it was then. The saver walks the segment in slices
// under its shared lock. A writer that is about to change an entry which the saver has not reached yet first
// captures the entry as text and marks it to be skipped; an entry that the writer adds is marked as well. So
// neither waits for longer than a slice, and the extra memory is proportional to the changes during the save,
// not to the map.
//
// The cut itself is one atomic number that every writer reads under its segment's lock. The change of a
// writer that reads the number before the cut is in the snapshot; the change of one that reads it afterwards
// is not. If one operation returned before another began, coherence keeps the second from reading an older
// number. The snapshot is therefore a state that the store went through.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/detail/base/prefetch.hpp"
#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/fields.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/mutation.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The number of the current cut: odd while a snapshot is being taken.
using CutNumber = std::uint64_t;
[[nodiscard]] constexpr bool is_open(CutNumber cut) noexcept { return (cut & 1) != 0; }

template <class Key, class Value>
class SegmentCut {
 public:
  using Table = DenseMap<Key, Value>;
  using Mutation = detail::Mutation<Key, Value>;
  static constexpr std::size_t kSliceEntries = 128;
  static constexpr std::size_t kSliceBytes = std::size_t{64} << 10;
  static constexpr std::size_t kPrefetchAhead = 32;

  // For writers, under the segment's exclusive lock. ------------------------------------------------------

  /// Makes room to track `inserts` new entries. May throw; then nothing has changed.
  void make_room(CutNumber cut, const Table& table, std::size_t inserts) {
    if (takes_part(cut)) make_room(table.size(), inserts);
  }

  /// Captures the entry that `mutation` is about to change, and makes room as above. May throw; then nothing
  /// has changed.
  void prepare(CutNumber cut, const Table& table, const Mutation& mutation, std::size_t inserts = 1) {
    if (!takes_part(cut)) return;
    make_room(table.size(), inserts);
    if (!mutation.changes_entry()) return;
    if (mutation.position < cursor_ || passed_over_[mutation.position]) return;
    captured_.put(table[mutation.position].key, table[mutation.position].value);
    passed_over_[mutation.position] = true;
  }

  /// Performs `mutation` and keeps track of positions. Needs `prepare` with the same number.
  void perform(CutNumber cut, Table& table, const Mutation& mutation) noexcept {
    if (!takes_part(cut)) return mutation.perform(table);
    using Kind = typename Mutation::Kind;
    if (mutation.kind == Kind::erase) return erase(table, mutation.position);
    mutation.perform(table);
    if (mutation.kind == Kind::insert) passed_over_.push_back(true);
  }

  /// Empties `table`. The entries of a snapshot under way move here until the saver has read them. The caller
  /// destroys the returned table after releasing the lock.
  [[nodiscard]] Table clear(CutNumber cut, Table& table) noexcept {
    if (takes_part(cut)) {
      detached_ = std::exchange(table, Table{});
      return Table{};
    }
    return std::exchange(table, Table{});
  }

  // For the saver, under the segment's shared lock. ---------------------------------------------------------

  /// Encodes the next slice into `out`, which takes entries by `put`. @returns false if the segment is
  /// finished and takes no further part.
  template <class Out>
  bool encode_slice(CutNumber cut, const Table& live, Out& out) {
    begin(cut);
    if (!pending_) return false;
    const std::size_t most = out.bytes() + kSliceBytes;
    const Table& table = detached_ ? *detached_ : live;
    const std::size_t stop = std::min(table.size(), cursor_ + kSliceEntries);
    for (std::size_t i = 0; cursor_ == 0 && i < std::min(table.size(), 2 * kPrefetchAhead); ++i)
      table.prefetch_at(i);
    for (std::size_t i = cursor_; i < std::min(stop, cursor_ + kPrefetchAhead); ++i) prefetch(table[i]);
    for (; cursor_ < stop && out.bytes() < most; ++cursor_) {
      // Also into the next slice, which finds its first entries at hand.
      if (cursor_ + 2 * kPrefetchAhead < table.size()) table.prefetch_at(cursor_ + 2 * kPrefetchAhead);
      if (cursor_ + kPrefetchAhead < stop) prefetch(table[cursor_ + kPrefetchAhead]);
      const bool skip = cursor_ < passed_over_.size() && passed_over_[cursor_];
      if (!skip) out.put(table[cursor_].key, table[cursor_].value);
    }
    if (cursor_ < table.size()) return true;
    for (; captured_read_ < captured_.count() && out.bytes() < most; ++captured_read_) {
      out.put(captured_[captured_read_]);
    }
    if (captured_read_ < captured_.count()) return true;
    end();
    return false;
  }

  /// Forgets the snapshot `cut`, which was abandoned.
  void abandon(CutNumber cut) noexcept {
    end();
    number_ = cut;
  }

 private:
  void end() noexcept {
    pending_ = false;
    captured_ = ChangeBuffer{};
    captured_read_ = 0;
    passed_over_ = std::vector<bool>{};  // assigning {} would keep its memory
    detached_.reset();
  }

  // Prefetches the memory that keys and values point to, a few entries ahead.
  [[gnu::always_inline]] static void prefetch(const Entry<Key, Value>& entry) noexcept {
    prefetch_parts(entry.key);
    prefetch_parts(entry.value);
  }
  template <class T>
  [[gnu::always_inline]] static void prefetch_parts(const T& value) noexcept {
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      const std::string_view text = value;
      prefetch_bytes(text.data(), text.size());
    } else if constexpr (ListsItsFields<T>) {
      std::apply([&value](const auto&... field) { (prefetch_parts(value.*field.pointer), ...); },
                 kFieldsOf<T>.each);
    } else if constexpr (requires { value.data(), value.size(); }) {
      prefetch_bytes(value.data(), value.size() * sizeof(*value.data()));
    }
  }

  // Whether the current snapshot still has to read entries of this table.
  [[nodiscard]] bool takes_part(CutNumber cut) noexcept {
    if (!is_open(cut)) return false;
    begin(cut);
    return pending_ && !detached_;
  }

  void make_room(std::size_t entries, std::size_t inserts) {
    const std::size_t needed = entries + inserts;
    if (needed > passed_over_.capacity()) passed_over_.reserve(needed + needed / 2);
    passed_over_.resize(entries);
  }

  void begin(CutNumber cut) noexcept {
    if (number_ == cut) return;
    end();
    number_ = cut;
    cursor_ = 0;
    pending_ = true;
  }

  // Positions before the cursor have been read. To preserve that, an entry to be removed there first swaps
  // places with the last of them, and the cursor steps back. The entry that then moves in from the end is
  // read later.
  void erase(Table& table, std::size_t position) noexcept {
    if (position < cursor_) {
      --cursor_;
      table.swap_entries(position, cursor_);
      position = cursor_;
    }
    passed_over_[position] = passed_over_.back();
    passed_over_.pop_back();
    table.erase(position);
  }

  CutNumber number_ = 0;  // of the last cut this segment took part in
  bool pending_ = false;  // the saver has not read it to the end
  std::size_t cursor_ = 0;
  std::vector<bool> passed_over_;  // by position; shorter than the table until something changes
  ChangeBuffer captured_;
  std::size_t captured_read_ = 0;  // the number that the saver has read
  std::optional<Table> detached_;
};

}}}  // namespace kvstore::v1::detail
