// SPDX-License-Identifier: MIT
#pragma once

// The table of a segment whose entries are small and trivial, such as numbers: they lie in the index itself.
// A position stays what it is in the other tables, the number of an entry in the order of a scan; here it is
// looked up in a list of slots. So a snapshot, a batch and a load need not know of the difference.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>
#include <utility>

#include "kvstore/detail/base/prefetch.hpp"
#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/detail/table/block_vector.hpp"
#include "kvstore/detail/table/entry.hpp"
#include "kvstore/detail/table/slot_index.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The members are those of `DenseMap`, and documented there.
template <class Key, class Value>
class alignas(64) SlotMap {
 public:
  using Entry = detail::Entry<Key, Value>;
  using Index = SlotIndex<Entry>;
  static constexpr std::size_t kNone = Index::kNone;

  [[nodiscard]] std::size_t size() const noexcept { return places_.size(); }
  [[nodiscard]] const Entry& operator[](std::size_t position) const noexcept {
    return index_[places_[position].slot];
  }
  [[nodiscard]] Value& value(std::size_t position) noexcept { return index_[places_[position].slot].value; }
  [[nodiscard]] const Entry& entry(std::size_t position, std::uint64_t hash) const noexcept {
    return index_[slot_of(position, hash)];
  }

  /// All entries, by position.
  class Entries {
   public:
    class Iterator {
     public:
      using iterator_category = std::forward_iterator_tag;
      using value_type = Entry;
      using difference_type = std::ptrdiff_t;
      using pointer = const Entry*;
      using reference = const Entry&;

      Iterator() = default;
      Iterator(const SlotMap& of, std::size_t at) noexcept : of_{&of}, at_{at} {}
      reference operator*() const noexcept { return (*of_)[at_]; }
      pointer operator->() const noexcept { return &(*of_)[at_]; }
      Iterator& operator++() noexcept { return ++at_, *this; }
      Iterator operator++(int) noexcept { return {*of_, at_++}; }
      bool operator==(const Iterator&) const = default;

     private:
      const SlotMap* of_ = nullptr;
      std::size_t at_ = 0;
    };

    explicit Entries(const SlotMap& of) noexcept : of_{of} {}
    [[nodiscard]] Iterator begin() const noexcept { return {of_, 0}; }
    [[nodiscard]] Iterator end() const noexcept { return {of_, of_.size()}; }

   private:
    const SlotMap& of_;
  };
  [[nodiscard]] Entries entries() const noexcept { return Entries{*this}; }

  template <class Matches>
  [[nodiscard]] std::size_t find(std::uint64_t hash, const Matches& matches) const {
    return find_or(hash, matches, [] { return kNone; });
  }
  template <class Matches, class Otherwise>
  [[nodiscard]] std::size_t find_or(std::uint64_t hash, const Matches& matches,
                                    const Otherwise& otherwise) const {
    const std::size_t slot = find_slot(hash, matches);
    return slot == kNone ? otherwise() : index_.position(slot);
  }
  template <class Matches, class Seeded>
  [[nodiscard]] std::size_t find(std::uint64_t hash, const Matches& matches, const Seeded& seeded) const {
    return find_or(hash, matches, [&] { return is_secret_ ? find(seeded(seed_), matches) : kNone; });
  }
  template <class Matches, class Otherwise>
  [[nodiscard]] const Entry* find_entry_or(std::uint64_t hash, const Matches& matches,
                                           const Otherwise& otherwise) const {
    const std::size_t slot = find_slot(hash, matches);
    return slot == kNone ? otherwise() : &index_[slot];
  }

  [[gnu::always_inline]] void prefetch(std::uint64_t hash) const noexcept { index_.prefetch(tag_of(hash)); }
  /// `prefetch` has requested the entry already.
  void prefetch_likely(std::uint64_t /*hash*/) const noexcept {}
  void prefetch_texts(std::uint64_t /*hash*/) const noexcept {}
  /// Prefetches the entry at `position`, for a scan.
  [[gnu::always_inline]] void prefetch_at(std::size_t position) const noexcept {
    detail::prefetch(&index_[places_[position].slot]);
  }

  void prepare_insert(std::size_t count) {
    const std::size_t needed = size() + count;
    if (needed > places_.capacity()) places_.reserve(needed);
    if (needed > index_.capacity()) move_from(index_.clear_for(std::max(needed, grown(index_.capacity()))));
  }

  void insert(std::uint64_t hash, Key&& key, Value&& value, SeededHash<Key> seeded = nullptr) noexcept {
    const std::uint32_t tag = tag_of(is_secret_ ? seeded(key, seed_) : hash);
    const auto linked = index_.link(tag, size(), Entry{std::move(key), std::move(value)});
    places_.emplace_back(Place{static_cast<std::uint32_t>(linked.slot), tag});
    if (linked.crowded) [[unlikely]]
      keep_secret(seeded);
  }

  [[nodiscard]] bool is_secret() const noexcept { return is_secret_; }
  [[nodiscard]] const HashSeed& seed() const noexcept { return seed_; }

  void replace(std::size_t position, Value& value) noexcept { replace_in(places_[position].slot, value); }
  void replace(std::size_t position, Value& value, std::uint64_t hash) noexcept {
    replace_in(slot_of(position, hash), value);
  }

