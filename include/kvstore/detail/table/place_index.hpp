// SPDX-License-Identifier: MIT
#pragma once

// The positions of a table's entries, by hash. Chunks of one cache line hold twelve places each, with a byte
// of hash for each place; these bytes are compared sixteen at once. A full chunk passes further entries on to
// the next one and counts them, so that a search knows where to stop, and a removal leaves no trace. The idea
// is F14 (N. Bronson and X. Shi, "Open-sourcing F14 for faster, more memory-efficient hash tables", 2019).
// The number of chunks may be any number, since a hash is scaled to it instead of masked.
//
// Without SSE2, a read of an integer takes 1.62x the processor time (quartiles 1.43..1.81) and of a string
// 1.28x (1.17..1.38); as two numbers of eight bytes each, 1.24x (1.06..1.32) and the same.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvstore/detail/base/prefetch.hpp"
#include "kvstore/detail/text/byte_block.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Stores positions. Callers keep 32 bits of each entry's hash, its tag.
class PlaceIndex {
 public:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  PlaceIndex() = default;
  PlaceIndex(const PlaceIndex&) = delete;
  PlaceIndex& operator=(const PlaceIndex&) = delete;
  PlaceIndex(PlaceIndex&& other) noexcept { swap(other); }
  PlaceIndex& operator=(PlaceIndex&& other) noexcept {
    PlaceIndex{std::move(other)}.swap(*this);
    return *this;
  }
  ~PlaceIndex() { delete[] chunks(); }

  /// The position with this tag for which `matches` holds, or `kNone`.
  template <class Matches>
  [[nodiscard]] std::size_t find(std::uint32_t tag, const Matches& matches) const {
    return find(tag, matches, [] { return kNone; });
  }
  /// The same; if there is none, the result of `otherwise()`.
  template <class Matches, class Otherwise>
  [[nodiscard]] std::size_t find(std::uint32_t tag, const Matches& matches,
                                 const Otherwise& otherwise) const {
    const std::uint8_t print = print_of(tag);
    const Chunk* const all = chunks();
    std::size_t at = home(tag);
    for (std::uint32_t left = reach_; left != 0; --left, at = next(at)) {
      const Chunk& chunk = all[at];
      for (std::uint32_t hits = chunk.matches(print); hits != 0; hits &= hits - 1) {
        const std::size_t position = chunk.places[static_cast<std::size_t>(std::countr_zero(hits))];
        if (matches(position)) return position;
      }
      if (chunk.passed_on() == 0) break;
    }
    return otherwise();
  }

  /// The position that `find` examines first, or `kNone`.
  [[nodiscard]] std::size_t likely(std::uint32_t tag) const noexcept {
    if (count() == 0) return kNone;
    const Chunk& chunk = chunks()[home(tag)];
    const std::uint32_t hits = chunk.matches(print_of(tag));
    return hits == 0 ? kNone : chunk.places[static_cast<std::size_t>(std::countr_zero(hits))];
  }

  /// The number of positions that there is room for. `link` takes no more.
  [[nodiscard]] std::size_t capacity() const noexcept {
    return count() == 1 ? kPlaces : count() * kUsualLoad;
  }

  /// Makes room for `count` positions, and links the positions from 0 on with the given tags. Strong.
  void rebuild(std::size_t count, const std::vector<std::uint32_t>& tags) {
    clear_for(count);
    for (std::size_t i = 0; i < tags.size(); ++i) link(tags[i], i);
  }

  /// Makes room for `count` positions, and holds none afterwards. Strong.
  void clear_for(std::size_t count) {
    const std::size_t needed = count <= kPlaces ? 1 : (count + kUsualLoad - 1) / kUsualLoad;
    PlaceIndex fresh;
    fresh.set(new Chunk[needed], needed);
    fresh.swap(*this);
  }

  /// @returns whether more entries crowd at this tag's place than they do with any tags that nobody has
  /// chosen. In 4,000 tables of random tags, up to 100,000 in each, no entry was passed on by more than 49
  /// chunks, or past more than six entries with the same print.
  bool link(std::uint32_t tag, std::size_t position) noexcept {
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
    all[at].add(print, position);
    reach_ = std::max(reach_, reach);
    return reach > kUsualReach || alike > kUsuallyAlike;
  }

  /// Links all positions anew, with other tags, in the memory that there is.
  void relink_all(const std::vector<std::uint32_t>& tags) noexcept {
    for (std::size_t at = 0; at < count(); ++at) chunks()[at] = Chunk{};
    reach_ = 0;
    for (std::size_t i = 0; i < tags.size(); ++i) link(tags[i], i);
  }

