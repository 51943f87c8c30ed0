// SPDX-License-Identifier: MIT
#pragma once

// Protection from `pthread_cancel`. Cancellation unwinds a thread from within a system call, past owners of
// turns and files. If a `catch (...)` stops the unwinding, the process ends.

#ifndef _WIN32
#include <pthread.h>
#endif

namespace kvstore { inline namespace v1 { namespace detail {

/// While one exists, this thread is not cancelled: a request stays pending.
class NoCancellation {
 public:
#ifdef _WIN32
  NoCancellation() noexcept {}
  ~NoCancellation() {}
  static void cancel_if_asked() {}
#else
  NoCancellation() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NoCancellation() { ::pthread_setcancelstate(before_, nullptr); }
  /// Call it while nothing is under way. Without it, a thread that does nothing but use stores could never be
  /// cancelled.
  static void cancel_if_asked() { ::pthread_testcancel(); }
#endif
  NoCancellation(const NoCancellation&) = delete;
  NoCancellation& operator=(const NoCancellation&) = delete;

#ifndef _WIN32
 private:
  int before_ = 0;
#endif
};

}}}  // namespace kvstore::v1::detail
