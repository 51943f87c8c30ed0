// SPDX-License-Identifier: MIT
#pragma once

// The actions of several tasks on a store, and the contents that these actions allow, in memory and on a disk
// after a crash.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace explorer {

using State = std::map<std::string, int>;

[[nodiscard]] inline std::string describe(const State& state) {
  std::string words = "{";
  for (const auto& [key, value] : state) words += ' ' + key + '=' + std::to_string(value);
  return words + " }";
}

/// The calls on a store, and the times at which each began and ended. A state is possible if the effects of
/// some of the calls lead to it. The effects happen one by one, in an order that agrees with the times. A
/// call counts only together with all calls that had ended before it began.
class History {
 public:
  using Effect = std::function<void(State&)>;

  enum class Outcome {
    pending,  ///< under way
    done,     ///< returned
    failed,   ///< threw StorageError: applied in memory, perhaps also on disk
    refused,  ///< threw UsageError, or found nothing to do: not applied
  };

  explicit History(State start) : start_{std::move(start)} {}

  /// Records the begin of a call. `operations` is the number that `Options::batch_size` counts; 0 if the call
  /// changes nothing.
  std::size_t begin(std::string name, std::size_t operations, Effect effect) {
    calls_.push_back(
        {.name = std::move(name), .operations = operations, .effect = std::move(effect), .began = ++time_});
    return calls_.size() - 1;
  }
  void end(std::size_t call, Outcome outcome) {
    calls_[call].outcome = outcome;
    calls_[call].ended = ++time_;
  }
  /// Records that `call` has made itself durable, and every call that had returned before it began.
  void note_saved(std::size_t call) {
    for (Call& other : calls_) {
      const bool is_before = other.outcome != Outcome::pending && other.ended < calls_[call].began;
      if (is_before || &other == &calls_[call]) other.saved = true;
    }
  }

  /// Whether a crash may leave `state`: it has everything that was saved, and all acknowledged operations
  /// except `missing` of them.
  [[nodiscard]] bool may_be_on_disk(const State& state, std::size_t missing) const {
    return Walk{*this, state, missing, [](const Call& call) { return call.saved; }}.finds();
  }
  /// Whether the store may hold `state`: it has every call that was not refused.
  [[nodiscard]] bool may_be_in_memory(const State& state) const {
    return Walk{*this, state, 0, [](const Call&) { return true; }}.finds();
  }
  /// Whether the copy made by the call `copy` may hold `state`: it has all calls that had ended before that
  /// call.
  [[nodiscard]] bool may_be_in_copy(const State& state, std::size_t copy) const {
    const std::uint64_t began = calls_[copy].began;
    const auto is_before = [&](const Call& call) { return call.ended != 0 && call.ended < began; };
    return Walk{*this, state, kAny, is_before}.finds();
  }
  /// Whether `follower` may see `state` while the store is open: if the system had them by then, it has all
  /// calls acknowledged before the follower read.
  [[nodiscard]] bool may_be_followed(const State& state, std::size_t follower, bool was_written) const {
    const std::uint64_t began = calls_[follower].began;
    const auto is_before = [&](const Call& call) {
      return was_written && call.outcome == Outcome::done && call.ended < began;
    };
    return Walk{*this, state, kAny, is_before}.finds();
  }

  /// More than the number of operations.
  static constexpr std::size_t kAny = 1'000'000;

  [[nodiscard]] std::string words() const {
    static constexpr const char* kOutcomes[] = {"pending", "done", "failed", "refused"};
    std::string words = "from " + describe(start_) + ":";
    for (const Call& call : calls_) {
      words += "\n    [" + std::to_string(call.began) + ".." +
               (call.ended != 0 ? std::to_string(call.ended) : "") + "] " + call.name + ' ' +
               kOutcomes[static_cast<std::size_t>(call.outcome)] + (call.saved ? ", saved" : "");
    }
    return words;
  }

 private:
  struct Call {
    std::string name;
    std::size_t operations;
    Effect effect;
    std::uint64_t began;
    std::uint64_t ended = 0;
    Outcome outcome = Outcome::pending;
    bool saved = false;
  };

  /// Searches for an order of calls that leads to a state.
  class Walk {
   public:
    using Required = std::function<bool(const Call&)>;

    /// The order must contain every `required` call, and all operations that have returned except `missing`
    /// of them.
    Walk(const History& history, const State& wanted, std::size_t missing, Required required)
        : history_{history},
          wanted_{wanted},
          missing_{missing},
          required_{std::move(required)},
          taken_(history.calls_.size()) {}

    bool finds() { return finds_from(history_.start_); }

   private:
    bool finds_from(const State& state) {
      if (state == wanted_ && is_enough()) return true;
      for (std::size_t i = 0; i < taken_.size(); ++i) {
        if (!may_come_next(i)) continue;
        State next = state;
        history_.calls_[i].effect(next);
        taken_[i] = true;
        const bool found = finds_from(next);
        taken_[i] = false;
        if (found) return true;
      }
      return false;
    }

    [[nodiscard]] bool counts(std::size_t i) const {
      const Call& call = history_.calls_[i];
      return call.operations != 0 && call.outcome != Outcome::refused;
    }
    [[nodiscard]] bool may_come_next(std::size_t i) const {
      if (taken_[i] || !counts(i)) return false;
      for (std::size_t j = 0; j < taken_.size(); ++j) {
        const Call& other = history_.calls_[j];
        if (counts(j) && !taken_[j] && other.ended != 0 && other.ended < history_.calls_[i].began)
          return false;
      }
      return true;
    }
    /// Whether every call that must be in the order is in it.
    [[nodiscard]] bool is_enough() const {
      std::size_t missing = 0;
      for (std::size_t i = 0; i < taken_.size(); ++i) {
        const Call& call = history_.calls_[i];
        if (taken_[i] || !counts(i)) continue;
        if (required_(call)) return false;
        if (call.outcome == Outcome::done) missing += call.operations;
      }
      return missing <= missing_;
    }

    const History& history_;
    const State& wanted_;
    std::size_t missing_;
    Required required_;
    std::vector<bool> taken_;
  };

  State start_;
  std::vector<Call> calls_;
  std::uint64_t time_ = 0;
};

}  // namespace explorer
