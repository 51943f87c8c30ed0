// SPDX-License-Identifier: MIT
#pragma once

// The conditions on which threads wait for a turn of `SaveState`.

#include <array>

#include "kvstore/detail/saving/state.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: `wait` under the owner's lock, `wake` under none.
template <class Means>
class SaveTurns {
 public:
  /// Waits until the given single turn may be free.
  template <class Lock>
  void wait(Turn turn, Lock& lock) {
    condition(turn).wait(lock);
  }

  /// Wakes all threads that wait for one of these turns.
  void wake(Turn given) noexcept {
    for (const Turn turn : {Turn::append, Turn::save, Turn::snapshot}) {
      if ((given & turn) != Turn::none) condition(turn).notify_all();
    }
  }

 private:
  [[nodiscard]] typename Means::Condition& condition(Turn turn) noexcept {
    return conditions_[turn == Turn::append ? 0U : turn == Turn::save ? 1U : 2U];
  }

  std::array<typename Means::Condition, 3> conditions_;
};

}}}  // namespace kvstore::v1::detail
