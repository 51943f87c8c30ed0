// SPDX-License-Identifier: MIT
#pragma once

// What guards the tables of a persistent store, one of each per segment.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kvstore/detail/fair_shared_mutex.hpp"
#include "kvstore/detail/segment_cut.hpp"

namespace kvstore::inline v0::detail {

/// What lies beside one table. `mutex` guards the table and `cut`.
template <class Key, class Value, class Mutex>
struct alignas(64) SegmentGuard {
  mutable FairSharedMutex<Mutex> mutex;
  SegmentCut<Key, Value> cut;
};

/// The guards of all segments and the number of the current cut.
template <class Key, class Value, class Mutex>
class Segments {
 public:
  using Table = DenseMap<Key, Value>;
  using Guard = SegmentGuard<Key, Value, Mutex>;

  void resize(std::size_t count) {
    guards_ = std::make_unique<Guard[]>(count);
    count_ = count;
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] Guard& operator[](std::size_t index) const noexcept { return guards_[index]; }

  /// The current cut, as a writer sees it; read it under the segment's exclusive lock.
  [[nodiscard]] Epoch epoch() const noexcept { return epoch_.load(std::memory_order_seq_cst); }
  Epoch open_cut() noexcept { return epoch_.fetch_add(1, std::memory_order_seq_cst) + 1; }
  void close_cut() noexcept { epoch_.fetch_add(1, std::memory_order_seq_cst); }

 private:
  std::unique_ptr<Guard[]> guards_;
  std::size_t count_ = 0;
  alignas(64) std::atomic<Epoch> epoch_ = 0;  // on a line of its own: every writer reads it
};

}  // namespace kvstore::inline v0::detail