  void erase(std::size_t position) noexcept {
    const std::size_t last = size() - 1;
    index_.unlink(places_[position].tag, places_[position].slot);
    if (position != last) {
      places_[position].tag = places_[last].tag;
      set_slot(position, places_[last].slot);
    }
    places_.pop_back();
    if (index_.capacity() > 2 * kMinRoom && size() < index_.capacity() / 4) [[unlikely]]
      shrink();
  }

  void swap_entries(std::size_t a, std::size_t b) noexcept {
    std::swap(places_[a].tag, places_[b].tag);
    const std::uint32_t slot = places_[a].slot;
    set_slot(a, places_[b].slot);
    set_slot(b, slot);
  }

  void append(std::uint64_t hash, Key&& key, Value&& value) {
    if (places_.size() == places_.capacity()) places_.reserve(places_.size() + 1);
    if (loaded_.size() == loaded_.capacity()) loaded_.reserve(loaded_.size() + 1);
    places_.emplace_back(Place{0, tag_of(hash)});
    loaded_.emplace_back(std::move(key), std::move(value));
  }

  template <class KeyEqual>
  [[nodiscard]] std::size_t build_index(const KeyEqual& equal, SeededHash<Key> seeded = nullptr) {
    index_.clear_for(size() + size() / 4);
    for (std::size_t i = 0; i < size(); ++i) {
      const auto same = [&](const Entry& other) { return equal(other.key, loaded_[i].key); };
      const bool twice = index_.find(places_[i].tag, same, [] { return kNone; }) != kNone;
      const auto linked = index_.link(places_[i].tag, i, loaded_[i]);
      places_[i].slot = static_cast<std::uint32_t>(linked.slot);
      if (twice) return i;  // the caller reads the entry there
      if (linked.crowded && seeded != nullptr && !is_secret_) [[unlikely]] {
        draw_secret([&](std::size_t at) { return seeded(loaded_[at].key, seed_); });
        return build_index(equal, seeded);
      }
    }
    loaded_ = {};
    return kNone;
  }

 private:
  static constexpr std::size_t kMinRoom = 8;  // kept even by an empty table

  struct Place {
    std::uint32_t slot;
    std::uint32_t tag;  // so that moving an entry needs no hash
  };

  [[nodiscard]] static std::uint32_t tag_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32);
  }
  [[nodiscard]] static std::size_t grown(std::size_t capacity) noexcept {
    return capacity + capacity / 2 + 4;
  }

  template <class Matches>
  [[nodiscard]] std::size_t find_slot(std::uint64_t hash, const Matches& matches) const {
    return index_.find(
        tag_of(hash), [&](const Entry& entry) { return matches(entry.key); }, [] { return kNone; });
  }
  /// The slot of an entry that a search for `hash` has found, by the memory that the search has read.
  [[nodiscard]] std::size_t slot_of(std::size_t position, std::uint64_t hash) const noexcept {
    return is_secret_ ? places_[position].slot : index_.slot_of(tag_of(hash), position);
  }
  void set_slot(std::size_t position, std::uint32_t slot) noexcept {
    places_[position].slot = slot;
    index_.set_position(slot, position);
  }
  void replace_in(std::size_t slot, Value& value) noexcept {
    Value& old = index_[slot].value;
    std::destroy_at(std::addressof(old));
    std::construct_at(std::addressof(old), std::move(value));
  }

  /// Stores all entries in the empty chunks; `from` are those in which they have been so far. The order of
  /// tags is that of the chunks, before and after, so memory is read and written from its start to its end.
  void move_from(const Index& from) noexcept {
    from.for_each([this](std::size_t position, const Entry& entry) {
      places_[position].slot =
          static_cast<std::uint32_t>(index_.link(places_[position].tag, position, entry).slot);
    });
  }

  /// Places all entries by a secret, which is drawn once: with a secret, keys crowd only by chance. If there
  /// is no memory for that, they stay crowded until the next insert among them.
  [[gnu::noinline]] void keep_secret(SeededHash<Key> seeded) noexcept {
    Index old;
    if (seeded == nullptr || is_secret_ || !index_.clear_into(old)) return;
    draw_secret([&](std::size_t at) { return seeded(old[places_[at].slot].key, seed_); });
    move_from(old);
  }
  /// `hash_at(position)` hashes a key with the new secret.
  template <class HashAt>
  void draw_secret(const HashAt& hash_at) noexcept {
    seed_ = HashSeed::random();
    is_secret_ = true;
    for (std::size_t i = 0; i < size(); ++i) places_[i].tag = tag_of(hash_at(i));
  }

  /// Leaves room for twice the entries, as the other tables do.
  [[gnu::noinline]] void shrink() noexcept {
    const std::size_t room = std::max(2 * size(), kMinRoom);
    try {
      move_from(index_.clear_for(room));
      places_.shrink(room);
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the next removal tries again
    }
  }

  // The members that a search reads come first, in one cache line.
  Index index_;
  bool is_secret_ = false;
  BlockVector<Place> places_;  // of each entry
  HashSeed seed_;              // if `is_secret_`
  BlockVector<Entry> loaded_;  // appended, and not indexed yet
};

}}}  // namespace kvstore::v1::detail
