// SPDX-License-Identifier: MIT
#pragma once

// The state of a store's debt to its disk: the operations handed over and durable, the failures, and the
// holders of the turns. All decisions about saving are made here. Pure: no input or output, no lock, no
// clock. `SaveDriver` drives it: it asks for the next step, begins the step here, carries it out without a
// lock, and reports the outcome.
//
// A thread comes with a `Want` and loops until `next` returns that nothing is left to do for it:
//
// clang-format off
//   step          needs turns     gives back      what the storage does meanwhile
//   ------------  --------------  --------------  ---------------------------------------------------------
//   append        append          append          Journal::append, flush: what was logged is the kernel's
//   sync          save            save            Journal::sync: what was handed over is on disk
//   save_changes  save            save            Storage::save of what was logged
//   save_marked   save, snapshot  save, snapshot  Storage::save of what was marked
//   save_all      save, snapshot  save, snapshot  Storage::save of everything
//   check         save, snapshot  save, snapshot  Storage::is_intact, before a save that a user asks for
//   copy          snapshot        snapshot        Storage::save of another storage: a checkpoint
//   take_over     save, snapshot  save, snapshot  Storage::take_over: what another program has put there
//   prepare       snapshot        -               Journal::prepare: the next journal file exists
//   rotate        append, save    append, save    Journal::append of the rest, rotate
//   write_base    -               -               Journal::write_base: the new snapshot, as a temporary file
//   join          append, save    append, save    Journal::append of the rest, join: the new journal vouches for it
//   sync_joined   save            save            Journal::sync: both journals are on disk
//   replace_base  -               snapshot        Journal::replace_base: it has the name, the old one goes
//   close         all of them     all of them     the storage ends
// clang-format on
//
// The six steps from `prepare` on are one compaction, by the thread that holds the snapshot turn throughout.
// Each turn has one holder at a time. So no two threads sync a file at once, appends come in order, and
// nothing closes the storage during a step. The turns of a step are taken all at once, so no thread waits
// while holding one. The exception is a compaction, which holds `snapshot` and waits for turns whose holders
// wait for nothing. The compaction reserves these turns, so that the steady stream of other threads does not
// starve it. It reserves `append`, for which every writer waits, only once `save` is free.
//
// A failure of the journal, a replacement of all entries, and a log that outgrew the store are treated alike:
// "everything is owed". They are counted as breaks: `breaks_` have come, the current journal began after
// `begun_` of them, and a new base file has made up for `healed_`. A journal may be appended to while breaks_
// == begun_, and everything is owed while breaks_ != healed_.

#include <chrono>
#include <cstdint>

