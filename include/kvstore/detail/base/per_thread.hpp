// SPDX-License-Identifier: MIT
#pragma once

// One object for each thread, on cache lines of its own, found by one comparison. A counter that all threads
// write at each operation would instead be a cache line that moves between processors each time.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/base/thread_object.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The calling thread's memory of the objects that it used last. Trivial, so that it can still be read while
/// the thread ends.
struct ThreadMemory {
  struct Place {
    std::uint64_t id;  // of the `PerThread` that owns the object, which may be gone
    void* object;
  };
  static constexpr std::size_t kPlaces = 64;

  /// A number that no other object of any type has or had, since all types share the places. Never 0.
  [[nodiscard]] static std::uint64_t next_id() noexcept {
    return last_id.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  std::array<Place, kPlaces> places;
  bool ended;  // the thread has given its seat back

 private:
  static inline constinit std::atomic<std::uint64_t> last_id = 0;
};
inline constinit thread_local ThreadMemory thread_memory{};

/// Identifies one of the threads alive at the same time; a new thread takes over the seat of one that has
/// ended. A std::thread::id would not do, since some systems never reuse an id.
class ThreadSeat {
 public:
  ThreadSeat() : seat_{take()} {}
  ThreadSeat(const ThreadSeat&) = delete;
  ThreadSeat& operator=(const ThreadSeat&) = delete;
  ~ThreadSeat() {
    thread_memory = {};
    thread_memory.ended = true;
    seat_->taken.store(false, std::memory_order_release);
  }

  /// A value that is the same for two threads only if one ended before the other began.
  [[nodiscard]] const void* get() const noexcept { return seat_; }

 private:
  struct Seat {
    std::atomic<bool> taken = true;
    Seat* next = nullptr;
  };

  static Seat* take() {
    for (Seat* seat = seats.load(std::memory_order_acquire); seat != nullptr; seat = seat->next) {
      if (!seat->taken.exchange(true, std::memory_order_acquire)) return seat;
    }
    auto* const seat = new Seat;
    seat->next = seats.load(std::memory_order_relaxed);
    while (!seats.compare_exchange_weak(seat->next, seat, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {}
    return seat;
  }

  // Never freed: as many as threads were alive at once.
  static inline constinit std::atomic<Seat*> seats = nullptr;

  Seat* const seat_;
};

/// The objects of all threads that have asked for one. They live as long as the `PerThread`; a thread that
/// ends leaves its object to a new thread.
template <class T>
class PerThread {
 public:
  PerThread() = default;
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;

  /// The calling thread's object; null if there is no memory for one, or if the thread is just ending.
  /// Wait-free except for a thread's first call, and for the next call after the thread has used many other
  /// `PerThread` objects.
  [[nodiscard, gnu::always_inline]] T* local() noexcept {
    const ThreadMemory::Place& place = thread_memory.places[place_];
    return place.id == id_ ? static_cast<T*>(place.object) : make_local();
  }

  /// In a forked child, before it is destroyed.
  void leave() noexcept { leave_contents_to_parent(by_seat_); }

  /// The number of objects. Wait-free.
  [[nodiscard]] std::uint32_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

  /// Runs `fn(const T&)` on the object of each thread that has asked for one before, in the single total
  /// order of sequential consistency. Wait-free. *Complexity*: O(threads)
  template <class Fn>
  void for_each(const Fn& fn) const {
    for (const Node* node = nodes_.load(std::memory_order_seq_cst); node != nullptr; node = node->next) {
      fn(node->object);
    }
  }

 private:
  struct alignas(64) Node {
    T object{};
    const Node* next = nullptr;
  };

  /// Out of line, so that the fast path is a handful of instructions in the caller.
  [[gnu::noinline, gnu::cold]] T* make_local() noexcept {
    if (thread_memory.ended) return nullptr;
    try {
      const ThreadSeat* const seat = thread_object<ThreadSeat, ThreadSeat>();
      if (seat == nullptr) return nullptr;
      const std::scoped_lock lock{mutex_};
      auto& node = by_seat_[seat->get()];
      if (!node) {
        node = std::make_unique<Node>();
        node->next = nodes_.load(std::memory_order_relaxed);
        nodes_.store(node.get(), std::memory_order_seq_cst);
        size_.fetch_add(1, std::memory_order_relaxed);
      }
      thread_memory.places[place_] = {id_, &node->object};
      return &node->object;
    } catch (...) { return nullptr; }
  }

  const std::uint64_t id_ = ThreadMemory::next_id();
  const std::size_t place_ = static_cast<std::size_t>(id_ % ThreadMemory::kPlaces);
  std::atomic<const Node*> nodes_ = nullptr;
  std::atomic<std::uint32_t> size_ = 0;
  std::mutex mutex_;  // guards the map, not the objects
  std::map<const void*, std::unique_ptr<Node>> by_seat_;
};

}}}  // namespace kvstore::v1::detail
