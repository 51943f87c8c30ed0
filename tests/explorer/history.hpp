// SPDX-License-Identifier: MIT
#pragma once

// What several tasks have done to a store, and which contents that allows, in memory and on a disk after a
// crash.

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

/// The calls on a store, and when each began and ended. A state is possible if the effects of some of the
/// calls lead there, one by one in an order that the times allow, none without those that had ended before it
/// began.
class History {
 public:
  using Effect = std::function<void(State&)>;

  enum class Outcome {
    pending,  ///< under way
    done,     ///< returned
    failed,   ///< threw StorageError: applied in memory, and on disk perhaps
    refused,  ///< threw UsageError, or had nothing to do: not applied
  };

  explicit History(State start) : start_{std::move(start)} {}

  /// A call begins. `operations` as `Options::batch_size` counts them: 0 if it changes nothing.
  std::size_t begin(std::string name, std::size_t operations, Effect effect) {
    calls_.push_back(
        {.name = std::move(name), .operations = operations, .effect = std::move(effect), .began = ++time_});
    return calls_.size() - 1;
  }
  void end(std::size_t call, Outcome outcome) {
    calls_[call].outcome = outcome;
    calls_[call].ended = ++time_;
  }
  /// `call` has made everything durable that had returned before it began, and itself.
  void note_saved(std::size_t call) {
    for (Call& other : calls_) {
      const bool is_before = other.outcome != Outcome::pending && other.ended < calls_[call].began;
      if (is_before || &other == &calls_[call]) other.saved = true;
    }
  }

  /// What a crash may leave: all that was saved, and of what was acknowledged all but `missing` operations.
  [[nodiscard]] bool may_be_on_disk(const State& state, std::size_t missing) const {
    return Walk{*this, state, missing, [](const Call& call) { return call.saved; }}.finds();
  }
  /// What the store may hold: every call that was not refused.
  [[nodiscard]] bool may_be_in_memory(const State& state) const {
    return Walk{*this, state, 0, [](const Call&) { return true; }}.finds();
  }
  /// What a copy may hold that `copy` has made: all that had ended before it.
  [[nodiscard]] bool may_be_in_copy(const State& state, std::size_t copy) const {
    const std::uint64_t began = calls_[copy].began;
    const auto is_before = [&](const Call& call) { return call.ended != 0 && call.ended < began; };
    return Walk{*this, state, kAny, is_before}.finds();
  }
  /// What `follower` may see beside the store: all that was acknowledged before it looked, if that was with
  /// the system then.
  [[nodiscard]] bool may_be_followed(const State& state, std::size_t follower, bool was_written) const {
    const std::uint64_t began = calls_[follower].began;
    const auto is_before = [&](const Call& call) {
      return was_written && call.outcome == Outcome::done && call.ended < began;
    };
    return Walk{*this, state, kAny, is_before}.finds();
  }

  /// More operations than there are.
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

  /// Looks for an order of calls that leads to a state.
  class Walk {
   public:
    using Required = std::function<bool(const Call&)>;

    /// All that is `required` is to be in it, and of what has returned all but `missing` operations.
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
    /// Whether nothing is left out that may not be.
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