namespace kvstore { inline namespace v1 { namespace detail {

/// Rights that only one thread at a time may hold, as bits.
enum class Turn : std::uint8_t { none = 0, append = 1, save = 2, snapshot = 4, all = 7 };

[[nodiscard]] constexpr Turn operator|(Turn a, Turn b) noexcept {
  return static_cast<Turn>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
[[nodiscard]] constexpr Turn operator&(Turn a, Turn b) noexcept {
  return static_cast<Turn>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
[[nodiscard]] constexpr Turn without(Turn turns, Turn given) noexcept {
  return static_cast<Turn>(static_cast<unsigned>(turns) & ~static_cast<unsigned>(given));
}

/// The next step of a thread. The first four are not work.
enum class Step : std::uint8_t {
  done,    ///< nothing is left to do
  wait,    ///< a turn that the step needs is taken
  fail,    ///< the last save failed, and it is too early to try again
  closed,  ///< the store is closed, so the want can no longer be met
  append,
  sync,
  save_changes,
  save_marked,
  save_all,
  check,
  copy,
  take_over,
  prepare,
  rotate,
  write_base,
  join,
  sync_joined,
  replace_base,
  close,
};

/// The purpose of a thread, and its progress. Owned by the thread, changed by `SaveState` alone.
struct Want {
  enum class Kind : std::uint8_t {
    settle,     ///< at most `allowed` operations up to number `ticket` may be unsaved
    all,        ///< save a snapshot of everything, whether or not one is owed
    copy,       ///< a checkpoint
    take_over,  ///< load the entries that another program has put in place of those saved
    close,      ///< close the storage; the caller has settled before
  };
  Kind kind = Kind::settle;
  std::uint64_t ticket = 0;
  std::uint64_t allowed = 0;
  bool complete = false;  ///< everything that is owed counts, whatever `ticket` says
  bool insist = false;    ///< check that all files are in place, and try even right after a failure

  bool met = false;         ///< the purpose of kinds other than `settle` is fulfilled
  bool compacting = false;  ///< holds the snapshot turn, for a compaction
  bool checked = false;     ///< has checked the files
  bool appended = false;    ///< has appended since its last sync

  bool operator==(const Want&) const = default;
};

/// What a thread does next.
struct Decision {
  Step step = Step::done;
  Turn awaited = Turn::none;  ///< the turn to wait for, where the step is `wait`
};

/// The outcome of a step.
struct StepOutcome {
  bool failed = false;
  bool declined = false;          ///< it failed, and a snapshot, which is owed now, will make up for it
  bool broke = false;             ///< the journal missed or lost something: everything is owed
  bool wants_everything = false;  ///< the storage wants everything in its next save
  bool refused = false;           ///< the storage wants everything after all, so nothing was saved
};

class SaveState {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// For tests that enumerate all states.
  bool operator==(const SaveState&) const = default;

  /// Before the first operation. `marks`: operations mark what a save takes; such a store has no journal that
  /// takes operations. `wants_everything`: see `StepOutcome`.
  void start(bool has_journal, bool marks, bool wants_everything) noexcept;

  // Queries ---------------------------------------------------------------------------------------

  [[nodiscard]] std::uint64_t handed_over() const noexcept { return handed_; }
  [[nodiscard]] std::uint64_t durable() const noexcept { return durable_; }
  [[nodiscard]] bool owes_everything() const noexcept { return breaks_ != healed_; }
  /// Whether the journal accepts appends.
  [[nodiscard]] bool journal_is_good() const noexcept { return breaks_ == begun_; }
  /// Whether the compaction prepared last begins a journal that follows none, since the previous one missed
  /// something.
  [[nodiscard]] bool begins_afresh() const noexcept { return afresh_; }
  [[nodiscard]] bool is_closed() const noexcept { return closed_; }
  /// The number of failed saves since the last success.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }
  /// The time at which a failed save is due again, if there is one.
  [[nodiscard]] Time retry_at() const noexcept { return retry_at_; }

  /// Whether a failure of that step is not thrown: the same thread makes up for it by a snapshot, next.
  [[nodiscard]] static bool is_made_good(Step step, const StepOutcome& outcome) noexcept;

  /// Records that only a snapshot can bring the storage up to date.
  void owe_everything() noexcept { ++breaks_; }

  // Steps -----------------------------------------------------------------------------------------

  /// The next step at `now` of a thread with `want`, or the turn that it waits for. `logged` is the number of
  /// the last operation, which may grow meanwhile.
  [[nodiscard]] Decision next(const Want& want, std::uint64_t logged, Time now) noexcept;

  /// Takes the turns of a step that `next` has returned. `applied` is the number of the last operation.
  /// @returns turns that others may take now, since a compaction that starts over no longer reserves them
  Turn begin(Step step, Want& want, std::uint64_t applied) noexcept;

  /// Records the outcome of the step. @returns the turns that it gave back
  Turn end(Step step, Want& want, const StepOutcome& outcome, Time now) noexcept;

 private:
  static constexpr std::chrono::milliseconds kFirstDelay{100};
  static constexpr std::chrono::milliseconds kMaxDelay{10'000};

  void note_begun(Step step, Want& want, std::uint64_t applied) noexcept;

  void note(Step step, Want& want, const StepOutcome& outcome, Time now) noexcept;

  /// Records that a step of a compaction succeeded: the next one, which follows it in `Step`, is due.
  void note_compaction(Step step, Want& want) noexcept;

  [[nodiscard]] static constexpr Turn needs(Step step) noexcept {
    switch (step) {
      case Step::append:
        return Turn::append;
      case Step::sync:
      case Step::save_changes:
      case Step::sync_joined:
        return Turn::save;
      case Step::save_marked:
      case Step::save_all:
      case Step::check:
      case Step::take_over:
        return Turn::save | Turn::snapshot;
      case Step::copy:
      case Step::prepare:
        return Turn::snapshot;
      case Step::rotate:
      case Step::join:
        return Turn::append | Turn::save;
      case Step::close:
        return Turn::all;
      default:
        return Turn::none;
    }
  }

  [[nodiscard]] static constexpr Turn gives_back(Step step) noexcept {
    return step == Step::prepare ? Turn::none : needs(step);
  }

  /// A compaction already has its first turn, and may return to `prepare`. Reservations bind all other
  /// threads.
  [[nodiscard]] Turn missing(Step step, const Want& want) const noexcept;

  /// The one of these taken turns to wait for, for a thread whose next step is `step`.
  [[nodiscard]] Turn await(Step step, Turn taken, const Want& want) noexcept;

  /// The next step once the turns for it are free.
  [[nodiscard]] Step wanted(const Want& want, std::uint64_t logged, Time now) const noexcept;

  /// If the journal has missed something since a compaction began, the compaction cannot finish. It starts
  /// over, with a journal that follows none.
  [[nodiscard]] Step next_of_compaction() const noexcept;

  [[nodiscard]] Step next_to_settle(const Want& want, std::uint64_t logged, Time now) const noexcept;

  [[nodiscard]] bool owes(const Want& want) const noexcept;

  void note_saved(std::uint64_t last) noexcept;

  /// A compaction that is not owed may fail, and so may an append: a snapshot makes up for it. A check is not
  /// a save.
  void note_failure(Step step, const Want& want, const StepOutcome& outcome, Time now) noexcept;

  bool has_journal_ = false;
  bool marks_ = false;
  bool wants_everything_ = true;  // the storage's next save
  bool closed_ = false;

  Turn taken_ = Turn::none;
  Turn reserved_ = Turn::none;  // for the compaction under way
  Step phase_ = Step::prepare;  // the next step of the compaction under way

  // Numbers of operations.
  std::uint64_t handed_ = 0;     // appended to the journal
  std::uint64_t durable_ = 0;    // on disk
  std::uint64_t appending_ = 0;  // handed over by the step that has the append turn
  std::uint64_t saving_ = 0;     // made durable by the step that has the save turn
  std::uint64_t joining_ = 0;    // made durable by the compaction under way

  // Numbers of breaks.
  std::uint64_t breaks_ = 0;
  std::uint64_t begun_ = 0;
  std::uint64_t healed_ = 0;
  std::uint64_t covered_ = 0;  // by the snapshot under way
  bool afresh_ = false;

  std::uint64_t failures_ = 0;
  Time retry_at_{};
  std::chrono::milliseconds delay_ = kFirstDelay;
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/saving/state.ipp"
#endif
