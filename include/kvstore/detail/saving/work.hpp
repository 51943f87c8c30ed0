// SPDX-License-Identifier: MIT
#pragma once

// Carries out each step of `SaveState` on the storage. Knows nothing about keys and values, since the store
// passes text, and nothing about scheduling.

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/change/change_log.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/saving/entry_form.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/detail/saving/progress_source.hpp"
#include "kvstore/detail/saving/state.hpp"
#include "kvstore/detail/segment/cut_number.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The result of a step.
struct StepResult {
  StepOutcome outcome;
  std::exception_ptr failure = nullptr;                       ///< set if it failed
  WorkDone done;                                              ///< the amount saved
  bool whole = false;                                         ///< everything was saved
  bool replaced_base = false;                                 ///< a save of everything compacted the journal
  bool outgrown = false;                                      ///< the journal wants to be compacted
  std::optional<std::uint64_t> entries = std::nullopt;        ///< in the store, if they were counted
  std::optional<std::uint64_t> journal_bytes = std::nullopt;  ///< its size, if that may have changed
  bool window_is_ready = false;                               ///< for `LineJournal::open_window`
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

  /// The entries as of the call that `kind` names. One at a time; it ends before the store does. Marks that a
  /// source has taken over are lost if it is not read to its end.
  [[nodiscard]] virtual std::unique_ptr<ChangeSource> snapshot(CutKind kind) = 0;
  /// Call before the first operation: changed entries are marked from now on.
  virtual void keep_marks() noexcept = 0;
  /// Waits for the locks of all entries.
  [[nodiscard]] virtual std::uint64_t count_entries() const = 0;
  /// Roughly the same, for a store with a journal. Takes no lock: a function of the program may hold one, and
  /// wait for a thread that appends.
  [[nodiscard]] virtual std::uint64_t estimate_entries() const noexcept = 0;

 protected:
  ~SavedStore() = default;
};

/// *Thread safety*: `take` and `finish` under the owner's lock; `perform` under the turns of its step.
class SaveWork final {
 public:
  /// `options` and `store` outlive it. @throws UsageError
  SaveWork(std::unique_ptr<Storage> storage, const Options& options, SavedStore& store);

  /// Null once the storage is closed.
  [[nodiscard]] Storage* storage() const noexcept { return storage_.get(); }

  /// Whether the journal wants to be compacted before the storage is closed.
  [[nodiscard]] bool compacts_on_close() const noexcept {
    return any_journal() != nullptr && any_journal()->compacts_on_close();
  }

  /// Call before the first step, once the store is loaded: gets the journal. @returns whether the storage
  /// wants everything next
  bool start();

  /// The journal that takes operations as they happen; null if there is none.
  [[nodiscard]] Journal* journal() const noexcept { return journal_; }
  /// The journal, whenever its changes reach it; null if the storage keeps none.
  [[nodiscard]] Journal* any_journal() const noexcept { return journal_ != nullptr ? journal_ : marked_; }
  /// Whether operations only mark the entries that they change.
  [[nodiscard]] bool marks() const noexcept { return marked_ != nullptr; }
  /// The form in which operations are recorded.
  [[nodiscard]] EntryForm form() const noexcept {
    if (lines_ != nullptr) return EntryForm::line;
    if (marks()) return EntryForm::mark;
    return journal_ != nullptr || storage_->takes_changes() ? EntryForm::changes : EntryForm::none;
  }
  /// The journal, if operations write its lines.
  [[nodiscard]] LineJournal* lines() const noexcept { return lines_; }

  /// Takes the changes that the step is to hand over. @throws std::bad_alloc: nothing was taken
  void take(Step step, ChangeLog& log);

  /// Carries out the step. `afresh`: see `SaveState`; `targets`: those of the errand.
  StepResult perform(Step step, bool afresh, const ChangeLog& log, const Targets& targets) noexcept;

  /// Call after the step.
  static void finish(Step step, const StepResult& result, ChangeLog& log) noexcept;

 private:
  void perform(Step step, bool afresh, const ChangeLog& log, const Targets& targets, StepResult& result);

  /// Runs `action`, in which the journal may miss something if it throws.
  template <class Do>
  static void breaking(StepResult& result, const Do& action) {
    result.outcome.broke = true;
    action();
    result.outcome.failed = result.outcome.broke = result.outcome.declined;
  }

  void append(StepResult& result);

  /// All that the snapshot has is appended first: the journal may have an older line of the same entry. These
  /// are lines of other threads, so if that fails, the compaction starts over `afresh`, once.
  void join(bool afresh, StepResult& result);

  /// A file that no load would find need not be synced: a snapshot makes up for it.
  void sync(StepResult& result);

  [[nodiscard]] bool append_outgoing();

  void save_changes(const ChangeLog& log, StepResult& result);

  /// A failure loses the marks of the changes, so that everything is owed.
  void save_marked(StepResult& result);
  /// The same, of every entry.
  void save_base(StepResult& result);

  void save_all(Storage& to, CutKind kind, StepResult& result);

  void write_base(StepResult& result);

  static void note_all(const ProgressSource& all, StepResult& result) noexcept;

  /// Records the state after the step, whatever its outcome.
  void note_state(Step step, StepResult& result) noexcept;

  void abandon(Step step) noexcept;

  std::unique_ptr<Storage> storage_;  // null once closed
  const Options& options_;
  SavedStore& store_;
  Journal* journal_ = nullptr;  // if it takes operations as they happen
  Journal* marked_ = nullptr;   // if it takes what they have marked
  LineJournal* lines_ = nullptr;

  // Under the append turn.
  ChangeBuffer outgoing_;
  ChangeLog::Lines outgoing_lines_;
  std::vector<Change> step_;
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/saving/work.ipp"
#endif
