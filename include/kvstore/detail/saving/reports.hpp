// SPDX-License-Identifier: MIT
#pragma once

// Keeps the figures of a store's saves, and reports their results.

#include <cstdint>

#include "kvstore/detail/saving/figures.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/detail/saving/state.hpp"
#include "kvstore/detail/saving/work.hpp"

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
  static void begin(Errand& errand, std::uint64_t failures, Time now) noexcept;

  /// Records the result of a step.
  void note(Step step, Errand& errand, const StepResult& result, Time now) noexcept;

  /// Reports the result of a step to the user. @returns whether a save has failed
  bool tell(Step step, const Errand& errand, const StepResult& result) const noexcept;

 private:
  /// A failed check of the files fails the save that requested it. A check that finds them intact clears that
  /// failure.
  void note_check(const Errand& errand, const StepResult& result, Time now) noexcept;

  [[nodiscard]] static const char* name_of(Step step) noexcept;

  /// Whether this step ends what counts as one save.
  [[nodiscard]] static bool ends_save(Step step, const Errand& errand, const StepOutcome& outcome) noexcept;

  const Observer& observer_;
  SaveFigures figures_;
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/saving/reports.ipp"
#endif
