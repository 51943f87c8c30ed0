// SPDX-License-Identifier: MIT
#pragma once

// The definitions of work.hpp.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/change/change_log.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/detail/saving/progress_source.hpp"
#include "kvstore/detail/saving/state.hpp"
#include "kvstore/detail/saving/work.hpp"
#include "kvstore/detail/segment/cut_number.hpp"
#include "kvstore/error.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE SaveWork::SaveWork(std::unique_ptr<Storage> storage, const Options& options, SavedStore& store)
    : storage_{std::move(storage)}, options_{options}, store_{store} {
  if (options_.schema_version != 0 && !storage_->keeps_schema_version()) {
    throw UsageError{path_text(storage_->path()) +
                     ": this storage keeps no schema version; leave Options::schema_version at 0"};
  }
}

KVSTORE_INLINE bool SaveWork::start() {
  Journal* const journal = storage_->journal();
  (journal != nullptr && journal->records_at_save() ? marked_ : journal_) = journal;
  if (marks()) store_.keep_marks();
  lines_ = journal_ != nullptr ? journal_->lines() : nullptr;
  return storage_->scope() == SaveScope::everything;
}

KVSTORE_INLINE void SaveWork::take(Step step, ChangeLog& log) {
  if (step == Step::append || step == Step::rotate || step == Step::join)
    return log.move_to(outgoing_, outgoing_lines_);
  if (step == Step::save_changes || step == Step::save_all) log.take();
}

KVSTORE_INLINE StepResult SaveWork::perform(Step step, bool afresh, const ChangeLog& log,
                                            const Targets& targets) noexcept {
  StepResult result;
  try {
    perform(step, afresh, log, targets, result);
  } catch (...) {
    result.failure = std::current_exception();
    result.outcome.failed = true;
  }
  note_state(step, result);
  return result;
}

KVSTORE_INLINE void SaveWork::finish(Step step, const StepResult& result, ChangeLog& log) noexcept {
  const StepOutcome& outcome = result.outcome;
  const bool saves = step == Step::save_changes || step == Step::save_all;
  if (saves && !outcome.failed && !outcome.refused) log.drop_taken();
  if (result.entries) log.expect(*result.entries);
}

KVSTORE_INLINE void SaveWork::perform(Step step, bool afresh, const ChangeLog& log, const Targets& targets,
                                      StepResult& result) {
  switch (step) {
    case Step::append:
      append(result);
      result.window_is_ready = lines_ != nullptr && lines_->prepare_window();
      return;
    case Step::sync:
      return sync(result);
    case Step::check:
      result.outcome.broke = !storage_->is_intact();
      return;
    case Step::take_over:
      result.outcome.refused = !storage_->take_over(targets.request, *targets.into);
      return;
    case Step::save_changes:
      return save_changes(log, result);
    case Step::save_marked:
      return breaking(result, [&] { save_marked(result); });
    case Step::save_all:
      return marks() ? save_base(result) : save_all(*storage_, CutKind::copy, result);
    case Step::copy:
      if (storage_) targets.copy->make_like(storage_->path());
      return save_all(*targets.copy, CutKind::copy, result);
    case Step::prepare:
      return journal_->prepare(afresh);
    case Step::rotate:
      if (!afresh) append(result);
      return result.outcome.failed ? void() : journal_->rotate();
    case Step::write_base:
      return write_base(result);
    case Step::join:
      return join(afresh, result);
    case Step::sync_joined:
      return breaking(result, [&] { journal_->sync(); });
    case Step::replace_base:
      return journal_->replace_base();
    default:
      return storage_.reset();
  }
}

KVSTORE_INLINE void SaveWork::append(StepResult& result) {
  breaking(result, [&] {
    const std::uint64_t before = journal_->bytes();
    const bool told = append_outgoing();
    result.done.bytes = outgoing_.bytes();
    outgoing_.clear_and_shrink();
    outgoing_lines_.clear();
    journal_->flush();
    // Lines that operations have written since the last flush count as well. A compaction may drop a journal
    // meanwhile.
    if (lines_ != nullptr) result.done.bytes = std::max(journal_->bytes(), before) - before;
    result.outgrown =
        journal_->wants_compaction() && journal_->is_worth_compacting(store_.estimate_entries());
    if (!told) result.outcome.declined = true;
  });
}

