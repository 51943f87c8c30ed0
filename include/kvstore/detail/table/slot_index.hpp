// SPDX-License-Identifier: MIT
#pragma once

// Small entries by hash: as `PlaceIndex`, but the chunks hold the entries themselves beside their positions,
// so that a search waits for memory once and not twice. A chunk is one cache line, or two that lie side by
// side, which a search requests together.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "kvstore/detail/base/load_word.hpp"
#include "kvstore/detail/base/prefetch.hpp"
#include "kvstore/detail/text/byte_block.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Stores entries, and the position of each. Callers keep 32 bits of each entry's hash, its tag. A slot is
/// the number of an entry's place in memory; it holds until the next `rebuild`, `clear_for` or `relink_all`.
template <class Entry>
class SlotIndex {
 public:
  static_assert(std::is_trivially_copyable_v<Entry> && sizeof(Entry) <= 16);
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  SlotIndex() = default;
  SlotIndex(const SlotIndex&) = delete;
  SlotIndex& operator=(const SlotIndex&) = delete;
  SlotIndex(SlotIndex&& other) noexcept { swap(other); }
  SlotIndex& operator=(SlotIndex&& other) noexcept {
    SlotIndex{std::move(other)}.swap(*this);
    return *this;
  }
  ~SlotIndex() { delete[] chunks(); }

  /// The slot of the entry with this tag for which `matches` holds, or the result of `otherwise()`.
  template <class Matches, class Otherwise>
  [[nodiscard]] std::size_t find(std::uint32_t tag, const Matches& matches,
                                 const Otherwise& otherwise) const {
    const std::uint8_t print = print_of(tag);
    const Chunk* const all = chunks();
    std::size_t at = home(tag);
    for (std::uint32_t left = reach_; left != 0; --left, at = next(at)) {
      const Chunk& chunk = all[at];
      for (std::uint32_t hits = chunk.matches(print); hits != 0; hits &= hits - 1) {
        const auto place = static_cast<std::size_t>(std::countr_zero(hits));
        if (matches(chunk.entry(place))) return at * kStride + place;
      }
      if (chunk.passed_on() == 0) break;
    }
    return otherwise();
  }
  /// The slot of the entry with this tag and position, which exists.
  [[nodiscard]] std::size_t slot_of(std::uint32_t tag, std::size_t position) const noexcept {
    const std::uint8_t print = print_of(tag);
    std::size_t place = 0;
    std::size_t at = home(tag);
    while ((place = chunks()[at].place_of(print, position)) == kPlaces) at = next(at);
    return at * kStride + place;
  }

  [[nodiscard]] const Entry& operator[](std::size_t slot) const noexcept {
    return chunks()[slot / kStride].entry(slot % kStride);
  }
  [[nodiscard]] Entry& operator[](std::size_t slot) noexcept {
    return chunks()[slot / kStride].entry(slot % kStride);
  }
  [[nodiscard]] std::size_t position(std::size_t slot) const noexcept {
    return chunks()[slot / kStride].position(slot % kStride);
  }
  /// Records that the entry in `slot` now has this position.
  void set_position(std::size_t slot, std::size_t position) noexcept {
    chunks()[slot / kStride].set_position(slot % kStride, position);
  }

  /// Runs `fn(position, entry)` for every entry, in the order of their tags.
  template <class Fn>
  void for_each(const Fn& fn) const {
    for (std::size_t at = 0; at < count(); ++at) {
      const Chunk& chunk = chunks()[at];
      for (std::uint32_t used = chunk.matches(0) ^ kPlaceBits; used != 0; used &= used - 1) {
        const auto place = static_cast<std::size_t>(std::countr_zero(used));
        fn(chunk.position(place), chunk.entry(place));
      }
    }
  }

  /// The number of entries that there is room for. `link` takes no more.
  [[nodiscard]] std::size_t capacity() const noexcept {
    return count() == 1 ? kPlaces : count() * kPlaces * 5 / 6;
  }

  /// Makes room for `count` entries, and holds none afterwards. Strong. @returns the old chunks, whose slots
  /// still hold.
  SlotIndex clear_for(std::size_t count) {
    const std::size_t needed = count <= kPlaces ? 1 : (count * 6 + kPlaces * 5 - 1) / (kPlaces * 5);
    SlotIndex other;
    other.set(new Chunk[needed], needed);
    other.swap(*this);
    return other;
  }
  /// The same for as much room as now. @returns false if there is no memory for that; then nothing has
  /// changed
  bool clear_into(SlotIndex& old) noexcept {
    auto* const fresh = new (std::nothrow) Chunk[count()];
    if (fresh == nullptr) return false;
    const std::size_t as_many = count();
    old.swap(*this);
    set(fresh, as_many);
    return true;
  }

  struct Linked {
    std::size_t slot;
    bool crowded;  // as `PlaceIndex::link` returns
  };
  /// Stores an entry. Needs room.
  Linked link(std::uint32_t tag, std::size_t position, const Entry& entry) noexcept {
    const std::uint8_t print = print_of(tag);
    Chunk* const all = chunks();
    std::size_t at = home(tag);
    std::uint32_t reach = 1;
    int alike = 0;
    for (; all[at].is_full(); ++reach) {
      alike += std::popcount(all[at].matches(print));
      all[at].pass_on();
      at = next(at);
    }
    const std::size_t place = all[at].add(print, position, entry);
    reach_ = std::max(reach_, reach);
    return {at * kStride + place, reach > kUsualReach || alike > kUsuallyAlike};
  }

  /// Removes the entry in `slot`, whose tag is `tag`.
  void unlink(std::uint32_t tag, std::size_t slot) noexcept {
    Chunk* const all = chunks();
    const std::size_t end = slot / kStride;
    for (std::size_t at = home(tag); at != end; at = next(at)) all[at].take_back();
    all[end].clear(slot % kStride);
  }

