// SPDX-License-Identifier: MIT
#pragma once

// The time of the auto-saver's next save.

#include <algorithm>
#include <chrono>
#include <optional>

#include "kvstore/detail/saving/state.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The time of a clock, as `SaveState` counts it.
template <class Clock>
[[nodiscard]] SaveState::Time now_by() noexcept {
  using Time = SaveState::Time;
  return Time{std::chrono::duration_cast<Time::duration>(Clock::now().time_since_epoch())};
}

/// *Thread safety*: none; only the auto-saver's thread uses it.
class SaveSchedule {
 public:
  using Time = SaveState::Time;
  using Duration = Time::duration;
  using Delay = std::optional<Duration>;

  /// `interval`: see `Options::auto_save_interval`.
  SaveSchedule(Duration interval, Time now) noexcept : interval_{interval}, saved_{now} {}

  /// Records the begin of a save.
  void note_save(Time now) noexcept { saved_ = now; }

  /// No operation may stay unsaved for longer than the interval. So the next save begins when the oldest
  /// operation that the last save may have missed is that old, less the time that a save takes.
  [[nodiscard]] Delay next_delay(const SaveState& state, Duration takes, Time now) const noexcept {
    Delay delay;
    if (interval_.count() != 0) {
      const Duration due = interval_ - std::min(takes, interval_ / 2);
      delay = std::max(saved_ + due - now, Duration::zero());
    }
    if (state.failures() == 0) return delay;
    const Duration retry = std::max(state.retry_at() - now, Duration::zero());
    return delay ? std::min(*delay, retry) : retry;
  }

 private:
  Duration interval_;
  Time saved_;
};

}}}  // namespace kvstore::v1::detail
