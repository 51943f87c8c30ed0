// SPDX-License-Identifier: MIT
#pragma once

// Writes to a pipe or socket that nobody reads any more do not kill the process. Windows has no such signal.

#ifndef _WIN32
// These names are POSIX additions, which <csignal> and <ctime> need not declare.
#include <signal.h>  // NOLINT(modernize-deprecated-headers)
#include <time.h>    // NOLINT(modernize-deprecated-headers)

namespace kvstore { inline namespace v1 { namespace detail {

/// Keeps a write to a closed socket or pipe from killing the process. The signal is blocked in this thread,
/// and removed if it came.
class SigpipeGuard {
 public:
  SigpipeGuard() noexcept {
    ::sigemptyset(&only_);
    ::sigaddset(&only_, SIGPIPE);
    // A signal that was pending before belongs to the program and stays pending.
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
