// SPDX-License-Identifier: MIT
#pragma once

// Threads of the program that are ended by `pthread_cancel`. It unwinds them from within a call to the
// system, past owners of turns and files, and the process ends where a `catch (...)` keeps that.

#ifndef _WIN32
#include <pthread.h>
#endif

namespace kvstore { inline namespace v1 { namespace detail {

/// While one exists, this thread is not cancelled: a request waits.
class NoCancellation {
 public:
#ifdef _WIN32
  NoCancellation() noexcept {}
  ~NoCancellation() {}
  static void cancel_if_asked() {}
#else
  NoCancellation() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NoCancellation() { ::pthread_setcancelstate(before_, nullptr); }
  /// Where nothing is under way: otherwise a thread that only ever uses stores could not be cancelled.
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
