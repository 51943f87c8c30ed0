// SPDX-License-Identifier: MIT
#pragma once

// The priority of a thread's input and output. Source: Linux, ioprio_set(2), which has no wrapper in the C
// library.

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace kvstore { inline namespace v1 { namespace detail {

/// Lets the calling thread come after others at the disk, where the disk's scheduler knows priorities. It
/// still gets its turns: a class that waits until the disk is idle might wait for ever. Failing does no harm.
inline void come_last_at_disk() noexcept {
#if defined(__linux__) && defined(SYS_ioprio_set)
  constexpr int kThisThread = 1;  // IOPRIO_WHO_PROCESS, with the number 0
  constexpr int kBestEffortLast = 2 << 13 | 7;
  ::syscall(SYS_ioprio_set, kThisThread, 0, kBestEffortLast);
#endif
}

}}}  // namespace kvstore::v1::detail