  /// Prefetches the memory that a search for `tag` reads first. May be called while another thread changes
  /// the index: the address may then be wrong, which does no harm.
  [[gnu::always_inline]] void prefetch(std::uint32_t tag) const noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(chunks()) + home(tag) * sizeof(Chunk);
    // NOLINTBEGIN(performance-no-int-to-ptr): never dereferenced
    detail::prefetch(reinterpret_cast<const void*>(address));
    if constexpr (sizeof(Chunk) > kLine) detail::prefetch(reinterpret_cast<const void*>(address + kLine));
    // NOLINTEND(performance-no-int-to-ptr)
  }

 private:
  static constexpr std::size_t kLine = 64;
  static constexpr std::size_t kBytes = sizeof(Entry) <= 8 ? kLine : 2 * kLine;
  static constexpr std::size_t kHead = 8;  // a byte of hash for each place, and how many were passed on
  // The places that fit behind the head, with a position and an entry each.
  static constexpr std::size_t kPlaces =
      std::min<std::size_t>((kBytes - kHead) / (sizeof(std::uint32_t) + sizeof(Entry)), kHead - 1);
  static constexpr std::size_t kStride = 8;  // of slots, from chunk to chunk
  static constexpr std::uint32_t kPlaceBits = (1U << kPlaces) - 1;
  static constexpr std::uint32_t kUsualReach = 128;
  static constexpr int kUsuallyAlike = 32;

  // Entries are at the end, where any alignment fits.
  struct alignas(64) Chunk {
    std::array<char, kBytes> bytes;

    /// Only that much is read before it is written.
    Chunk() noexcept { std::memset(bytes.data(), 0, kBlockSize); }

    [[nodiscard]] std::uint32_t matches(std::uint8_t byte) const noexcept {
      return equal_bits(load_block(bytes.data()), byte) & kPlaceBits;
    }
    [[nodiscard]] bool is_full() const noexcept { return matches(0) == 0; }

    [[nodiscard]] std::size_t position(std::size_t place) const noexcept {
      return static_cast<std::uint32_t>(
          load_word<std::uint32_t>(&bytes[kHead + place * sizeof(std::uint32_t)]));
    }
    void set_position(std::size_t place, std::size_t position) noexcept {
      const auto word = static_cast<std::uint32_t>(position);
      std::memcpy(&bytes[kHead + place * sizeof word], &word, sizeof word);
    }

    [[nodiscard]] const Entry& entry(std::size_t place) const noexcept {
      return *std::launder(reinterpret_cast<const Entry*>(&bytes[offset(place)]));
    }
    [[nodiscard]] Entry& entry(std::size_t place) noexcept {
      return *std::launder(reinterpret_cast<Entry*>(&bytes[offset(place)]));
    }

    [[nodiscard]] std::size_t place_of(std::uint8_t print, std::size_t position) const noexcept {
      for (std::uint32_t hits = matches(print); hits != 0; hits &= hits - 1) {
        const auto place = static_cast<std::size_t>(std::countr_zero(hits));
        if (this->position(place) == position) return place;
      }
      return kPlaces;
    }
    std::size_t add(std::uint8_t print, std::size_t position, const Entry& entry) noexcept {
      const auto place = static_cast<std::size_t>(std::countr_zero(matches(0)));
      bytes[place] = static_cast<char>(print);
      set_position(place, position);
      ::new (static_cast<void*>(&bytes[offset(place)])) Entry(entry);
      return place;
    }
    void clear(std::size_t place) noexcept { bytes[place] = 0; }

    // Once the count has reached 255 it stays there: it cannot be known any more when none is left.
    [[nodiscard]] std::uint8_t passed_on() const noexcept {
      return static_cast<std::uint8_t>(bytes[kHead - 1]);
    }
    void pass_on() noexcept {
      if (passed_on() != 255) ++bytes[kHead - 1];
    }
    void take_back() noexcept {
      if (passed_on() != 255) --bytes[kHead - 1];
    }

   private:
    [[nodiscard]] static constexpr std::size_t offset(std::size_t place) noexcept {
      return kBytes - (kPlaces - place) * sizeof(Entry);
    }
  };
  static_assert(sizeof(Chunk) == kBytes && kPlaces > 1);

  // The high bits of a tag select the chunk, the low bits distinguish its places.
  [[nodiscard]] std::size_t home(std::uint32_t tag) const noexcept {
    return static_cast<std::size_t>((std::uint64_t{tag} * count()) >> 32);
  }
  [[nodiscard]] static std::uint8_t print_of(std::uint32_t tag) noexcept {
    return static_cast<std::uint8_t>(std::max<std::uint32_t>(tag & 0xFFU, 1));
  }
  [[nodiscard]] std::size_t next(std::size_t at) const noexcept { return at + 1 == count() ? 0 : at + 1; }

  [[nodiscard]] Chunk* chunks() const noexcept { return chunks_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  void set(Chunk* chunks, std::size_t count) noexcept {
    chunks_.store(chunks, std::memory_order_relaxed);
    count_.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  }
  void swap(SlotIndex& other) noexcept {
    Chunk* const chunks = other.chunks();
    const std::size_t count = other.count();
    other.set(this->chunks(), this->count());
    set(chunks, count);
    std::swap(reach_, other.reach_);
  }

  // Atomic only because of `prefetch`.
  std::atomic<Chunk*> chunks_ = nullptr;
  std::atomic<std::uint32_t> count_ = 0;
  // The most chunks that a search reads: the counts of a chunk alone would not end it, once they are lost.
  std::uint32_t reach_ = 0;
};

}}}  // namespace kvstore::v1::detail
