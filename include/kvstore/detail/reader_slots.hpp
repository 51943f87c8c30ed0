// SPDX-License-Identifier: MIT
#pragma once

// Readers who write nothing that others read. Even a shared lock is a cache line that each reader writes, and
// so one that moves between the processors at every read. A segment that has only been read for a while
// therefore opens: readers no longer lock it, but announce themselves in a slot of their thread. A writer
// takes the segment's lock, closes it, and waits for those readers who announced themselves before.
//
// The idea is BRAVO (D. Dice and A. Kogan, "BRAVO - Biased Locking for Reader-Writer Locks", 2019), here with
// a slot for each thread instead of a table that threads hash into, and with a number of reads, not a time,
// after which a segment opens again: as many as there are slots, each a cache line that its next writer will
// have to look at.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>

namespace kvstore::inline v0::detail {

/// Whether readers may do without a segment's lock.
class ReaderBias {
 public:
  static constexpr std::uint32_t kFewestReads = 4;

  [[nodiscard]] bool is_open(std::memory_order order) const noexcept { return open_.load(order); }

  /// Counts a read, under the segment's shared lock. Readers who count at once may count as one, or undo what
  /// others have counted; so what has opened stays open until it is closed.
  void note_read() noexcept {
    const std::uint32_t left = reads_to_open_.load(std::memory_order_relaxed);
    if (left == 0) return;
    reads_to_open_.store(left - 1, std::memory_order_relaxed);
    if (left == 1) open_.store(true, std::memory_order_seq_cst);
  }

  /// Under the segment's exclusive lock. It opens again after `reads`, or `kFewestReads` if that is more.
  /// @returns whether it was open, so that readers may still be inside
  bool close(std::uint32_t reads) noexcept {
    reads = std::max(reads, kFewestReads);
    if (reads_to_open_.load(std::memory_order_relaxed) != reads) {
      reads_to_open_.store(reads, std::memory_order_relaxed);
    }
    if (!open_.load(std::memory_order_relaxed)) return false;
    open_.store(false, std::memory_order_seq_cst);
    return true;
  }

 private:
  std::atomic<bool> open_ = false;
  std::atomic<std::uint32_t> reads_to_open_ = kFewestReads;
};

/// The segment that a thread reads without its lock, or several at once, if any.
class ReaderSlot {
 public:
  [[nodiscard]] bool is_free() const noexcept { return segment_.load(std::memory_order_relaxed) == kNone; }
  [[nodiscard]] bool is_in(std::size_t segment) const noexcept {
    const std::size_t seen = segment_.load(std::memory_order_seq_cst);
    if (seen != kGroup) return seen == segment + 1;
    return (group_[word_of(segment)].load(std::memory_order_acquire) & bit_of(segment)) != 0;
  }
  void announce(std::size_t segment) noexcept { segment_.store(segment + 1, std::memory_order_seq_cst); }
  /// Those that are 256 apart count as one. Whoever looks meanwhile sees the group before or after, of which
  /// the thread reads neither: it has left the one, and is not sure of the other.
  void announce(std::span<const std::size_t> segments) noexcept {
    std::array<std::uint64_t, kWords> words{};
    for (const std::size_t segment : segments) words[word_of(segment)] |= bit_of(segment);
    for (std::size_t i = 0; i < kWords; ++i) group_[i].store(words[i], std::memory_order_release);
    segment_.store(kGroup, std::memory_order_seq_cst);
  }
  void leave() noexcept { segment_.store(kNone, std::memory_order_release); }

 private:
  friend class ReaderSlots;
  static constexpr std::size_t kNone = 0;
  static constexpr std::size_t kGroup = static_cast<std::size_t>(-1);
  static constexpr std::size_t kWords = 4;

  [[nodiscard]] static std::size_t word_of(std::size_t segment) noexcept { return segment / 64 % kWords; }
  [[nodiscard]] static std::uint64_t bit_of(std::size_t segment) noexcept {
    return std::uint64_t{1} << segment % 64;
  }

  std::atomic<std::size_t> segment_ = kNone;
  std::array<std::atomic<std::uint64_t>, kWords> group_{};  // where `segment_` is `kGroup`
  const ReaderSlot* next_ = nullptr;                        // in the list of slots
  bool listed_ = false;
};

/// The slots of those threads that have read without a lock. They outlive this.
class ReaderSlots {
 public:
  /// Announces the calling thread, whose slot `slot` is, as a reader of `segment`, if that is open and the
  /// thread is in no other. @returns whether it did; then it is to leave the slot
  ///
  /// Announcing comes before looking whether the segment is open, and a writer closes it before it looks who
  /// is inside, all in the one order of sequential consistency: one of the two sees the other.
  [[nodiscard]] bool enter(ReaderSlot& slot, const ReaderBias& bias, std::size_t segment) noexcept {
    if (!bias.is_open(std::memory_order_relaxed) || !slot.is_free()) return false;
    if (!slot.listed_) [[unlikely]]
      list(slot);
    slot.announce(segment);
    if (bias.is_open(std::memory_order_seq_cst)) return true;
    slot.leave();
    return false;
  }

  /// The same of several segments, at most 32, of which `bias_of(i)` says whether `segments[i]` is open.
  /// @returns a bit for each that is; if there is one, the thread is to leave the slot
  template <class BiasOf>
  [[nodiscard]] std::uint32_t enter(ReaderSlot& slot, std::span<const std::size_t> segments,
                                    const BiasOf& bias_of) noexcept {
    const auto open_ones = [&](std::memory_order order) {
      std::uint32_t open = 0;
      for (std::size_t i = 0; i < segments.size(); ++i) {
        open |= std::uint32_t{bias_of(i).is_open(order)} << i;
      }
      return open;
    };
    if (!slot.is_free() || open_ones(std::memory_order_relaxed) == 0) return 0;
    if (!slot.listed_) [[unlikely]]
      list(slot);
    slot.announce(segments);
    const std::uint32_t open = open_ones(std::memory_order_seq_cst);
    if (open == 0) slot.leave();
    return open;
  }

  /// How many threads have announced themselves so far.
  [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

  /// For a writer that has closed `segment`. *Complexity*: O(`count()`)
  [[nodiscard]] bool is_anyone_in(std::size_t segment) const noexcept {
    for (const ReaderSlot* slot = first_.load(std::memory_order_seq_cst); slot != nullptr;
         slot = slot->next_) {
      if (slot->is_in(segment)) return true;
    }
    return false;
  }
  /// The same, until nobody is. Polls, so that a reader that leaves need not look for somebody to wake.
  void wait_until_left(std::size_t segment) const noexcept {
    for (int turn = 0; is_anyone_in(segment); ++turn) {
      if (turn < kTurns)
        std::this_thread::yield();
      else
        std::this_thread::sleep_for(kPause);
    }
  }

 private:
  static constexpr int kTurns = 100;
  static constexpr std::chrono::microseconds kPause{50};

  [[gnu::noinline]] void list(ReaderSlot& slot) noexcept {
    const ReaderSlot* first = first_.load(std::memory_order_relaxed);
    do { slot.next_ = first; } while (!first_.compare_exchange_weak(first, &slot, std::memory_order_seq_cst));
    slot.listed_ = true;
    count_.fetch_add(1, std::memory_order_relaxed);
  }

  std::atomic<const ReaderSlot*> first_ = nullptr;
  std::atomic<std::uint32_t> count_ = 0;
};

}  // namespace kvstore::inline v0::detail