KVSTORE_INLINE void SaveWork::join(bool afresh, StepResult& result) {
  try {
    append(result);
  } catch (...) {
    result.outcome.declined = !afresh;
    throw;
  }
  if (!result.outcome.failed) breaking(result, [&] { journal_->join(); });
}

KVSTORE_INLINE void SaveWork::sync(StepResult& result) {
  const bool intact = storage_->is_intact();
  result.outcome.failed = result.outcome.broke = result.outcome.declined = !intact;
  if (intact) breaking(result, [&] { journal_->sync(); });
}

KVSTORE_INLINE bool SaveWork::append_outgoing() {
  if (outgoing_lines_.operations != 0)
    lines_->append_lines(outgoing_lines_.text.text(), outgoing_lines_.operations);
  std::size_t begin = 0;
  for (const std::size_t end : outgoing_.groups()) {
    step_.clear();
    for (std::size_t i = begin; i < end; ++i) step_.push_back(outgoing_[i]);
    if (outgoing_.is_clear(begin))
      journal_->append_clear();
    else if (!journal_->append(step_))
      return false;
    begin = end;
  }
  return true;
}

KVSTORE_INLINE void SaveWork::save_changes(const ChangeLog& log, StepResult& result) {
  if (storage_->scope() == SaveScope::everything) {
    result.outcome.refused = true;
    return;
  }
  LoggedChanges logged{log.taken(), options_.schema_version};
  ProgressSource changes{logged, options_.on_progress};
  storage_->save(changes);
  result.done = {changes.entries(), changes.bytes(), {}};
}

KVSTORE_INLINE void SaveWork::save_marked(StepResult& result) {
  if (!storage_->is_intact()) {
    result.outcome.declined = true;
    return;
  }
  const auto snapshot = store_.snapshot(CutKind::changes);
  ProgressSource changes{*snapshot, options_.on_progress};
  try {
    storage_->save(changes);
  } catch (const TooLongForLine&) {
    result.outcome.declined = true;
    return;
  }
  result.done = {changes.entries(), changes.bytes(), {}};
  result.outgrown = marked_->wants_compaction() && marked_->is_worth_compacting(store_.estimate_entries());
}

KVSTORE_INLINE void SaveWork::save_base(StepResult& result) {
  breaking(result, [&] { save_all(*storage_, CutKind::everything, result); });
  result.replaced_base = true;
}

KVSTORE_INLINE void SaveWork::save_all(Storage& to, CutKind kind, StepResult& result) {
  const auto start = std::chrono::steady_clock::now();
  const auto snapshot = store_.snapshot(kind);
  ProgressSource all{*snapshot, options_.on_progress};
  to.save(all);
  note_all(all, result);
  result.done.duration = std::chrono::steady_clock::now() - start;
}

KVSTORE_INLINE void SaveWork::write_base(StepResult& result) {
  const auto snapshot = store_.snapshot(CutKind::copy);
  ProgressSource all{*snapshot, options_.on_progress, Progress::Phase::compact};
  journal_->write_base(all);
  note_all(all, result);
}

KVSTORE_INLINE void SaveWork::note_all(const ProgressSource& all, StepResult& result) noexcept {
  result.done = {all.entries(), all.bytes(), {}};
  result.whole = true;
  result.entries = all.entries();
}

KVSTORE_INLINE void SaveWork::note_state(Step step, StepResult& result) noexcept {
  if (result.outcome.failed) abandon(step);
  const bool changes_journal = step == Step::append || step == Step::replace_base ||
                               (marks() && (step == Step::save_marked || step == Step::save_all));
  if (changes_journal) result.journal_bytes = any_journal()->bytes();
  if (step == Step::close) result.journal_bytes = 0;
  if (step != Step::save_changes && step != Step::save_marked && step != Step::save_all) return;
  result.outcome.wants_everything =
      storage_->scope() == SaveScope::everything || std::exchange(result.outgrown, false);
  // While saves fail, the log must stay smaller than the store.
  if (result.outcome.failed) result.entries = store_.count_entries();
}

KVSTORE_INLINE void SaveWork::abandon(Step step) noexcept {
  const bool compacts = step == Step::prepare || step == Step::rotate || step == Step::write_base ||
                        step == Step::join || step == Step::sync_joined || step == Step::replace_base;
  if (compacts) journal_->abandon();
}

}}}  // namespace kvstore::v1::detail
