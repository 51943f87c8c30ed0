// SPDX-License-Identifier: MIT

// The operators that fail on demand. They are not weak: a sanitizer's own would win.

#include "support/failing_new.hpp"

#include <cstddef>
#include <new>

// NOLINTBEGIN(bugprone-reserved-identifier): the linker chooses the names for realloc
extern "C" {
void* __real_realloc(void* memory, std::size_t size);
void* __wrap_realloc(void* memory, std::size_t size) {
  return support::failing_new::strikes() ? nullptr : __real_realloc(memory, size);
}
}

[[gnu::noinline]] void* operator new(std::size_t size) {
  return support::failing_new::allocate_or_throw(size, support::failing_new::kUsual);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return support::failing_new::allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return support::failing_new::allocate(size, support::failing_new::kUsual);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
  return support::failing_new::allocate(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { support::failing_new::release(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  support::failing_new::release(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  support::failing_new::release(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  support::failing_new::release(memory);
}
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept {
  support::failing_new::release(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  support::failing_new::release(memory);
}
// By default the forms for arrays call those above. A sanitizer has forms of its own for both kinds, so these
// are replaced too.
[[gnu::noinline]] void* operator new[](std::size_t size) { return ::operator new(size); }
[[gnu::noinline]] void* operator new[](std::size_t size, std::align_val_t alignment) {
  return ::operator new(size, alignment);
}
[[gnu::noinline]] void* operator new[](std::size_t size, const std::nothrow_t& tag) noexcept {
  return ::operator new(size, tag);
}
[[gnu::noinline]] void* operator new[](std::size_t size, std::align_val_t alignment,
                                       const std::nothrow_t& tag) noexcept {
  return ::operator new(size, alignment, tag);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept { ::operator delete(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { ::operator delete(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::align_val_t) noexcept {
  ::operator delete(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  ::operator delete(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  ::operator delete(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  ::operator delete(memory);
}
// NOLINTEND(bugprone-reserved-identifier)
