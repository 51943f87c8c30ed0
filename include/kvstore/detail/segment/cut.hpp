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
//
// A store may keep marks, so that a save finds the entries that changed: a bit for each position, and the
// keys that were removed, as text. A cut of changes takes the marks of each segment over as the entries that
// it reads, and marks go on from there. Removals come first in such a save. A key may be among them although
// it exists: then its entry is marked as well, and comes later.

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kvstore/detail/base/prefetch.hpp"
#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/fields.hpp"
#include "kvstore/detail/segment/cut_number.hpp"
#include "kvstore/detail/segment/marks.hpp"
#include "kvstore/detail/segment/position_bits.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/mutation.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

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
    if (takes_part(cut)) positions_.cover(table.size(), inserts);
    if (keeps_marks(cut)) marks_.entries().cover(table.size(), inserts);
  }

  /// Captures the entry that `mutation` is about to change, and makes room as above. May throw; then nothing
  /// has changed.
  void prepare(CutNumber cut, const Table& table, const Mutation& mutation, std::size_t inserts = 1) {
    make_room(cut, table, inserts);
    if (takes_part(cut)) capture(table, mutation);
    // Marked as well, in case that the removal does not come about.
    if (keeps_marks(cut) && mutation.kind == Mutation::Kind::erase) {
      marks_.removed().remove(table[mutation.position].key);
      marks_.entries().set(mutation.position);
    }
  }

  /// Performs `mutation` and keeps track of positions. Needs `prepare` with the same number.
  void perform(CutNumber cut, Table& table, const Mutation& mutation) noexcept {
    using Kind = typename Mutation::Kind;
    const bool part = takes_part(cut);
    const bool marks = keeps_marks(cut);
    if (mutation.kind == Kind::erase) return erase(table, mutation.position, part, marks);
    mutation.perform(table);
    if (mutation.kind == Kind::insert) {
      if (part) positions_.push_back(!reads_set_);
      if (marks) marks_.entries().push_back(true);
    } else if (marks) {
      marks_.entries().set(mutation.position);
    }
  }

  /// False if there were more marks of removals than are worth keeping in a table of `entries`. All are
  /// forgotten then, and everything is owed. Call only after `perform` of all that was prepared.
  [[nodiscard]] bool keeps_marks_within(std::size_t entries) noexcept {
    return !marks_.is_long() || marks_.look_through(entries);
  }

  /// Empties `table`, and forgets its marks. The entries of a snapshot under way move here until the saver
  /// has read them. The caller destroys the returned table after releasing the lock.
  [[nodiscard]] Table clear(CutNumber cut, Table& table) noexcept {
    const bool part = takes_part(cut);
    if (keeps_marks(cut)) marks_.forget();
    if (part) {
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
    if (!removed_.put_to(out, most)) return true;
    if (reads_set_)
      encode_set(table, out, most);
    else
      encode_clear(table, out, most);
    if (cursor_ < table.size() || !captured_.put_to(out, most)) return true;
    end();
    return false;
  }

  /// Forgets the snapshot `cut`, which was abandoned.
  void abandon(CutNumber cut) noexcept {
    end();
    number_ = cut;
  }

 private:
  /// Changes as text that the saver reads.
  struct Captured {
    ChangeBuffer changes;
    std::size_t read = 0;

    void forget() noexcept {
      if (!changes.empty()) changes = ChangeBuffer{};
      read = 0;
    }
    /// False if some are left, as `out` has `most` bytes.
    template <class Out>
    bool put_to(Out& out, std::size_t most) {
      for (; read < changes.count() && out.bytes() < most; ++read) out.put(changes[read]);
      return read == changes.count();
    }
  };

  /// The next entries whose bits are clear.
  template <class Out>
  void encode_clear(const Table& table, Out& out, std::size_t most) {
    const std::size_t stop = std::min(table.size(), cursor_ + kSliceEntries);
    for (std::size_t i = 0; cursor_ == 0 && i < std::min(table.size(), 2 * kPrefetchAhead); ++i)
      table.prefetch_at(i);
    for (std::size_t i = cursor_; i < std::min(stop, cursor_ + kPrefetchAhead); ++i) prefetch(table[i]);
    for (; cursor_ < stop && out.bytes() < most; ++cursor_) {
      // Also into the next slice, which finds its first entries at hand.
      if (cursor_ + 2 * kPrefetchAhead < table.size()) table.prefetch_at(cursor_ + 2 * kPrefetchAhead);
      if (cursor_ + kPrefetchAhead < stop) prefetch(table[cursor_ + kPrefetchAhead]);
      if (!positions_[cursor_]) out.put(table[cursor_].key, table[cursor_].value);
    }
  }

  /// The next entries whose bits are set. They lie far apart, so all of a slice are fetched at once.
  template <class Out>
  void encode_set(const Table& table, Out& out, std::size_t most) {
    std::array<std::size_t, kSliceEntries> found;
    std::size_t count = 0;
    std::size_t next = positions_.next(cursor_, table.size());
    for (; next < table.size() && count < found.size(); next = positions_.next(next + 1, table.size())) {
      table.prefetch_at(next);
      found[count++] = next;
    }
    for (std::size_t i = 0; i < count; ++i) prefetch(table[found[i]]);
    for (std::size_t i = 0; i < count; ++i) {
      cursor_ = found[i];
      if (out.bytes() >= most) return;
      out.put(table[cursor_].key, table[cursor_].value);
    }
    cursor_ = next;
  }

  void end() noexcept {
    pending_ = false;
    captured_.forget();
    removed_.forget();
    if (keeps_marks(number_))
      positions_.reset();
    else
      positions_ = PositionBits{};
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

  void capture(const Table& table, const Mutation& mutation) {
    if (!mutation.changes_entry()) return;
    const std::size_t position = mutation.position;
    if (position < cursor_ || positions_[position] != reads_set_) return;
    captured_.changes.put(table[position].key, table[position].value);
    if (reads_set_)
      positions_.clear(position);
    else
      positions_.set(position);
  }

  void begin(CutNumber cut) noexcept {
    if (number_ == cut) return;
    end();
    number_ = cut;
    cursor_ = 0;
    pending_ = true;
    const CutKind kind = kind_of(cut);
    reads_set_ = kind == CutKind::changes;
    if (kind == CutKind::copy || !keeps_marks(cut)) return;
    if (reads_set_)
      marks_.take(positions_, removed_.changes);
    else
      marks_.forget();
  }

  // Positions before the cursor have been read. To preserve that, an entry to be removed there first swaps
  // places with the last of them, and the cursor steps back. The entry that then moves in from the end is
  // read later. Its mark stays behind: what takes the place of an entry to be removed counts as marked.
  void erase(Table& table, std::size_t position, bool part, bool marks) noexcept {
    if (part && position < cursor_) {
      --cursor_;
      table.swap_entries(position, cursor_);
      position = cursor_;
    }
    if (part) positions_.erase(position);
    if (marks) marks_.entries().erase(position);
    table.erase(position);
  }

  // Each change of a store that keeps marks looks at these.
  CutNumber number_ = 0;    // of the last cut this segment took part in
  bool pending_ = false;    // the saver has not read it to the end
  bool reads_set_ = false;  // the saver reads the entries whose bits are set, not the others
  Marks marks_;

  std::size_t cursor_ = 0;
  PositionBits positions_;  // shorter than the table until something changes
  Captured captured_;
  Captured removed_;  // keys
  std::optional<Table> detached_;
};

}}}  // namespace kvstore::v1::detail
