// SPDX-License-Identifier: MIT
#pragma once

// Carries out each step of `SaveState` on the storage. Knows nothing about keys and values, since the store
// passes text, and nothing about scheduling.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/change/change_log.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/detail/saving/progress_source.hpp"
#include "kvstore/detail/saving/state.hpp"
#include "kvstore/error.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The result of a step.
struct StepResult {
  StepOutcome outcome;
  std::exception_ptr failure = nullptr;                       ///< set if it failed
  WorkDone done;                                              ///< the amount saved
  bool whole = false;                                         ///< everything was saved
  bool outgrown = false;                                      ///< the journal wants to be compacted
  std::optional<std::uint64_t> entries = std::nullopt;        ///< in the store, if they were counted
  std::optional<std::uint64_t> journal_bytes = std::nullopt;  ///< its size, if that may have changed
};

/// Where a step puts what is not the storage's own.
struct Targets {
  Storage* copy = nullptr;   ///< of a checkpoint
  LoadRequest request = {};  ///< of what is taken over
  LoadSink* into = nullptr;  ///< and where it goes
};

/// The store whose entries are saved, as a save sees it.
class SavedStore {
 public:
  SavedStore() = default;
  SavedStore(const SavedStore&) = delete;
  SavedStore& operator=(const SavedStore&) = delete;

  /// All entries as of the call. One at a time; it ends before the store does.
  [[nodiscard]] virtual std::unique_ptr<ChangeSource> snapshot() = 0;
  [[nodiscard]] virtual std::uint64_t count_entries() const = 0;

 protected:
  ~SavedStore() = default;
};

/// *Thread safety*: `take` and `finish` under the owner's lock; `perform` under the turns of its step.
class SaveWork final {
 public:
  /// `options` and `store` outlive it. @throws UsageError
  SaveWork(std::unique_ptr<Storage> storage, const Options& options, SavedStore& store)
      : storage_{std::move(storage)}, options_{options}, store_{store} {
    if (options_.schema_version != 0 && !storage_->keeps_schema_version()) {
      throw UsageError{path_text(storage_->path()) +
                       ": this storage keeps no schema version; leave Options::schema_version at 0"};
    }
  }

  /// Null once the storage is closed.
  [[nodiscard]] Storage* storage() const noexcept { return storage_.get(); }

  /// Call before the first step: gets the journal. @returns whether the storage wants everything next
  bool start() {
    journal_ = storage_->journal();
    return storage_->scope() == SaveScope::everything;
  }

  /// Takes the changes that the step is to hand over. @throws std::bad_alloc: nothing was taken
  void take(Step step, ChangeLog& log) {
    if (step == Step::append || step == Step::switch_over) return log.move_to(outgoing_);
    if (step == Step::save_changes || step == Step::save_all) log.take();
  }

  /// Carries out the step. `afresh`: see `SaveState`; `targets`: those of the errand.
  StepResult perform(Step step, bool afresh, const ChangeLog& log, const Targets& targets) noexcept {
    StepResult result;
    const auto start = std::chrono::steady_clock::now();
    try {
      perform(step, afresh, log, targets, result);
    } catch (...) {
      result.failure = std::current_exception();
      result.outcome.failed = true;
    }
    note_state(step, result);
    result.done.duration = std::chrono::steady_clock::now() - start;
    return result;
  }

  /// Call after the step.
  static void finish(Step step, const StepResult& result, ChangeLog& log) noexcept {
    const StepOutcome& outcome = result.outcome;
    const bool saves = step == Step::save_changes || step == Step::save_all;
    if (saves && !outcome.failed && !outcome.refused) log.drop_taken();
    if (result.entries) log.expect(*result.entries);
  }

 private:
  void perform(Step step, bool afresh, const ChangeLog& log, const Targets& targets, StepResult& result) {
    switch (step) {
      case Step::append:
        return append(result);
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
      case Step::save_all:
        return save_all(*storage_, result);
      case Step::copy:
        return save_all(*targets.copy, result);
      case Step::prepare:
        return journal_->prepare(afresh);
      case Step::switch_over:
        if (!afresh) append(result);
        return result.outcome.failed ? void() : journal_->switch_over();
      case Step::write_base:
        return write_base(result);
      case Step::join:
        return breaking(result, [&] { journal_->join(); });
      case Step::replace_base:
        return journal_->replace_base();
      default:
        return storage_.reset();
    }
  }

  /// Runs `action`, in which the journal may miss something if it throws.
  template <class Do>
  static void breaking(StepResult& result, const Do& action) {
    result.outcome.broke = true;
    action();
    result.outcome.failed = result.outcome.broke = result.outcome.declined;
  }

  void append(StepResult& result) {
    breaking(result, [&] {
      const bool told = append_outgoing();
      result.done.bytes = outgoing_.bytes();
      outgoing_.clear_and_shrink();
      journal_->flush();
      result.outgrown = journal_->wants_compaction();
      if (!told) result.outcome.declined = true;
    });
  }

  /// A file that no load would find need not be synced: a snapshot makes up for it.
  void sync(StepResult& result) {
    const bool intact = storage_->is_intact();
    result.outcome.failed = result.outcome.broke = result.outcome.declined = !intact;
    if (intact) breaking(result, [&] { journal_->sync(); });
  }

  [[nodiscard]] bool append_outgoing() {
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

  void save_changes(const ChangeLog& log, StepResult& result) {
    if (storage_->scope() == SaveScope::everything) {
      result.outcome.refused = true;
      return;
    }
    LoggedChanges logged{log.taken(), options_.schema_version};
    ProgressSource changes{logged, options_.on_progress};
    storage_->save(changes);
    result.done = {changes.entries(), changes.bytes(), {}};
  }

  void save_all(Storage& to, StepResult& result) {
    const auto snapshot = store_.snapshot();
    ProgressSource all{*snapshot, options_.on_progress};
    to.save(all);
    note_all(all, result);
  }

  void write_base(StepResult& result) {
    const auto snapshot = store_.snapshot();
    ProgressSource all{*snapshot, options_.on_progress, Progress::Phase::compact};
    journal_->write_base(all);
    note_all(all, result);
  }

  static void note_all(const ProgressSource& all, StepResult& result) noexcept {
    result.done = {all.entries(), all.bytes(), {}};
    result.whole = true;
    result.entries = all.entries();
  }

  /// Records the state after the step, whatever its outcome.
  void note_state(Step step, StepResult& result) noexcept {
    if (result.outcome.failed) abandon(step);
    if (step == Step::append || step == Step::replace_base) result.journal_bytes = journal_->bytes();
    if (step == Step::close) result.journal_bytes = 0;
    if (step != Step::save_changes && step != Step::save_all) return;
    result.outcome.wants_everything = storage_->scope() == SaveScope::everything;
    // While saves fail, the log must stay smaller than the store.
    if (result.outcome.failed) result.entries = store_.count_entries();
  }

  void abandon(Step step) noexcept {
    const bool compacts = step == Step::prepare || step == Step::switch_over || step == Step::write_base ||
                          step == Step::join || step == Step::replace_base;
    if (compacts) journal_->abandon();
  }

  std::unique_ptr<Storage> storage_;  // null once closed
  const Options& options_;
  SavedStore& store_;
  Journal* journal_ = nullptr;

  // Under the append turn.
  ChangeBuffer outgoing_;
  std::vector<Change> step_;
};

}}}  // namespace kvstore::v1::detail
