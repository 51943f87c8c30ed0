// SPDX-License-Identifier: MIT
#pragma once

// Writes to what nobody reads any more, without dying of it. Windows knows no such signal.

#ifndef _WIN32
// POSIX adds what <csignal> and <ctime> need not have.
#include <signal.h>  // NOLINT(modernize-deprecated-headers)
#include <time.h>    // NOLINT(modernize-deprecated-headers)

namespace kvstore { inline namespace v1 { namespace detail {

/// Keeps a write to a socket or pipe that the other side has closed from killing the process. The signal is
/// held back in this thread, and taken away if it came.
class SigpipeGuard {
 public:
  SigpipeGuard() noexcept {
    ::sigemptyset(&only_);
    ::sigaddset(&only_, SIGPIPE);
    // One that was pending before is the program's own, and stays.
    was_pending_ = is_pending();
    if (!was_pending_) ::pthread_sigmask(SIG_BLOCK, &only_, &before_);
  }
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;
  ~SigpipeGuard() {
    if (was_pending_) return;
    constexpr ::timespec kAtOnce{};
    if (is_pending()) ::sigtimedwait(&only_, nullptr, &kAtOnce);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  [[nodiscard]] static bool is_pending() noexcept {
    ::sigset_t pending;
    ::sigemptyset(&pending);
    ::sigpending(&pending);
    return ::sigismember(&pending, SIGPIPE) == 1;
  }

  ::sigset_t only_{};
  ::sigset_t before_{};
  bool was_pending_;
};

}}}  // namespace kvstore::v1::detail
#endif
