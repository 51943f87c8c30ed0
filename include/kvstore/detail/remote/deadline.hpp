// SPDX-License-Identifier: MIT
#pragma once

// The end of a call on servers. Each wait, try, pause and page of the call obeys it.

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "kvstore/call_deadline.hpp"
#include "kvstore/detail/base/random_bits.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// A moment of the steady clock.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;
  using milliseconds = std::chrono::milliseconds;

  /// So much from now on; at most a year, so that no sum overflows.
  [[nodiscard]] static Deadline in(milliseconds time) {
    constexpr milliseconds kLongest = std::chrono::hours{24 * 365};
    const milliseconds given = std::clamp(time, milliseconds{0}, kLongest);
    return Deadline{Clock::now() + given, given};
  }
  /// The same for a verb that this thread calls, which a `CallDeadline` may end earlier.
  [[nodiscard]] static Deadline of_call(milliseconds timeout) {
    const Deadline usual = in(timeout);
    const Clock::time_point at = CallDeadline::current();
    if (at >= usual.at_) return usual;
    const Clock::time_point now = Clock::now();
    return in(at <= now ? milliseconds{0} : std::chrono::ceil<milliseconds>(at - now));
  }
  /// The earlier of this one and `time` from now on: of one try, or of one step.
  [[nodiscard]] Deadline within(milliseconds time) const {
    const Deadline other = in(time);
    return other.at_ < at_ ? other : *this;
  }

  [[nodiscard]] bool has_passed() const { return Clock::now() >= at_; }
  /// Rounded up; 0 if it has passed.
  [[nodiscard]] milliseconds left() const {
    return std::max(milliseconds{0}, std::chrono::ceil<milliseconds>(at_ - Clock::now()));
  }
  [[nodiscard]] Clock::time_point time() const noexcept { return at_; }
  /// The time that there was at first, for messages.
  [[nodiscard]] milliseconds given() const noexcept { return given_; }

 private:
  Deadline(Clock::time_point at, milliseconds given) : at_{at}, given_{given} {}

  Clock::time_point at_;
  milliseconds given_;
};

/// Pauses between tries: each longer than the one before, 5 ms up to 0.3 s, and out of step with other
/// clients. The last one is shorter, so that there is a try just before the deadline, with time for its
/// answer: a write that ran out of it would have an unknown outcome.
class Backoff {
 public:
  /// @returns false, at once, if the deadline leaves no time for another try
  [[nodiscard]] bool pause(const Deadline& until) {
    static thread_local std::minstd_rand random{static_cast<unsigned>(random_bits())};
    const std::chrono::milliseconds longest{std::min(300U, 10U << std::min(pauses_++, 5U))};
    const auto pause = std::min<std::chrono::milliseconds>(longest / 2 + longest * (random() % 1024) / 2048,
                                                           until.left() - kTry);
    if (pause.count() <= 0) return false;
    std::this_thread::sleep_for(pause);
    return true;
  }

 private:
  static constexpr std::chrono::milliseconds kTry{50};

  unsigned pauses_ = 0;
};

}}}  // namespace kvstore::v1::detail
