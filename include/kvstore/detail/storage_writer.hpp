// SPDX-License-Identifier: MIT
#pragma once

// What a save hands to the storage: everything, or what was logged since the last one, or, where a journal
// already has that, nothing but the wish to see it on disk. Knows nothing of keys and values, since the store
// gives it text, and nothing of who saves, when, and whom that concerns.

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "kvstore/detail/change_buffer.hpp"
#include "kvstore/detail/change_log.hpp"
#include "kvstore/detail/function_ref.hpp"
#include "kvstore/detail/journal_feed.hpp"
#include "kvstore/detail/observer.hpp"
#include "kvstore/detail/path_text.hpp"
#include "kvstore/detail/progress_source.hpp"
#include "kvstore/detail/save_ledger.hpp"
#include "kvstore/error.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

/// What a save has handed to the storage.
struct SaveWork {
  WorkDone done;
  bool whole = false;  // everything, not only changes
  bool folded = false;
};

struct Saved {
  std::uint64_t last = 0;  // number of the last operation that is durable by it
  SaveWork work;
};

/// *Lock order*: the snapshot, then the feed of the journal, then the log.
class StorageWriter final {
 public:
  /// Makes a snapshot of the store, as of the moment of the call, and hands it to the function.
  using Snapshot = std::function<void(FunctionRef<void(ChangeSource&)>)>;

  /// `options` and `ledger`, which numbers operations, outlive it. @throws UsageError
  StorageWriter(std::unique_ptr<Storage> storage, const Options& options, SaveLedger& ledger,
                Snapshot snapshot)
      : storage_{std::move(storage)}, options_{options}, ledger_{ledger}, snapshot_{std::move(snapshot)} {
    if (options_.schema_version != 0 && !storage_->keeps_schema_version()) {
      throw UsageError{path_text(storage_->path()) +
                       ": this storage keeps no schema version; leave Options::schema_version at 0"};
    }
  }

  /// Hands what is stored to `sink`. @throws CorruptionError, StorageError
  void load(LoadSink& sink) { load_from(open_storage(), sink); }

  /// Hands what changed since to `sink`; false if everything is to be loaded again.
  bool load_changes(LoadSink& sink) { return open_storage().load_changes(sink); }

  /// Hands what any storage has to `sink`. @throws CorruptionError, StorageError
  static void load_from(Storage& storage, LoadSink& sink) {
    try {
      storage.load(sink);
      sink.finish();
    } catch (const ParseError& error) {
      throw CorruptionError{storage.path(), error.offset(), error.what()};
    } catch (const DuplicateEntryError& error) { throw CorruptionError{storage.path(), 0, error.what()}; }
  }

  /// Before the first operation. Where there is a journal, `failed` is told why it broke, and `outgrown` that
  /// it wants to be folded; no lock is held then.
  void start(std::function<void(std::exception_ptr)> failed, std::function<void()> outgrown) {
    journal_ = storage_->journal();
    logs_ = journal_ != nullptr || storage_->scope() == SaveScope::changes;
    if (journal_ == nullptr) return;
    feed_.emplace(*journal_, log_,
                  JournalFeed::Owner{.applied = [this] { return ledger_.applied(); },
                                     .needs_everything = [this] { return needs_everything(); },
                                     .failed = std::move(failed),
                                     .outgrown = std::move(outgrown)});
  }

  // For operations
  // -------------------------------------------------------------------------------------------

  /// Whether operations are to be logged, as text.
  [[nodiscard]] bool logs() const noexcept { return logs_; }
  [[nodiscard]] bool has_journal() const noexcept { return journal_ != nullptr; }

  /// Counts operations and logs them as one step. @returns the number of the last
  std::uint64_t record(std::uint64_t operations, const ChangeBuffer& changes) {
    return log_.append(changes, [&] { return ledger_.count(operations); });
  }
  /// Counts that every entry was replaced, as one operation. Only a save of everything can tell a storage, so
  /// that comes next.
  std::uint64_t record_replacement() {
    ChangeBuffer replacement;
    replacement.put_replacement();
    return log_.append(replacement, [this] {
      const std::uint64_t last = ledger_.count(1);
      replaced_.store(last, std::memory_order_seq_cst);
      return last;
    });
  }

  /// Sees that the journal, if there is one, has everything up to operation `last`. @returns false if it is
  /// broken and needs a save of everything
  bool deliver(std::uint64_t last) { return !feed_ || feed_->deliver(last); }

  // Saving
  // --------------------------------------------------------------------------------------------------

  /// Saves what the storage wants. Not once it is released, when nothing is left to save.
  Saved save() {
    if (needs_everything()) return save_everything();
    return journal_ != nullptr ? sync_journal() : save_changes();
  }

