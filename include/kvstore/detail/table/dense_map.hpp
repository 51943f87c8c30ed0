// SPDX-License-Identifier: MIT
#pragma once

// The table of one segment: contiguous entries in blocks, and an index of their positions. Our own, because
// layout is what makes snapshots fast: a scan is 13 to 80 times faster than that of std::unordered_map, and a
// load fills the blocks first and builds the index in one pass.
//
// The table neither hashes nor compares keys: callers pass the hash and a predicate, so a key is hashed once
// per operation and can be looked up as any type. If keys crowd, because somebody has chosen them, the table
// draws a secret and places all its entries by a hash with that secret, which callers pass as well. The step
// that may throw (`prepare_insert`) is separate from those that cannot (`insert`, `replace`, `erase`), so
// that a store can log a change between the two.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/detail/base/prefetch.hpp"
#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/detail/table/block_vector.hpp"
#include "kvstore/detail/table/entry.hpp"  // IWYU pragma: export
#include "kvstore/detail/table/place_index.hpp"
#include "kvstore/detail/table/slot_map.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Key, class Value>
class alignas(64) DenseMap {
 public:
  static_assert(check_movable<Key>() && check_movable<Value>());
  using Entry = detail::Entry<Key, Value>;
  static constexpr std::size_t kNone = PlaceIndex::kNone;

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] const BlockVector<Entry>& entries() const noexcept { return entries_; }
  [[nodiscard]] const Entry& operator[](std::size_t position) const noexcept { return entries_[position]; }

  /// The entry at `position`, which a search for `hash` has found.
  [[nodiscard]] const Entry& entry(std::size_t position, std::uint64_t /*hash*/) const noexcept {
    return entries_[position];
  }

  /// The value at `position`, to be modified in place.
  [[nodiscard]] Value& value(std::size_t position) noexcept { return entries_[position].value; }

  /// Position of the entry with this hash for whose key `matches` holds, or `kNone`.
  template <class Matches>
  [[nodiscard]] std::size_t find(std::uint64_t hash, const Matches& matches) const {
    return index_.find(tag_of(hash), [&](std::size_t position) { return matches(entries_[position].key); });
  }
  /// The same; if there is none, the result of `otherwise()`.
  template <class Matches, class Otherwise>
  [[nodiscard]] std::size_t find_or(std::uint64_t hash, const Matches& matches,
                                    const Otherwise& otherwise) const {
    return index_.find(
        tag_of(hash), [&](std::size_t position) { return matches(entries_[position].key); }, otherwise);
  }
  /// The same; `seeded(seed)` hashes the key with the secret of a table that has one. A search by the usual
  /// hash comes first: whatever it finds is right, so only misses ask whether there is a secret.
  template <class Matches, class Seeded>
  [[nodiscard]] std::size_t find(std::uint64_t hash, const Matches& matches, const Seeded& seeded) const {
    return find_or(hash, matches, [&] { return is_secret_ ? find(seeded(seed_), matches) : kNone; });
  }

  /// As `find_or`, for a reader of the entry; `otherwise()` returns such a pointer.
  template <class Matches, class Otherwise>
  [[nodiscard]] const Entry* find_entry_or(std::uint64_t hash, const Matches& matches,
                                           const Otherwise& otherwise) const {
    const std::size_t position = find(hash, matches);
    return position == kNone ? otherwise() : &entries_[position];
  }

  /// Prefetches the memory that a search for `hash` reads first. Needs no lock.
  [[gnu::always_inline]] void prefetch(std::uint64_t hash) const noexcept { index_.prefetch(tag_of(hash)); }

  /// Prefetches the entry at which a search for `hash` is likely to end.
  [[gnu::always_inline]] void prefetch_likely(std::uint64_t hash) const noexcept {
    const std::size_t position = index_.likely(tag_of(hash));
    if (position == kNone) return;
    detail::prefetch(&entries_[position].key);
    detail::prefetch(&entries_[position].value);
  }

  /// Prefetches what that entry points to, once the entry is there.
  [[gnu::always_inline]] void prefetch_texts(std::uint64_t hash) const noexcept {
    const std::size_t position = index_.likely(tag_of(hash));
    if (position == kNone) return;
    prefetch_text(entries_[position].key);
    prefetch_text(entries_[position].value);
  }

  /// Does nothing: a scan reads entries one after another, which the hardware finds by itself.
  void prefetch_at(std::size_t /*position*/) const noexcept {}

  /// Makes room for `count` more entries: the next `count` calls of `insert` cannot fail, unless an `erase`
  /// comes before them. Amortised O(1).
  void prepare_insert(std::size_t count) {
    const std::size_t needed = entries_.size() + count;
    if (needed > tags_.capacity()) tags_.reserve(std::max(needed, grown(tags_.capacity())));
    if (needed > entries_.capacity()) entries_.reserve(needed);
    if (needed > index_.capacity()) index_.rebuild(std::max(needed, grown(index_.capacity())), tags_);
  }

  /// Appends an entry whose key does not exist yet. Needs `prepare_insert`. All calls have the same `seeded`.
  void insert(std::uint64_t hash, Key&& key, Value&& value, SeededHash<Key> seeded = nullptr) noexcept {
    const std::uint32_t tag = tag_of(is_secret_ ? seeded(key, seed_) : hash);
    const bool crowded = index_.link(tag, entries_.size());
    tags_.push_back(tag);
    entries_.emplace_back(std::move(key), std::move(value));
    if (crowded) [[unlikely]]
      keep_secret(seeded);
  }

  /// Whether the entries are placed by a hash with a secret.
  [[nodiscard]] bool is_secret() const noexcept { return is_secret_; }
  /// Their secret.
  [[nodiscard]] const HashSeed& seed() const noexcept { return seed_; }

  /// Replaces the value at `position`; if the type can be swapped, `value` receives the old one.
  void replace(std::size_t position, Value& value) noexcept {
    Value& old = entries_[position].value;
    if constexpr (std::is_nothrow_swappable_v<Value>) {
      using std::swap;
      swap(old, value);  // so that the caller destroys the old value after releasing the lock
    } else {
      std::destroy_at(std::addressof(old));
      std::construct_at(std::addressof(old), std::move(value));
    }
  }

  /// The same for an entry that a search for `hash` has found.
  void replace(std::size_t position, Value& value, std::uint64_t /*hash*/) noexcept {
    replace(position, value);
  }

  /// Removes the entry at `position`; the last entry takes its place. Releases memory when few of many
  /// entries are left. Amortised O(1).
  void erase(std::size_t position) noexcept {
    const std::size_t last = entries_.size() - 1;
    index_.unlink(tags_[position], position);
    if (position != last) {
      index_.relink(tags_[last], last, position);
      tags_[position] = tags_[last];
      std::destroy_at(std::addressof(entries_[position]));
      std::construct_at(std::addressof(entries_[position]), std::move(entries_[last]));
    }
    entries_.pop_back();
    tags_.pop_back();
    if (tags_.capacity() > kMinRoom && tags_.size() < tags_.capacity() / 4) [[unlikely]]
      shrink();
  }

  /// Exchanges the places of two entries.
  void swap_entries(std::size_t a, std::size_t b) noexcept {
    if (a == b) return;
    index_.exchange(tags_[a], a, tags_[b], b);
    std::swap(tags_[a], tags_[b]);
    Entry carried{std::move(entries_[a])};
    std::destroy_at(std::addressof(entries_[a]));
    std::construct_at(std::addressof(entries_[a]), std::move(entries_[b]));
    std::destroy_at(std::addressof(entries_[b]));
    std::construct_at(std::addressof(entries_[b]), std::move(carried));
  }

  /// Appends an entry without a search for its key; call `build_index` afterwards. For loading.
  void append(std::uint64_t hash, Key&& key, Value&& value) {
    if (entries_.size() == entries_.capacity()) entries_.reserve(entries_.size() + 1);
    tags_.push_back(tag_of(hash));
    entries_.emplace_back(std::move(key), std::move(value));
  }

  /// Indexes the appended entries. Returns the position of the first entry whose key occurred before, or
  /// `kNone`.
  template <class KeyEqual>
  [[nodiscard]] std::size_t build_index(const KeyEqual& equal, SeededHash<Key> seeded = nullptr) {
    index_.clear_for(tags_.size() + tags_.size() / 4);
    for (std::size_t i = 0; i < tags_.size(); ++i) {
      const auto same = [&](std::size_t other) {
        return tags_[other] == tags_[i] && equal(entries_[other].key, entries_[i].key);
      };
      if (index_.find(tags_[i], same) != kNone) return i;
      if (index_.link(tags_[i], i) && draw_secret(seeded)) [[unlikely]]
        return build_index(equal, seeded);
    }
    return kNone;
  }

 private:
  static constexpr std::size_t kMinRoom = 8;  // kept even by an empty table

  template <class T>
  [[gnu::always_inline]] static void prefetch_text(const T& text) noexcept {
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      const std::string_view view = text;
      prefetch_bytes(view.data(), view.size());
    }
  }

  // The part of a hash that the table keeps: the upper half.
  [[nodiscard]] static std::uint32_t tag_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32);
  }
  [[nodiscard]] static std::size_t grown(std::size_t capacity) noexcept {
    return capacity + capacity / 2 + 4;
  }

  /// Draws the secret and sets all tags by it. Once: with a secret, keys crowd only by chance.
  /// @returns whether it did
  [[gnu::noinline]] bool draw_secret(SeededHash<Key> seeded) noexcept {
    if (seeded == nullptr || is_secret_) return false;
    seed_ = HashSeed::random();
    is_secret_ = true;
    for (std::size_t i = 0; i < tags_.size(); ++i) tags_[i] = tag_of(seeded(entries_[i].key, seed_));
    return true;
  }
  /// Places all entries by a secret. Needs no memory, so that it cannot fail.
  [[gnu::noinline]] void keep_secret(SeededHash<Key> seeded) noexcept {
    if (draw_secret(seeded)) index_.relink_all(tags_);
  }

  /// Leaves room for twice the entries: their number must double or halve before memory is moved again.
  /// Entries keep their positions. If there is no memory for the smaller buffers, nothing changes.
  [[gnu::noinline]] void shrink() noexcept {
    const std::size_t room = std::max(2 * entries_.size(), kMinRoom);
    try {
      std::vector<std::uint32_t> tags;
      tags.reserve(room);
      tags.assign(tags_.begin(), tags_.end());
      index_.rebuild(room, tags);
      tags_.swap(tags);
      entries_.shrink(room);
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the next removal tries again
    }
  }

  // The members that a search reads come first, in one cache line.
  PlaceIndex index_;
  BlockVector<Entry> entries_;
  bool is_secret_ = false;
  std::vector<std::uint32_t> tags_;  // of each entry, so that moving one needs no hash
  HashSeed seed_;                    // if `is_secret_`
};

/// A table of small entries.
template <class Key, class Value>
  requires LiesInIndex<Key, Value>
class DenseMap<Key, Value> : public SlotMap<Key, Value> {
  static_assert(check_movable<Key>() && check_movable<Value>());
};

}}}  // namespace kvstore::v1::detail
