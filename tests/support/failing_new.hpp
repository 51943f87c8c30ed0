// SPDX-License-Identifier: MIT
#pragma once

// An `operator new` that fails on demand, and counts living allocations. It replaces the operator of a whole
// program that failing_new.cpp is part of. While no fault is armed, the operator only counts.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace support {

namespace failing_new {

struct Plan {
  std::uint64_t countdown = 0;  // allocations until the first that fails; 0 = none fails
  bool for_good = false;        // later allocations fail as well
  bool struck = false;
};

inline constinit thread_local std::uint64_t asked_for = 0;  // bytes

inline constinit thread_local Plan plan;
inline constinit std::atomic<std::int64_t> every_thread_countdown = 0;
inline constinit std::atomic<std::int64_t> alive = 0;

inline bool strikes() noexcept {
  if (every_thread_countdown.load(std::memory_order_relaxed) > 0 &&
      every_thread_countdown.fetch_sub(1, std::memory_order_relaxed) == 1) {
    return true;
  }
  if (plan.countdown == 0 || --plan.countdown != 0) return false;
  if (plan.for_good) plan.countdown = 1;
  return plan.struck = true;
}

inline void* allocate(std::size_t size, std::size_t alignment) noexcept {
  asked_for += size;
  if (strikes()) return nullptr;
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
  if (memory != nullptr) alive.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

inline void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  void* const memory = allocate(size, alignment);
  if (memory == nullptr) throw std::bad_alloc{};
  return memory;
}

inline void release(void* memory) noexcept {
  if (memory != nullptr) alive.fetch_sub(1, std::memory_order_relaxed);
  std::free(memory);
}

inline constexpr std::size_t kUsual = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace failing_new

/// Fails allocation number `nth` of the current thread, counted from the construction of this object; with
/// `for_good`, later ones as well. Stays armed for the lifetime of the object.
class AllocationFault {
 public:
  explicit AllocationFault(std::uint64_t nth, bool for_good = false) noexcept {
    failing_new::plan = {nth, for_good, false};
  }
  AllocationFault(const AllocationFault&) = delete;
  AllocationFault& operator=(const AllocationFault&) = delete;
  ~AllocationFault() { failing_new::plan.countdown = 0; }

  /// Whether an allocation has failed.
  [[nodiscard]] static bool struck() noexcept { return failing_new::plan.struck; }
};

/// Lets allocation number `nth` from now on fail, in whichever thread; 0 = none.
inline void fail_allocation_of_any_thread(std::int64_t nth) noexcept {
  failing_new::every_thread_countdown = nth;
}
/// The number of allocations that `operator new` made and nobody has freed.
inline std::int64_t living_allocations() noexcept { return failing_new::alive; }

/// The number of bytes that the current thread has asked of `operator new` so far.
inline std::uint64_t bytes_asked_for() noexcept { return failing_new::asked_for; }

}  // namespace support
