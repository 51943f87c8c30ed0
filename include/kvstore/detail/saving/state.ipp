// SPDX-License-Identifier: MIT
#pragma once

// The definitions of state.hpp.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/saving/state.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void SaveState::start(bool has_journal, bool marks, bool wants_everything) noexcept {
  has_journal_ = has_journal;
  marks_ = marks;
  wants_everything_ = wants_everything;
}

KVSTORE_INLINE bool SaveState::is_made_good(Step step, const StepOutcome& outcome) noexcept {
  return outcome.declined || step == Step::append || (step == Step::rotate && outcome.broke);
}

KVSTORE_INLINE Decision SaveState::next(const Want& want, std::uint64_t logged, Time now) noexcept {
  const Step step = wanted(want, logged, now);
  const Turn taken = missing(step, want);
  if (taken == Turn::none) return {.step = step};
  return {.step = Step::wait, .awaited = await(step, taken, want)};
}

KVSTORE_INLINE Turn SaveState::await(Step step, Turn taken, const Want& want) noexcept {
  const bool first = (taken & Turn::save) != Turn::none;
  if (want.compacting) reserved_ = first ? Turn::save : needs(step);
  if (first) return Turn::save;
  return (taken & Turn::append) != Turn::none ? Turn::append : Turn::snapshot;
}

KVSTORE_INLINE Turn SaveState::begin(Step step, Want& want, std::uint64_t applied) noexcept {
  taken_ = taken_ | needs(step);
  note_begun(step, want, applied);
  return want.compacting ? without(std::exchange(reserved_, Turn::none), needs(step)) : Turn::none;
}

KVSTORE_INLINE Turn SaveState::end(Step step, Want& want, const StepOutcome& outcome, Time now) noexcept {
  const bool compaction_ends = want.compacting && (outcome.failed || step == Step::replace_base);
  const Turn given = gives_back(step) | (compaction_ends ? Turn::snapshot : Turn::none);
  taken_ = without(taken_, given);
  if (compaction_ends) want.compacting = false;
  note(step, want, outcome, now);
  return given;
}

KVSTORE_INLINE void SaveState::note_begun(Step step, Want& want, std::uint64_t applied) noexcept {
  switch (step) {
    case Step::append:
      appending_ = applied;
      want.appended = true;
      return;
    case Step::sync:
      saving_ = handed_;
      want.appended = false;
      return;
    case Step::save_marked:
    case Step::save_all:
      covered_ = breaks_;
      [[fallthrough]];
    case Step::save_changes:
      saving_ = applied;
      return;
    case Step::prepare:
      want.compacting = true;
      afresh_ = breaks_ != begun_;
      return;
    case Step::rotate:
      covered_ = breaks_;
      [[fallthrough]];
    case Step::join:
      appending_ = applied;
      return;
    case Step::sync_joined:
      joining_ = handed_;
      return;
    default:
      return;
  }
}

KVSTORE_INLINE void SaveState::note(Step step, Want& want, const StepOutcome& outcome, Time now) noexcept {
  if (outcome.broke) owe_everything();
  if (step == Step::save_changes || step == Step::save_marked || step == Step::save_all)
    wants_everything_ = outcome.wants_everything;
  if (outcome.failed) return note_failure(step, want, outcome, now);
  switch (step) {
    case Step::append:
      handed_ = std::max(handed_, appending_);
      return;
    case Step::sync:
      return note_saved(saving_);
    case Step::save_changes:
    case Step::save_marked:
    case Step::save_all:
      // Marks may have been given up before the save took them.
      if (outcome.refused || (step == Step::save_marked && breaks_ != covered_)) return;
      if (step == Step::save_all) healed_ = begun_ = std::max(healed_, covered_);
      if (want.kind == Want::Kind::all) want.met = step == Step::save_all;
      return note_saved(saving_);
    case Step::check:
      want.checked = true;
      return;
    case Step::prepare:
    case Step::rotate:
    case Step::write_base:
    case Step::join:
    case Step::sync_joined:
    case Step::replace_base:
      return note_compaction(step, want);
    case Step::close:
      closed_ = true;
      [[fallthrough]];
    default:
      want.met = true;
  }
}

