// SPDX-License-Identifier: MIT
#pragma once

// An object for each thread, on cache lines of its own, which the thread finds by one comparison. What all
// threads write at each operation would be a cache line that moves between the processors each time.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace kvstore::inline v0::detail {

/// The objects of all threads that have asked for one. They live as long as this does: a thread that has
/// ended may leave its id, and so its object, to a new one.
template <class T>
class PerThread {
 public:
  PerThread() = default;
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;

  /// The calling thread's; null where there is no memory for one. Wait-free but for a thread's first call.
  [[nodiscard]] T* own() noexcept {
    const Remembered& remembered = remembered_[place_];
    return remembered.id == id_ ? remembered.object : first_own();
  }

  /// How many threads have asked for one, those that share an object counted once. Wait-free.
  [[nodiscard]] std::uint32_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

  /// Runs `fn(const T&)` on the object of each thread that has asked before. Wait-free. *Complexity*:
  /// O(threads)
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

  /// What a thread remembers of the objects it used last. Never followed for some that are gone, as no two
  /// have the same number.
  struct Remembered {
    std::uint64_t id;
    T* object;
  };
  static constexpr std::size_t kRemembered = 8;
  static inline constinit thread_local std::array<Remembered, kRemembered> remembered_{};

  [[nodiscard]] static std::uint64_t next_id() noexcept {
    static std::atomic<std::uint64_t> last = 0;
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  /// Out of line, so that finding it is a handful of instructions in the caller.
  [[gnu::noinline, gnu::cold]] T* first_own() noexcept {
    try {
      const std::scoped_lock lock{mutex_};
      auto& node = by_thread_[std::this_thread::get_id()];
      if (!node) {
        node = std::make_unique<Node>();
        node->next = nodes_.load(std::memory_order_relaxed);
        // In one order with what threads then do by their objects, as `ReaderSlots` needs it.
        nodes_.store(node.get(), std::memory_order_seq_cst);
        size_.fetch_add(1, std::memory_order_relaxed);
      }
      remembered_[place_] = {id_, &node->object};
      return &node->object;
    } catch (...) { return nullptr; }
  }

  const std::uint64_t id_ = next_id();
  const std::size_t place_ = static_cast<std::size_t>(id_ % kRemembered);
  std::atomic<const Node*> nodes_ = nullptr;
  std::atomic<std::uint32_t> size_ = 0;
  std::mutex mutex_;  // guards the map, not the objects
  std::map<std::thread::id, std::unique_ptr<Node>> by_thread_;
};

}  // namespace kvstore::inline v0::detail
