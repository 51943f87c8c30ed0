// SPDX-License-Identifier: MIT
#pragma once

// How much memory the program holds, as its allocator counts.

#include <cstddef>

#include <malloc.h>

// There where a sanitizer is.
extern "C" [[gnu::weak]] std::size_t
__sanitizer_get_current_allocated_bytes();  // NOLINT(bugprone-reserved-identifier)

namespace support {

/// Bytes that were allocated and not freed.
[[nodiscard]] inline std::size_t held_memory() noexcept {
  if (&__sanitizer_get_current_allocated_bytes != nullptr) return __sanitizer_get_current_allocated_bytes();
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace support
