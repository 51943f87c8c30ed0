// SPDX-License-Identifier: MIT
#pragma once

// Keeps the figures of a store's saves, and reports their results.

#include <chrono>
#include <cstdint>

#include "kvstore/detail/saving/figures.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/detail/saving/state.hpp"
#include "kvstore/detail/saving/work.hpp"
#include "kvstore/log.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The task with which a thread comes to a store's `SaveDriver`, and its results.
struct Errand {
  Want want;
  Targets targets{};
  bool counts_as_compaction = false;  ///< in the figures

  SaveState::Time start{};     ///< of the save under way
  std::uint64_t failures = 0;  ///< before this save
  WorkDone done{};
  bool whole = false;       ///< everything was saved
  bool taken_over = false;  ///< the entries that another program has put there were loaded
};

/// *Thread safety*: `begin`, `note` and `figures` under the owner's lock, `tell` under none.
class SaveReports {
 public:
  using Time = SaveState::Time;

  /// `observer` outlives it.
  explicit SaveReports(const Observer& observer) noexcept : observer_{observer} {}

  [[nodiscard]] const SaveFigures& figures() const noexcept { return figures_; }
  void set_journal_bytes(std::uint64_t bytes) noexcept { figures_.set_journal_bytes(bytes); }

  /// Records the begin of a save, after `failures`.
  static void begin(Errand& errand, std::uint64_t failures, Time now) noexcept {
    errand.failures = failures;
    errand.start = now;
  }

  /// Records the result of a step.
  void note(Step step, Errand& errand, const StepResult& result, Time now) noexcept {
    if (step != Step::copy) figures_.add(result.done.bytes);
    if (result.journal_bytes) figures_.set_journal_bytes(*result.journal_bytes);
    if (result.whole || step == Step::save_changes) errand.done = result.done;
    errand.whole |= result.whole;
    errand.taken_over |= step == Step::take_over && !result.outcome.refused;
    if (step == Step::check) return note_check(errand, result, now);
    if (!ends_save(step, errand, result.outcome)) return;
    errand.done.duration = now - errand.start;
    if (errand.counts_as_compaction)
      figures_.note_compaction(errand.done.duration, result.failure);
    else
      figures_.note_save(errand.done.duration, result.failure);
  }

  /// Reports the result of a step to the user. @returns whether a save has failed
  bool tell(Step step, const Errand& errand, const StepResult& result) const noexcept {
    if (SaveState::is_made_good(step, result.outcome) || step == Step::check) {
      if (result.failure) observer_.report(result.failure);
      return false;
    }
    if (!ends_save(step, errand, result.outcome)) return false;
    if (errand.failures != 0) observer_.log(LogLevel::warning, "retried", {{"failures", errand.failures}});
    if (result.failure)
      observer_.report(result.failure, errand.counts_as_compaction ? "compaction failed" : "save failed");
    else
      observer_.log(errand.whole ? LogLevel::info : LogLevel::debug, name_of(step), errand.done);
    return result.failure != nullptr;
  }

 private:
  /// A failed check of the files fails the save that requested it. A check that finds them intact clears that
  /// failure.
  void note_check(const Errand& errand, const StepResult& result, Time now) noexcept {
    if (result.failure)
      figures_.note_save(now - errand.start, result.failure);
    else if (errand.failures == 0)
      figures_.forget_failure();
  }

  [[nodiscard]] static const char* name_of(Step step) noexcept {
    return step == Step::replace_base ? "compacted" : "saved";
  }

  /// Whether this step ends what counts as one save.
  [[nodiscard]] static bool ends_save(Step step, const Errand& errand, const StepOutcome& outcome) noexcept {
    const bool saves = step != Step::append && step != Step::check && step != Step::copy &&
                       step != Step::take_over && step != Step::close;
    return saves && !errand.want.compacting && !outcome.refused && !SaveState::is_made_good(step, outcome);
  }

  const Observer& observer_;
  SaveFigures figures_;
};

}}}  // namespace kvstore::v1::detail
