// SPDX-License-Identifier: MIT
#pragma once

// The table of one segment: entries contiguous in memory in one vector, beside them an index of 8-byte slots
// (robin hood, linear probing, backward-shift removal). Our own because layout is what makes snapshots fast:
// walking this is 13 to 80 times faster than walking std::unordered_map, and a load fills the vector first
// and builds the index in one pass. The idea is that of ankerl::unordered_dense.
//
// It neither hashes nor compares keys: callers bring the hash and a predicate, so that a key is hashed once
// per operation and looked up as any type. What may throw (`prepare_insert`) is apart from what may not
// (`insert`, `replace`, `erase`), so that a store can log a change between the two.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace kvstore::inline v0::detail {

/// One key and its value, side by side.
template <class Key, class Value>
struct Entry {
  Entry(Key&& k, Value&& v) noexcept : key(std::move(k)), value(std::move(v)) {}

  Key key;
  Value value;
};

template <class Key, class Value>
class DenseMap {
 public:
  static_assert(std::is_nothrow_move_constructible_v<Key> && std::is_nothrow_move_constructible_v<Value>,
                "keys and values must be movable without throwing, so that no change is ever left half done");
  using Entry = detail::Entry<Key, Value>;
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }
  [[nodiscard]] const Entry& operator[](std::size_t position) const noexcept { return entries_[position]; }

  /// The value at `position`, to modify where it stands.
  [[nodiscard]] Value& value(std::size_t position) noexcept { return entries_[position].value; }

  /// Position of the entry with this hash for whose key `matches` holds, or `kNone`.
  template <class Matches>
  [[nodiscard]] std::size_t find(std::uint64_t hash, const Matches& matches) const {
    if (slots_.empty()) return kNone;
    const std::uint32_t tag = tag_of(hash);
    std::size_t at = home(tag);
    for (std::size_t distance = 0;; ++distance, at = next(at)) {
      const Slot& slot = slots_[at];
      if (slot.tag == tag && slot.used() && matches(entries_[slot.position()].key)) return slot.position();
      if (!slot.used() || distance_of(at) < distance) return kNone;
    }
  }

  /// Makes room for `count` more entries, so that as many calls of `insert` cannot fail. Amortised O(1).
  void prepare_insert(std::size_t count) {
    const std::size_t needed = entries_.size() + count;
    if (needed > tags_.capacity()) tags_.reserve(std::max(needed, grown(tags_.capacity())));
    if (needed > entries_.capacity()) entries_.reserve(std::max(needed, grown(entries_.capacity())));
    if (needed > max_load()) rebuild_index(std::bit_ceil(needed + needed / 4 + kMinSlots));
  }

  /// Appends an entry whose key is not there yet. Needs `prepare_insert`.
  void insert(std::uint64_t hash, Key&& key, Value&& value) noexcept {
    tags_.push_back(tag_of(hash));
    entries_.emplace_back(std::move(key), std::move(value));
    link(tags_.back(), entries_.size() - 1);
  }

  /// Replaces the value at `position`; the old one ends up in `value` where the type can be swapped.
  void replace(std::size_t position, Value& value) noexcept {
    Value& old = entries_[position].value;
    if constexpr (std::is_nothrow_swappable_v<Value>) {
      using std::swap;
      swap(old, value);  // so that the old value is destroyed by the caller, after the lock
    } else {
      std::destroy_at(std::addressof(old));
      std::construct_at(std::addressof(old), std::move(value));
    }
  }

  /// Removes the entry at `position`; the last entry takes its place.
  void erase(std::size_t position) noexcept {
    const std::size_t last = entries_.size() - 1;
    unlink(slot_of(position));
    if (position != last) {
      slots_[slot_of(last)].place = Slot::place_of(position);
      tags_[position] = tags_[last];
      std::destroy_at(std::addressof(entries_[position]));
      std::construct_at(std::addressof(entries_[position]), std::move(entries_[last]));
    }
    entries_.pop_back();
    tags_.pop_back();
  }

  /// Exchanges the places of two entries.
  void swap_entries(std::size_t a, std::size_t b) noexcept {
    if (a == b) return;
    std::swap(slots_[slot_of(a)].place, slots_[slot_of(b)].place);
    std::swap(tags_[a], tags_[b]);
    Entry carried{std::move(entries_[a])};
    std::destroy_at(std::addressof(entries_[a]));
    std::construct_at(std::addressof(entries_[a]), std::move(entries_[b]));
    std::destroy_at(std::addressof(entries_[b]));
    std::construct_at(std::addressof(entries_[b]), std::move(carried));
  }

  /// Appends an entry without looking for its key; `build_index` follows. For loading.
  void append(std::uint64_t hash, Key&& key, Value&& value) {
    if (entries_.size() == entries_.capacity()) entries_.reserve(grown(entries_.capacity()));
    tags_.push_back(tag_of(hash));
    entries_.emplace_back(std::move(key), std::move(value));
  }

  /// Indexes what was appended. Returns the position of the first entry whose key stood before, or `kNone`.
  template <class KeyEqual>
  [[nodiscard]] std::size_t build_index(const KeyEqual& equal) {
    slots_.assign(std::bit_ceil(tags_.size() + tags_.size() / 4 + kMinSlots), Slot{});
    set_shift();
    for (std::size_t i = 0; i < tags_.size(); ++i) {
      const auto same = [&](const Key& other) { return equal(other, entries_[i].key); };
      if (find(std::uint64_t{tags_[i]} << 32, same) != kNone) return i;
      link(tags_[i], i);
    }
    return kNone;
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t place = 0;  // position + 1; 0 = unused

    [[nodiscard]] static std::uint32_t place_of(std::size_t position) noexcept {
      return static_cast<std::uint32_t>(position + 1);
    }
    [[nodiscard]] bool used() const noexcept { return place != 0; }
    [[nodiscard]] std::size_t position() const noexcept { return place - 1; }
  };
  static constexpr std::size_t kMinSlots = 8;

  // The part of a hash that the table keeps: the upper half, whose upper end names the slot.
  [[nodiscard]] static std::uint32_t tag_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32);
  }
  [[nodiscard]] static std::size_t grown(std::size_t capacity) noexcept {
    return capacity + capacity / 2 + 4;
  }
  [[nodiscard]] std::size_t max_load() const noexcept { return slots_.size() - slots_.size() / 5; }
  [[nodiscard]] std::size_t home(std::uint32_t tag) const noexcept { return tag >> shift_; }
  [[nodiscard]] std::size_t next(std::size_t at) const noexcept { return (at + 1) & (slots_.size() - 1); }
  [[nodiscard]] std::size_t distance_of(std::size_t at) const noexcept {
    return (at - home(slots_[at].tag)) & (slots_.size() - 1);
  }
  void set_shift() noexcept { shift_ = 32 - static_cast<int>(std::bit_width(slots_.size() - 1)); }

  [[nodiscard]] std::size_t slot_of(std::size_t position) const noexcept {
    std::size_t at = home(tags_[position]);
    while (slots_[at].place != Slot::place_of(position)) at = next(at);
    return at;
  }

  void link(std::uint32_t tag, std::size_t position) noexcept {
    Slot carried{tag, Slot::place_of(position)};
    std::size_t at = home(tag);
    for (std::size_t distance = 0; slots_[at].used(); ++distance, at = next(at)) {
      if (const std::size_t other = distance_of(at); other < distance) {
        std::swap(carried, slots_[at]);
        distance = other;
      }
    }
    slots_[at] = carried;
  }

  void unlink(std::size_t at) noexcept {
    for (std::size_t after = next(at); slots_[after].used() && distance_of(after) > 0; after = next(after)) {
      slots_[at] = slots_[after];
      at = after;
    }
    slots_[at] = Slot{};
  }

  // A slot keeps its tag, so growing the index touches neither keys nor their hash.
  void rebuild_index(std::size_t count) {
    std::vector<Slot> old(count);
    old.swap(slots_);
    set_shift();
    for (const Slot& slot : old) {
      if (slot.used()) link(slot.tag, slot.position());
    }
  }

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> tags_;  // of each entry, so that moving one needs no hash
  std::vector<Slot> slots_;
  int shift_ = 32;
};

}  // namespace kvstore::inline v0::detail
