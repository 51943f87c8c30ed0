// SPDX-License-Identifier: MIT
#pragma once

// The steps by which tests walk through what they enumerate. Without a sanitizer they take each case. A
// sanitizer takes up to twenty times as long, and examines the code rather than the states, so that a sample
// of each kind will do.

#include <cstddef>

namespace support {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kIsSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kIsSanitized = true;
#else
inline constexpr bool kIsSanitized = false;
#endif
#else
inline constexpr bool kIsSanitized = false;
#endif

/// Of workloads, each of which is run as often as it has calls.
inline constexpr std::size_t kWorkloadStride = kIsSanitized ? 307 : 1;
/// Of single runs.
inline constexpr std::size_t kRunStride = kIsSanitized ? 15 : 1;

}  // namespace support
