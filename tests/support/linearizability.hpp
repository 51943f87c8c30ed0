// SPDX-License-Identifier: MIT
#pragma once

// Decides whether some order of concurrent calls explains them. Records a bounded history of calls, and
// searches for an order that explains every result. In this order, a call that returned before another one
// began comes first. The search is that of Wing and Gong (1993), with the memory of tried states by Lowe
// (2017).

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

namespace support {

/// One call with its result, and the times of its begin and end on a clock that all threads share.
template <class Operation>
struct Recorded {
  std::uint64_t began;
  std::uint64_t returned;
  Operation operation;
};

template <class Operation>
using History = std::vector<Recorded<Operation>>;

/// Stamps calls. Each thread appends to a history of its own; `merged` joins the histories afterwards.
class HistoryClock {
 public:
  /// Runs `call()`, which returns the operation together with its result, and appends that operation.
  template <class Operation, class Call>
  void record(History<Operation>& history, const Call& call) {
    const std::uint64_t began = now_.fetch_add(1);
    Operation operation = call();
    history.push_back({began, now_.fetch_add(1), std::move(operation)});
  }

 private:
  std::atomic<std::uint64_t> now_ = 0;
};

template <class Operation>
[[nodiscard]] History<Operation> merged(const std::vector<History<Operation>>& histories) {
  History<Operation> all;
  for (const auto& history : histories) all.insert(all.end(), history.begin(), history.end());
  std::ranges::sort(all, {}, &Recorded<Operation>::began);
  return all;
}

/// The number of pairs of calls that overlap: neither had returned when the other began.
template <class Operation>
[[nodiscard]] std::size_t overlaps(const History<Operation>& history) {
  std::size_t pairs = 0;
  for (std::size_t a = 0; a < history.size(); ++a) {
    for (std::size_t b = a + 1; b < history.size(); ++b) {
      pairs += history[a].began < history[b].returned && history[b].began < history[a].returned;
    }
  }
  return pairs;
}

/// The search itself. `operation.perform(state)` applies a recorded operation to a `State`, and returns
/// whether the result would have been the recorded one. States are ordered by `<`.
template <class Operation, class State>
class LinearizationSearch {
 public:
  explicit LinearizationSearch(const History<Operation>& history) : history_{history} {
    if (history.size() > 63) throw std::invalid_argument{"a history has at most 63 calls"};
  }

  [[nodiscard]] bool explains(const State& state, std::uint64_t done = 0) {
    if (done == (std::uint64_t{1} << history_.size()) - 1) return true;
    if (!tried_.emplace(done, state).second) return false;
    const std::uint64_t horizon = first_return(done);
    for (std::size_t i = 0; i < history_.size(); ++i) {
      if (is_done(done, i) || history_[i].began > horizon) continue;
      State next = state;
      if (!history_[i].operation.perform(next)) continue;
      if (explains(next, done | (std::uint64_t{1} << i))) return true;
    }
    return false;
  }

 private:
  [[nodiscard]] static bool is_done(std::uint64_t done, std::size_t i) { return ((done >> i) & 1U) != 0; }

  /// The first return among the calls that are left. A call that began later cannot be next.
  [[nodiscard]] std::uint64_t first_return(std::uint64_t done) const {
    std::uint64_t first = UINT64_MAX;
    for (std::size_t i = 0; i < history_.size(); ++i) {
      if (!is_done(done, i)) first = std::min(first, history_[i].returned);
    }
    return first;
  }

  const History<Operation>& history_;
  std::set<std::pair<std::uint64_t, State>> tried_;
};

/// Whether some sequence of the calls of `history`, at most 63, starts at `initial` and explains them all.
template <class Operation, class State>
[[nodiscard]] bool is_linearizable(const History<Operation>& history, const State& initial) {
  return LinearizationSearch<Operation, State>{history}.explains(initial);
}

}  // namespace support
