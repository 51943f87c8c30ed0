// SPDX-License-Identifier: MIT
#pragma once

// The amount of memory that the program holds, by the count of its allocator.

#include <cstddef>

#include <malloc.h>

// Defined only in a program that runs under a sanitizer.
extern "C" [[gnu::weak]] std::size_t
__sanitizer_get_current_allocated_bytes();  // NOLINT(bugprone-reserved-identifier)

namespace support {

/// The number of bytes that were allocated and not freed.
[[nodiscard]] inline std::size_t held_memory() noexcept {
  if (&__sanitizer_get_current_allocated_bytes != nullptr) return __sanitizer_get_current_allocated_bytes();
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace support