  void unlink(std::uint32_t tag, std::size_t position) noexcept {
    Chunk* const all = chunks();
    std::size_t at = home(tag);
    std::size_t slot = 0;
    while ((slot = all[at].slot_of(print_of(tag), position)) == kPlaces) {
      all[at].take_back();
      at = next(at);
    }
    all[at].line[slot] = 0;
  }

  /// Records that the entry at `from` is now at `to`, where no other entry is.
  void relink(std::uint32_t tag, std::size_t from, std::size_t to) noexcept {
    *place_of(tag, from) = static_cast<std::uint32_t>(to);
  }
  /// Records that two entries have swapped places.
  void exchange(std::uint32_t tag_a, std::size_t a, std::uint32_t tag_b, std::size_t b) noexcept {
    std::uint32_t* const place_a = place_of(tag_a, a);
    std::swap(*place_a, *place_of(tag_b, b));
  }

  /// Prefetches the memory that a search for `tag` reads first. May be called while another thread changes
  /// the index: the address may then be wrong, which does no harm.
  [[gnu::always_inline]] void prefetch(std::uint32_t tag) const noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(chunks()) + home(tag) * sizeof(Chunk);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): never dereferenced
    detail::prefetch(reinterpret_cast<const void*>(address));
  }

 private:
  static constexpr std::size_t kPlaces = 12;
  static constexpr std::size_t kUsualLoad = 10;  // on average; some chunks hold more, and few pass any on
  static constexpr std::uint32_t kPlaceBits = (1U << kPlaces) - 1;
  static constexpr std::uint32_t kUsualReach = 128;
  static constexpr int kUsuallyAlike = 32;

  struct alignas(64) Chunk {
    // Twelve bytes of hash (0 = unused place), then unused bytes; the last byte counts the entries passed on.
    std::array<std::uint8_t, kBlockSize> line{};
    std::array<std::uint32_t, kPlaces> places{};

    [[nodiscard]] std::uint32_t matches(std::uint8_t byte) const noexcept {
      const char* const bytes = reinterpret_cast<const char*>(line.data());
      return equal_bits(load_block(bytes), byte) & kPlaceBits;
    }
    [[nodiscard]] bool is_full() const noexcept { return matches(0) == 0; }
    [[nodiscard]] std::size_t slot_of(std::uint8_t print, std::size_t position) const noexcept {
      for (std::uint32_t hits = matches(print); hits != 0; hits &= hits - 1) {
        const auto slot = static_cast<std::size_t>(std::countr_zero(hits));
        if (places[slot] == position) return slot;
      }
      return kPlaces;
    }
    void add(std::uint8_t print, std::size_t position) noexcept {
      const auto slot = static_cast<std::size_t>(std::countr_zero(matches(0)));
      line[slot] = print;
      places[slot] = static_cast<std::uint32_t>(position);
    }

    // Once the count has reached 255 it stays there: it cannot be known any more when none is left.
    [[nodiscard]] std::uint8_t passed_on() const noexcept { return line[15]; }
    void pass_on() noexcept {
      if (passed_on() != 255) ++line[15];
    }
    void take_back() noexcept {
      if (passed_on() != 255) --line[15];
    }
  };
  static_assert(sizeof(Chunk) == 64);

  // The high bits of a tag select the chunk, the low bits distinguish its places.
  [[nodiscard]] std::size_t home(std::uint32_t tag) const noexcept {
    return static_cast<std::size_t>((std::uint64_t{tag} * count()) >> 32);
  }
  [[nodiscard]] static std::uint8_t print_of(std::uint32_t tag) noexcept {
    return static_cast<std::uint8_t>(std::max<std::uint32_t>(tag & 0xFFU, 1));
  }
  [[nodiscard]] std::size_t next(std::size_t at) const noexcept { return at + 1 == count() ? 0 : at + 1; }

  [[nodiscard]] std::uint32_t* place_of(std::uint32_t tag, std::size_t position) noexcept {
    Chunk* const all = chunks();
    std::size_t at = home(tag);
    std::size_t slot = 0;
    while ((slot = all[at].slot_of(print_of(tag), position)) == kPlaces) at = next(at);
    return &all[at].places[slot];
  }

  [[nodiscard]] Chunk* chunks() const noexcept { return chunks_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  void set(Chunk* chunks, std::size_t count) noexcept {
    chunks_.store(chunks, std::memory_order_relaxed);
    count_.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  }
  void swap(PlaceIndex& other) noexcept {
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
