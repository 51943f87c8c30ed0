// SPDX-License-Identifier: MIT
#pragma once

// The memory of a journal's tail, in which many threads put lines at once without a lock.
//
// One word has the number of the last operation and the bytes reserved. A thread reserves the place of its
// line by one exchange of that word, which numbers its operation as well, and copies the line there. So lines
// have the order of their operations' numbers, and copies run side by side.
//
// A reader of a journal stops at the first hole. So a thread returns only when all lines before its own are
// there as well: otherwise a kill in the hole's time would lose a line that was acknowledged. A second word
// says up to where lines are complete, and each thread waits until it says its own beginning.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <thread>

#include "kvstore/detail/base/no_cancellation.hpp"
#include "kvstore/detail/contract/line_mask.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// A line in two pieces, since the first is known last.
struct LinePieces {
  std::string_view checksum;
  std::string_view rest;
  [[nodiscard]] std::size_t size() const noexcept { return checksum.size() + rest.size(); }
};

/// How a window's words are kept, and how a thread waits for one. Tests substitute words of their own, which
/// decide at each access which thread goes on.
struct StandardWords {
  using Word = std::atomic<std::uint64_t>;

  /// Waits until `done` of the word's value holds. @returns the value
  template <class Done>
  static std::uint64_t await(const Word& word, const Done& done) noexcept {
    std::uint64_t value = word.load(std::memory_order_acquire);
    for (int round = 0; !done(value); ++round) {
      pause(round);
      value = word.load(std::memory_order_acquire);
    }
    return value;
  }

 private:
  static constexpr int kSpins = 64;
  static constexpr int kTurns = 200;
  static constexpr std::chrono::microseconds kPause{50};

  /// The other thread may wait for this processor. If this one has the higher priority, giving up its turn is
  /// not enough: it must sleep.
  static void pause(int round) noexcept {
    if (round < kSpins) return;
    if (round < kTurns) return std::this_thread::yield();
    const NoCancellation asleep;
    std::this_thread::sleep_for(kPause);
  }
};

/// How lines stand in the memory: the checksum masked, the rest as it is. Tests substitute plain lines.
struct MaskedLines {
  using Mask = LineMask;
  static void store(char* memory, std::uint64_t position, const LinePieces& line, const Mask& mask) noexcept {
    char* const at = memory + position;
    mask.store(at, line.checksum.data(), position);
    std::memcpy(at + line.checksum.size(), line.rest.data(), line.rest.size());
  }
};

/// *Thread safety*: `put`, `number`, `settled` and `is_open` from any thread; the other functions under the
/// owner's lock.
template <class Words, class Form = MaskedLines>
class BasicLineWindow {
 public:
  BasicLineWindow() = default;
  BasicLineWindow(const BasicLineWindow&) = delete;
  BasicLineWindow& operator=(const BasicLineWindow&) = delete;

  /// Copies a line that stands for `operations` behind all lines so far. When this returns, all of them are
  /// there. Wait-free but for threads that are copying theirs at this moment.
  /// @returns false, having done nothing, if the window is closed or has no room; else `last` is the number
  /// of the last of the operations, modulo 2^32
  [[nodiscard]] bool put(const LinePieces& line, std::uint32_t operations, std::uint32_t& last) noexcept {
    std::uint64_t from = reserved_.load(std::memory_order_acquire);
    std::uint64_t to = 0;
    do {
      // If the window was closed and opened again meanwhile, the exchange succeeds only where `from` is true
      // of the present one, and all have the same size.
      if (used(from) + line.size() > bytes_) return false;
      to = from + word(operations, line.size());
    } while (
        !reserved_.compare_exchange_weak(from, to, std::memory_order_acq_rel, std::memory_order_acquire));
    Form::store(memory_, used(from), line, mask_);
    Words::await(complete_, [from](std::uint64_t complete) { return complete == from; });
    complete_.store(to, std::memory_order_release);
    last = number_in(to);
    return true;
  }

  /// The number of the last operation, modulo 2^32.
  [[nodiscard]] std::uint32_t number() const noexcept {
    return number_in(reserved_.load(std::memory_order_acquire));
  }

  /// What of the memory has lines.
  struct Lines {
    std::uint32_t last;  ///< the number of the last operation, modulo 2^32
    std::size_t bytes;   ///< where they end in the memory
  };
  /// Waits until the lines reserved before the call are complete. The window stays the same meanwhile.
  [[nodiscard]] Lines settled() const noexcept {
    const std::uint64_t until = used(reserved_.load(std::memory_order_acquire)) & ~kClosed;
    const std::uint64_t complete =
        Words::await(complete_, [until](std::uint64_t word) { return used(word) >= until; });
    return {number_in(complete), static_cast<std::size_t>(used(complete))};
  }

  /// Call before the window is used: the size of each memory that it will be opened on, in bytes, less
  /// than 2 GiB.
  void set_size(std::size_t bytes) noexcept { bytes_ = bytes; }

  [[nodiscard]] bool is_open() const noexcept {
    return (used(reserved_.load(std::memory_order_acquire)) & kClosed) == 0;
  }

  // For the owner. ----------------------------------------------------------------------------------------

  /// Lets threads put lines into `memory`, from `begin` on. The window must be closed and settled.
  void open(char* memory, std::size_t begin, const typename Form::Mask& mask) noexcept {
    memory_ = memory;
    mask_ = mask;
    const std::uint64_t start = word(number(), begin);
    complete_.store(start, std::memory_order_release);
    reserved_.store(start, std::memory_order_release);
  }

  /// Lets no thread reserve any more. Those that have reserved go on: see `settled`.
  void close() noexcept { reserved_.fetch_or(kClosed, std::memory_order_acq_rel); }

  /// Numbers operations that have no line here. The window must be closed.
  /// @returns the number of the last of them, modulo 2^32
  std::uint32_t count(std::uint32_t operations) noexcept {
    return number_in(reserved_.fetch_add(word(operations, 0), std::memory_order_acq_rel) +
                     word(operations, 0));
  }

 private:
  static constexpr unsigned kNumberShift = 32;
  static constexpr std::uint64_t kClosed = std::uint64_t{1} << 31;  // more than any window has room for

  [[nodiscard]] static std::uint64_t word(std::uint32_t operations, std::size_t bytes) noexcept {
    return std::uint64_t{operations} << kNumberShift | bytes;
  }
  [[nodiscard]] static std::uint32_t number_in(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> kNumberShift);
  }
  [[nodiscard]] static std::uint64_t used(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word);
  }

  alignas(64) typename Words::Word reserved_{kClosed};
  alignas(64) typename Words::Word complete_{0};
  char* memory_ = nullptr;  // written while the window is closed, and published by `reserved_`
  typename Form::Mask mask_{};
  std::size_t bytes_ = 0;
};

using LineWindow = BasicLineWindow<StandardWords>;

}}}  // namespace kvstore::v1::detail