KVSTORE_INLINE void SaveState::note_compaction(Step step, Want& want) noexcept {
  if (step == Step::replace_base) {
    healed_ = std::max(healed_, covered_);
    want.met = want.kind == Want::Kind::all;
    return note_saved(joining_);
  }
  if (step == Step::rotate) begun_ = covered_;
  if (step == Step::rotate || step == Step::join) handed_ = std::max(handed_, appending_);
  phase_ = static_cast<Step>(static_cast<int>(step) + 1);
}

KVSTORE_INLINE Turn SaveState::missing(Step step, const Want& want) const noexcept {
  if (want.compacting) return without(needs(step), Turn::snapshot) & taken_;
  return needs(step) & (taken_ | reserved_);
}

KVSTORE_INLINE Step SaveState::wanted(const Want& want, std::uint64_t logged, Time now) const noexcept {
  if (want.compacting) return next_of_compaction();
  if (want.met) return Step::done;
  switch (want.kind) {
    case Want::Kind::copy:
      return Step::copy;
    case Want::Kind::take_over:
      return closed_ ? Step::closed : Step::take_over;
    case Want::Kind::close:
      if (closed_) return Step::done;
      if (owes_everything()) return has_journal_ ? Step::prepare : Step::save_all;  // broken meanwhile
      return Step::close;
    case Want::Kind::all:
      if (closed_) return Step::closed;
      return has_journal_ ? Step::prepare : Step::save_all;
    default:
      return next_to_settle(want, logged, now);
  }
}

KVSTORE_INLINE Step SaveState::next_of_compaction() const noexcept {
  const bool missed = phase_ == Step::rotate ? (breaks_ != begun_) != afresh_
                                             : phase_ != Step::replace_base && breaks_ != covered_;
  return missed ? Step::prepare : phase_;
}

KVSTORE_INLINE Step SaveState::next_to_settle(const Want& want, std::uint64_t logged,
                                              Time now) const noexcept {
  if (want.insist && !want.checked && !closed_) return Step::check;
  if (!owes(want)) return Step::done;
  if (closed_) return Step::closed;
  const bool appends = has_journal_ && !owes_everything() && handed_ < want.ticket;
  if (appends) return Step::append;  // even while saves fail
  if (failures_ != 0 && !want.insist && now < retry_at_) return Step::fail;
  if (!has_journal_ && (wants_everything_ || owes_everything())) return Step::save_all;
  if (!has_journal_) return marks_ ? Step::save_marked : Step::save_changes;
  if (owes_everything()) return Step::prepare;
  // A sync covers all that was handed over, so operations gathered meanwhile are appended first, unless
  // another thread is appending.
  const bool gathered = handed_ < logged && !want.appended && (taken_ & Turn::append) == Turn::none;
  return gathered ? Step::append : Step::sync;
}

KVSTORE_INLINE bool SaveState::owes(const Want& want) const noexcept {
  if (want.complete && owes_everything()) return true;
  if (want.ticket <= durable_) return false;
  // An operation that a broken journal did not take would not survive the end of the process.
  const std::uint64_t allowed = has_journal_ && owes_everything() ? 0 : want.allowed;
  return want.ticket - durable_ > allowed || (has_journal_ && handed_ < want.ticket);
}

KVSTORE_INLINE void SaveState::note_saved(std::uint64_t last) noexcept {
  durable_ = std::max(durable_, last);
  failures_ = 0;
  delay_ = kFirstDelay;
}

KVSTORE_INLINE void SaveState::note_failure(Step step, const Want& want, const StepOutcome& outcome,
                                            Time now) noexcept {
  if (want.kind != Want::Kind::settle || step == Step::check || is_made_good(step, outcome)) return;
  ++failures_;
  retry_at_ = now + delay_;
  delay_ = std::min(2 * delay_, kMaxDelay);
}

}}}  // namespace kvstore::v1::detail