  /// Saves everything; a journal is folded by it. @throws UsageError if the storage was released meanwhile
  Saved save_everything() {
    const std::scoped_lock snapshot{snapshot_mutex_};
    open_storage();
    if (journal_ != nullptr) journal_->prepare_switch();
    // First the number and the log's position, then the cut: whatever was numbered or logged before is in it.
    const std::uint64_t last = mark();
    SaveWork work;
    snapshot_([&](ChangeSource& everything) {
      work = hand_over(
          [&](ChangeSource& source) {
            journal_ != nullptr ? journal_->compact(source) : storage_->save(source);
          },
          everything);
    });
    log_.drop_taken();
    std::uint64_t replaced = replaced_.load(std::memory_order_seq_cst);
    if (replaced <= last) replaced_.compare_exchange_strong(replaced, 0);
    if (feed_) feed_->note_saved();
    return {last, work};
  }

  /// Writes a snapshot to another storage, while no save takes one.
  WorkDone copy_to(Storage& copy) {
    const auto start = SaveLedger::Clock::now();
    WorkDone done;
    const std::scoped_lock snapshot{snapshot_mutex_};
    snapshot_([&](ChangeSource& everything) {
      ProgressSource source{everything, options_.on_progress};
      copy.save(source);
      done = {source.entries(), source.bytes(), SaveLedger::Clock::now() - start};
    });
    return done;
  }

  /// Lets go of the storage; a snapshot under way is waited for.
  void release() {
    const std::scoped_lock snapshot{snapshot_mutex_};
    std::unique_lock storage{storage_mutex_};
    std::unique_ptr<Storage> last = std::move(storage_);
    storage.unlock();
    last.reset();
  }
  [[nodiscard]] bool is_released() const noexcept { return storage_ == nullptr; }

  // Figures
  // -------------------------------------------------------------------------------------------------

  /// Of the journal, which there is.
  [[nodiscard]] bool wants_folding() const { return journal_->wants_compaction(); }
  /// Bytes of keys and values handed over.
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return saved_bytes_.load(std::memory_order_relaxed) + (feed_ ? feed_->bytes() : 0);
  }
  [[nodiscard]] std::uint64_t journal_bytes() const {
    const std::scoped_lock storage{storage_mutex_};
    return storage_ && journal_ != nullptr ? journal_->bytes() : 0;
  }

 private:
  Storage& open_storage() const {
    if (!storage_) throw UsageError{"the store is closed; open another one"};
    return *storage_;
  }

  [[nodiscard]] bool needs_everything() const noexcept {
    return storage_->scope() == SaveScope::everything || replaced_.load(std::memory_order_seq_cst) != 0;
  }

  Saved sync_journal() {
    const std::uint64_t last = feed_->deliver_all();  // the next batch fills while this one syncs
    if (needs_everything()) return save_everything();
    return {last, hand_over([&](ChangeSource& nothing) { storage_->save(nothing); },
                            LoggedChanges{ChangeBuffer{}, options_.schema_version})};
  }

  Saved save_changes() {
    const std::uint64_t last = log_.take([this] { return ledger_.applied(); });
    if (needs_everything()) return save_everything();  // since what was taken holds a replacement
    const SaveWork work = hand_over([&](ChangeSource& changes) { storage_->save(changes); },
                                    LoggedChanges{log_.taken(), options_.schema_version});
    log_.drop_taken();
    return {last, work};
  }

  std::uint64_t mark() {
    if (feed_) return feed_->deliver_and_switch();
    return log_.take([this] { return ledger_.applied(); });
  }

  template <class Save, class Source>
  SaveWork hand_over(const Save& save, Source&& changes) {
    const bool whole = changes.scope() == SaveScope::everything;
    const bool folds = whole && journal_ != nullptr;
    const auto start = SaveLedger::Clock::now();
    ProgressSource source{changes, options_.on_progress,
                          folds ? Progress::Phase::compact : Progress::Phase::save};
    save(source);
    saved_bytes_.fetch_add(source.bytes(), std::memory_order_relaxed);
    return {{source.entries(), source.bytes(), SaveLedger::Clock::now() - start}, whole, folds};
  }

  std::unique_ptr<Storage> storage_;  // null once released
  const Options& options_;
  SaveLedger& ledger_;
  Snapshot snapshot_;
  Journal* journal_ = nullptr;
  bool logs_ = false;                        // whether the storage wants changes
  std::atomic<std::uint64_t> replaced_ = 0;  // the operation that replaced every entry, until that is saved
  ChangeLog log_;
  std::optional<JournalFeed> feed_;  // where there is a journal
  std::atomic<std::uint64_t> saved_bytes_ = 0;

  std::mutex snapshot_mutex_;         // one snapshot at a time
  mutable std::mutex storage_mutex_;  // held to let go of the storage, and to ask it for figures
};

}  // namespace kvstore::inline v0::detail
