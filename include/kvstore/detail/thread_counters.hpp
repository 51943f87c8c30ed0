// SPDX-License-Identifier: MIT
#pragma once

// Counters that all threads add to on the hottest path: each thread counts in a block of its own, which it
// finds by one comparison, and adds without a locked instruction. One counter for all would be a cache line
// that moves between the processors at each operation; counters in each segment would cost readers, who only
// share its lock, a locked instruction, and everybody one more line that others write.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace kvstore::inline v0::detail {

/// `kCounters` sums, which only grow.
template <std::size_t kCounters>
class ThreadCounters {
 public:
  ThreadCounters() = default;
  ThreadCounters(const ThreadCounters&) = delete;
  ThreadCounters& operator=(const ThreadCounters&) = delete;

  /// Adds to the counter number `at`, for the calling thread. Wait-free but for a thread's first call.
  void add(std::size_t at, std::uint64_t amount) noexcept {
    const Remembered& slot = remembered[slot_];
    if (slot.id != id_) [[unlikely]]
      return add_first(at, amount);
    add_own(slot.block->counts[at], amount);
  }

  /// The sum over all threads. Includes whatever was added before, and may include some that is just being
  /// added; who sees an addition sees what its thread did before. Never less than what was seen before.
  /// *Complexity*: O(threads). Wait-free.
  [[nodiscard]] std::uint64_t sum(std::size_t at) const noexcept {
    std::uint64_t result = common_.counts[at].load(std::memory_order_acquire);
    for (const Block* block = blocks_.load(std::memory_order_acquire); block != nullptr;
         block = block->next) {
      result += block->counts[at].load(std::memory_order_acquire);
    }
    return result;
  }

 private:
  struct alignas(64) Block {  // threads write no line of each other's
    std::array<std::atomic<std::uint64_t>, kCounters> counts{};
    const Block* next = nullptr;
  };

  /// What a thread remembers of the counters it used last. Never dereferenced for some that are gone, as no
  /// two have the same number.
  struct Remembered {
    std::uint64_t id;
    Block* block;
  };
  static constexpr std::size_t kRemembered = 8;
  static inline constinit thread_local std::array<Remembered, kRemembered> remembered{};

  [[nodiscard]] static std::uint64_t next_id() noexcept {
    static std::atomic<std::uint64_t> last = 0;
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  /// Nobody else writes it, so that loading and storing loses nothing.
  static void add_own(std::atomic<std::uint64_t>& counter, std::uint64_t amount) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_release);
  }

  /// Out of line, so that counting is a handful of instructions in the caller.
  [[gnu::noinline, gnu::cold]] void add_first(std::size_t at, std::uint64_t amount) noexcept {
    if (Block* const own = find_block()) {
      remembered[slot_] = {id_, own};
      add_own(own->counts[at], amount);
    } else {
      common_.counts[at].fetch_add(amount, std::memory_order_release);
    }
  }

  /// Null where there is no memory for one. A thread that has ended may have left its id, and so its block,
  /// to a new one.
  [[nodiscard]] Block* find_block() noexcept {
    try {
      const std::scoped_lock lock{mutex_};
      auto& block = by_thread_[std::this_thread::get_id()];
      if (!block) {
        block = std::make_unique<Block>();
        block->next = blocks_.load(std::memory_order_relaxed);
        blocks_.store(block.get(), std::memory_order_release);
      }
      return block.get();
    } catch (...) { return nullptr; }
  }

  const std::uint64_t id_ = next_id();
  const std::size_t slot_ = static_cast<std::size_t>(id_ % kRemembered);
  Block common_;  // of threads for whom there was no memory
  std::atomic<const Block*> blocks_ = nullptr;
  std::mutex mutex_;  // guards the map, not the counts
  std::map<std::thread::id, std::unique_ptr<Block>> by_thread_;
};

}  // namespace kvstore::inline v0::detail
