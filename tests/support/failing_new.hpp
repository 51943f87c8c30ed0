// SPDX-License-Identifier: MIT
#pragma once

// An `operator new` that fails when a test says so, and counts living allocations. It replaces the one of the
// whole program, as weak symbols, since several sources of a program may include this; failing_new.cpp makes
// them strong, since those of clang's sanitizers are weak too, and come first. While no fault is armed, it
// only counts.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace support {

namespace failing_new {

struct Plan {
  std::uint64_t countdown = 0;  // allocations until the first that fails; 0 = none does
  bool for_good = false;        // later ones fail as well
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

/// Fails allocation number `nth` of the current thread, counted from its construction, and those after it if
/// `for_good`. Armed until it dies.
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

/// Has allocation number `nth` from now on fail, whichever thread's it is; 0 = none.
inline void fail_allocation_of_any_thread(std::int64_t nth) noexcept {
  failing_new::every_thread_countdown = nth;
}
/// What `operator new` has given out and not got back.
inline std::int64_t living_allocations() noexcept { return failing_new::alive; }

/// Bytes that the current thread has asked `operator new` for so far.
inline std::uint64_t bytes_asked_for() noexcept { return failing_new::asked_for; }

}  // namespace support

#ifndef KVSTORE_REPLACED
#define KVSTORE_REPLACED [[gnu::noinline, gnu::weak]]
#endif

// NOLINTBEGIN(misc-definitions-in-headers, bugprone-reserved-identifier): replacement functions cannot be
// inline, and the linker chooses the names for realloc
extern "C" {
void* __real_realloc(void* memory, std::size_t size);
KVSTORE_REPLACED void* __wrap_realloc(void* memory, std::size_t size) {
  return support::failing_new::strikes() ? nullptr : __real_realloc(memory, size);
}
}

KVSTORE_REPLACED void* operator new(std::size_t size) {
  return support::failing_new::allocate_or_throw(size, support::failing_new::kUsual);
}
KVSTORE_REPLACED void* operator new(std::size_t size, std::align_val_t alignment) {
  return support::failing_new::allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
KVSTORE_REPLACED void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return support::failing_new::allocate(size, support::failing_new::kUsual);
}
KVSTORE_REPLACED void* operator new(std::size_t size, std::align_val_t alignment,
                                    const std::nothrow_t&) noexcept {
  return support::failing_new::allocate(size, static_cast<std::size_t>(alignment));
}
KVSTORE_REPLACED void operator delete(void* memory) noexcept { support::failing_new::release(memory); }
KVSTORE_REPLACED void operator delete(void* memory, std::size_t) noexcept {
  support::failing_new::release(memory);
}
KVSTORE_REPLACED void operator delete(void* memory, std::align_val_t) noexcept {
  support::failing_new::release(memory);
}
KVSTORE_REPLACED void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  support::failing_new::release(memory);
}
KVSTORE_REPLACED void operator delete(void* memory, const std::nothrow_t&) noexcept {
  support::failing_new::release(memory);
}
KVSTORE_REPLACED void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  support::failing_new::release(memory);
}
// The forms for arrays call these by default. A sanitizer has forms of its own for both, so they are replaced
// too.
KVSTORE_REPLACED void* operator new[](std::size_t size) { return ::operator new(size); }
KVSTORE_REPLACED void* operator new[](std::size_t size, std::align_val_t alignment) {
  return ::operator new(size, alignment);
}
KVSTORE_REPLACED void* operator new[](std::size_t size, const std::nothrow_t& tag) noexcept {
  return ::operator new(size, tag);
}
KVSTORE_REPLACED void* operator new[](std::size_t size, std::align_val_t alignment,
                                      const std::nothrow_t& tag) noexcept {
  return ::operator new(size, alignment, tag);
}
KVSTORE_REPLACED void operator delete[](void* memory) noexcept { ::operator delete(memory); }
KVSTORE_REPLACED void operator delete[](void* memory, std::size_t) noexcept { ::operator delete(memory); }
KVSTORE_REPLACED void operator delete[](void* memory, std::align_val_t) noexcept {
  ::operator delete(memory);
}
KVSTORE_REPLACED void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  ::operator delete(memory);
}
KVSTORE_REPLACED void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  ::operator delete(memory);
}
KVSTORE_REPLACED void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  ::operator delete(memory);
}
// NOLINTEND(misc-definitions-in-headers, bugprone-reserved-identifier)

#undef KVSTORE_REPLACED
