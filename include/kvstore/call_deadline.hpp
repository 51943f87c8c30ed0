// SPDX-License-Identifier: MIT
#pragma once

// A deadline for the calls of one thread, whatever the options of their stores say.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <algorithm>
#include <chrono>
#include <utility>

namespace kvstore { inline namespace v1 {

/// While it exists, each call of this thread to a store on servers ends by this moment, if its own `timeout`
/// does not end it before: a read throws UnavailableError then, and a write that or OutcomeUnknownError. The
/// whole of `for_each`, `clear` and `modify` counts. Within another one, the earlier moment counts. Local
/// stores do not look at it.
///
/// ```cpp
/// const kvstore::CallDeadline soon{50ms};  // for all that this request asks
/// reply(users.read(name), orders.try_read(number));
/// ```
///
/// *Thread safety*: concerns the thread that made it, which must also end it; those of one thread end in the
/// opposite order of their beginning.
class [[nodiscard]] CallDeadline {
 public:
  using Clock = std::chrono::steady_clock;  ///< the clock of all deadlines

  /// So much time from now on.
  explicit CallDeadline(std::chrono::milliseconds time) noexcept : CallDeadline{after(time)} {}
  /// At this moment.
  explicit CallDeadline(Clock::time_point at) noexcept
      : before_{std::exchange(of_thread, std::min(of_thread, at))} {}
  CallDeadline(const CallDeadline&) = delete;
  CallDeadline& operator=(const CallDeadline&) = delete;
  ~CallDeadline() { of_thread = before_; }

  /// The moment that counts for calls of this thread; `Clock::time_point::max()` if there is none.
  [[nodiscard]] static Clock::time_point current() noexcept { return of_thread; }

 private:
  /// As late as a clock can tell, if so much time is more than it can.
  [[nodiscard]] static Clock::time_point after(std::chrono::milliseconds time) noexcept {
    constexpr std::chrono::milliseconds kLongest = std::chrono::hours{24 * 365 * 100};
    if (time > kLongest) return Clock::time_point::max();
    return Clock::now() + std::max(time, std::chrono::milliseconds{-1});
  }

  static inline thread_local Clock::time_point of_thread = Clock::time_point::max();

  const Clock::time_point before_;
};

}}  // namespace kvstore::v1
