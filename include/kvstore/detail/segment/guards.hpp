// SPDX-License-Identifier: MIT
#pragma once

// The guards of a persistent store's tables, one per segment.

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "kvstore/detail/base/fair_shared_mutex.hpp"
#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/histogram_recorder.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/base/reader_slots.hpp"
#include "kvstore/detail/segment/cut.hpp"
#include "kvstore/detail/segment/cut_number.hpp"
#include "kvstore/detail/segment/shared_group.hpp"
#include "kvstore/detail/table/dense_map.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The guard of one table. `mutex` guards `cut`, and guards the table from all but the readers that enter by
/// `bias`: to write the table, use `Segments::Writing` or `lock`.
template <class Key, class Value, class Mutex>
struct alignas(64) SegmentGuard {
  mutable ReaderBias bias;  // on the first cache line, the only one that a reader without the lock reads
  mutable FairSharedMutex<Mutex> mutex;
  SegmentCut<Key, Value> cut;
};

/// The guards of all segments and the number of the current cut.
template <class Key, class Value, class Mutex>
class Segments {
 public:
  using Table = DenseMap<Key, Value>;
  using Guard = SegmentGuard<Key, Value, Mutex>;
  using Lock = std::unique_lock<FairSharedMutex<Mutex>>;

  void resize(std::size_t count) {
    guards_ = std::make_unique<Guard[]>(count);
    count_ = count;
  }
  /// In a forked child, before it is destroyed.
  void leave() noexcept { leave_contents_to_parent(guards_); }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] Guard& operator[](std::size_t index) const noexcept { return guards_[index]; }

  /// Holds a segment for a reader of its table: by `local`, the calling thread's slot, if there is one and
  /// the segment is open, otherwise by the shared lock.
  class Reading {
   public:
    Reading(const Segments& segments, std::size_t index, ReaderSlot* local)
        : guard_{segments.guards_[index]} {
      if (local != nullptr && segments.slots_.enter(*local, guard_.bias, index)) {
        slot_ = local;
        return;
      }
      guard_.mutex.lock_shared();
      guard_.bias.note_read();
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() {
      if (slot_ != nullptr)
        slot_->leave();
      else
        guard_.mutex.unlock_shared();
    }

   private:
    const Guard& guard_;
    ReaderSlot* slot_ = nullptr;
  };

  /// Holds a segment for a writer of its table, once all of its readers have left. The wait is recorded.
  class Writing {
   public:
    Writing(Segments& segments, std::size_t index) : guard_{segments.guards_[index]} {
      if (!guard_.mutex.try_lock()) segments.wait_for_lock(guard_);
      segments.let_readers_leave(guard_, index);
    }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;
    ~Writing() { guard_.mutex.unlock(); }

   private:
    Guard& guard_;
  };

  /// The same, for as long as the caller wants.
  [[nodiscard]] Lock lock(std::size_t index) {
    Guard& guard = guards_[index];
    Lock lock{guard.mutex, std::try_to_lock};
    if (!lock) {
      wait_for_lock(guard);
      lock = Lock{guard.mutex, std::adopt_lock};
    }
    let_readers_leave(guard, index);
    return lock;
  }
  /// The exclusive locks of all segments, or of those with these indices, which ascend. *Complexity*:
  /// O(segments); for segments that were only read, times the threads that read.
  [[nodiscard]] std::vector<Lock> lock_all() {
    std::vector<Lock> locks;
    locks.reserve(count_);
    for (std::size_t i = 0; i < count_; ++i) locks.push_back(lock(i));
    return locks;
  }
  [[nodiscard]] std::vector<Lock> lock_each(std::span<const std::size_t> indices) {
    std::vector<Lock> locks;
    locks.reserve(indices.size());
    for (const std::size_t index : indices) locks.push_back(lock(index));
    return locks;
  }

  /// Runs `fn` once for all of `indices`, at most `SegmentNames::kMax`, that can be read at once, and passes
  /// it their bits; then once for each of the others. `local` is as for `Reading`. @returns the union of the
  /// bits that `fn` returned
  [[nodiscard]] std::uint32_t read_group(std::span<const std::size_t> indices, ReaderSlot* local,
                                         FunctionRef<std::uint32_t(std::uint32_t)> fn) const {
    auto left = static_cast<std::uint32_t>((std::uint64_t{1} << indices.size()) - 1);
    std::uint32_t result = 0;
    {
      const OpenGroup open{*this, indices, local};
      const SharedGroup locked{guards_.get(), indices, left & ~open.which()};
      const std::uint32_t together = open.which() | locked.which();
      left &= ~together;
      result = fn(together);
    }
    for (; left != 0; left &= left - 1) {
      const Reading reading{*this, indices[static_cast<std::size_t>(std::countr_zero(left))], nullptr};
      result |= fn(left & (~left + 1));
    }
    return result;
  }

  [[nodiscard]] const HistogramRecorder& waits() const noexcept { return waits_; }

  /// The current cut, for a writer, which must read it under the segment's exclusive lock.
  [[nodiscard]] CutNumber cut() const noexcept { return cut_.load(std::memory_order_seq_cst); }
  /// One cut at a time.
  CutNumber open_cut(CutKind kind) noexcept {
    const CutNumber next = cut() + kNextCut + static_cast<CutNumber>(kind);
    cut_.store(next, std::memory_order_seq_cst);
    return next;
  }
  void close_cut() noexcept { cut_.store(cut() & ~kCutKinds, std::memory_order_seq_cst); }
  /// Call before threads use the store: marks are kept from now on.
  void keep_marks() noexcept { cut_.store(cut() | kKeepsMarks, std::memory_order_seq_cst); }

 private:
  /// The open ones among some segments, held by the calling thread's slot.
  class OpenGroup {
   public:
    OpenGroup(const Segments& segments, std::span<const std::size_t> indices, ReaderSlot* local) noexcept
        : local_{local} {
      const auto bias_of = [&](std::size_t i) -> const ReaderBias& {
        return segments.guards_[indices[i]].bias;
      };
      if (local != nullptr) which_ = segments.slots_.enter(*local, indices, bias_of);
    }
    OpenGroup(const OpenGroup&) = delete;
    OpenGroup& operator=(const OpenGroup&) = delete;
    ~OpenGroup() {
      if (which_ != 0) local_->leave();
    }

    /// Bit i is set if `indices[i]` is held.
    [[nodiscard]] std::uint32_t which() const noexcept { return which_; }

   private:
    ReaderSlot* local_;
    std::uint32_t which_ = 0;
  };

  [[gnu::noinline]] void wait_for_lock(Guard& guard) {
    const TimeRecorded waiting{waits_};
    guard.mutex.lock();
  }
  /// Under the segment's exclusive lock.
  void let_readers_leave(Guard& guard, std::size_t index) noexcept {
    if (guard.bias.close(slots_.count()) && slots_.is_anyone_in(index)) wait_for_readers(index);
  }
  [[gnu::noinline]] void wait_for_readers(std::size_t index) noexcept {
    const TimeRecorded waiting{waits_};
    slots_.wait_until_left(index);
  }

  std::unique_ptr<Guard[]> guards_;
  std::size_t count_ = 0;
  mutable ReaderSlots slots_;
  HistogramRecorder waits_;
  alignas(64) std::atomic<CutNumber> cut_ = 0;  // on a cache line of its own: every writer reads it
};

}}}  // namespace kvstore::v1::detail
