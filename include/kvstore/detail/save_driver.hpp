// SPDX-License-Identifier: MIT
#pragma once

// When a store saves, what it hands to its storage, and whom it tells. Knows nothing of keys and values: the
// store gives it text (changes as they happen, a snapshot when asked).

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/auto_saver.hpp"
#include "kvstore/detail/change_buffer.hpp"
#include "kvstore/detail/change_log.hpp"
#include "kvstore/detail/function_ref.hpp"
#include "kvstore/detail/histogram_recorder.hpp"
#include "kvstore/detail/journal_feed.hpp"
#include "kvstore/detail/observer.hpp"
#include "kvstore/detail/path_text.hpp"
#include "kvstore/detail/progress_source.hpp"
#include "kvstore/detail/save_ledger.hpp"
#include "kvstore/error.hpp"
#include "kvstore/log.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

/// *Lock order*: the snapshot, then the feed of the journal, then the log.
class SaveDriver final {
 public:
  /// Makes a snapshot of the store, as of the moment of the call, and hands it to the function.
  using Snapshot = std::function<void(FunctionRef<void(ChangeSource&)>)>;

  SaveDriver(std::unique_ptr<Storage> storage, Options options, Snapshot snapshot)
      : options_{std::move(options)},
        storage_{std::move(storage)},
        observer_{options_, path_of(storage_.get())},
        snapshot_{std::move(snapshot)} {
    if (options_.auto_save_interval.count() < 0) {
      throw UsageError{"Options::auto_save_interval is negative; use zero to save by count only"};
    }
    if (options_.schema_version != 0 && !storage_->keeps_schema_version()) {
      throw UsageError{path_text(path()) +
                       ": this storage keeps no schema version; leave Options::schema_version at 0"};
    }
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const Observer& observer() const noexcept { return observer_; }
  /// The file or folder that messages name.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return observer_.path(); }
  [[nodiscard]] SaveLedger& ledger() noexcept { return ledger_; }
  [[nodiscard]] const SaveLedger& ledger() const noexcept { return ledger_; }

  /// Hands what is stored to `sink`. @throws CorruptionError, StorageError
  void load(LoadSink& sink) { load_from(*storage_, sink); }

  /// Hands what changed since to `sink`; false if everything is to be loaded again.
  bool load_changes(LoadSink& sink) {
    if (!storage_) throw UsageError{"the store is closed; open another one to read"};
    return storage_->load_changes(sink);
  }

  /// Hands what any storage has to `sink`. @throws CorruptionError, StorageError
  static void load_from(Storage& storage, LoadSink& sink) {
    try {
      storage.load(sink);
      sink.finish();
    } catch (const ParseError& error) {
      throw CorruptionError{storage.path(), error.offset(), error.what()};
    } catch (const DuplicateEntryError& error) { throw CorruptionError{storage.path(), 0, error.what()}; }
  }

  /// Begins to save, once the store is loaded and can be asked for snapshots. `outdated`: what is stored has
  /// the form of an older schema version, so it is replaced first. @throws StorageError if that fails
  void start(std::uint64_t entries, bool outdated) {
    if (options_.read_only) return observer_.log(LogLevel::info, "opened", {{"entries", entries}});
    journal_ = storage_->journal();
    if (journal_ != nullptr) feed_.emplace(*journal_, log_, feed_owner());
    logs_ = journal_ != nullptr || storage_->scope() == SaveScope::changes;
    if (journal_ != nullptr) {
      folder_.emplace([] { return AutoSaver::Delay{}; }, [this] { fold(); });
    }
    if (outdated) {
      log(save_everything().work);
      const std::uint64_t version = options_.schema_version;
      observer_.log(LogLevel::info, "upgraded", {{"entries", entries}, {"schema_version", version}});
    }
    observer_.log(LogLevel::info, "opened", {{"entries", entries}});
    if (options_.auto_save_interval.count() > 0 || options_.batch_size > 0) {
      saver_.emplace([this] { return next_delay(); }, [this] { auto_save(); });
    }
  }

  // For operations
  // -------------------------------------------------------------------------------------------

  /// Whether `record` wants the changes as text.
  [[nodiscard]] bool logs() const noexcept { return logs_; }
  [[nodiscard]] bool has_journal() const noexcept { return journal_ != nullptr; }

  /// Counts operations; under the lock of what they change. @returns their ticket.
  std::uint64_t record(std::uint64_t operations) noexcept {
    if (options_.batch_size != 0) return ledger_.count(operations);
    ledger_.count_unnumbered(operations);  // one number would be a line that all writers write
    return kNeverOwed;
  }
  /// The same, and logs them as one step.
  std::uint64_t record(std::uint64_t operations, const ChangeBuffer& changes) {
    return log_.append(changes, [&] { return ledger_.count(operations); });
  }
  /// Counts that every entry was replaced, as one operation. Only a save of everything can tell a storage, so
  /// that comes next.
  std::uint64_t record_replacement() {
    ChangeBuffer replacement;
    replacement.put_replacement();
    return log_.append(replacement, [this] {
      const std::uint64_t ticket = ledger_.count(1);
      replaced_.store(ticket, std::memory_order_seq_cst);
      return ticket;
    });
  }

  /// What an operation does once it is applied and holds no lock: puts it into the journal, and sees that the
  /// durability bound is kept. @throws StorageError if that cannot be: applied in memory, not yet on disk.
  void settle(std::uint64_t ticket) {
    if (feed_ || ledger_.owes(ticket, bound())) settle_owed(ticket);
  }

  // For the store's own calls
  // ----------------------------------------------------------------------------------

  void save() {
    if (options_.read_only) return;
    saving([&](SaveLedger::Save save) { ledger_.settle_now(ledger_.applied(), save); });
  }

  /// Folds the journal into the snapshot; without a journal, saves.
  void compact() {
    if (options_.read_only) throw UsageError{"compact() of a store that was opened read-only"};
    if (journal_ == nullptr) return save();
    const auto start = SaveLedger::Clock::now();
    Saved saved;
    try {
      saved = save_everything();
      ledger_.advance(saved.last);
    } catch (...) {
      ++failed_foldings_;
      last_folding_ = SaveLedger::Clock::now() - start;
      observer_.report(std::current_exception(), "folding failed");
      throw;
    }
    ++foldings_;
    last_folding_ = SaveLedger::Clock::now() - start;
    log(saved.work);
  }

  /// Saves and lets go of the storage. `refuse_writes(true)` comes first; `false` if saving failed.
  void close(FunctionRef<void(bool)> refuse_writes) {
    if ((saver_ && saver_->is_this_thread()) || (folder_ && folder_->is_this_thread())) {
      throw UsageError{"close() called from a thread of the store itself, in a handler"};
    }
    const std::scoped_lock closing{close_mutex_};
    if (!storage_) return;
    refuse_writes(true);
    try {
      if (!options_.read_only) save();
    } catch (...) {
      refuse_writes(false);
      throw;
    }
    if (saver_) saver_->stop();
    if (folder_) folder_->stop();
    const std::scoped_lock snapshot{snapshot_mutex_};
    std::unique_lock storage{storage_mutex_};
    std::unique_ptr<Storage> last = std::move(storage_);
    storage.unlock();
    last.reset();
    observer_.log(LogLevel::info, "closed");
  }

  /// Writes a snapshot to `copy`, at `path`, while no save or compaction takes one.
  void checkpoint(Storage& copy, const std::filesystem::path& path) {
    const auto start = SaveLedger::Clock::now();
    const std::string to = path_text(path);  // before there is anything that out of memory could belie
    WorkDone done;
    {
      const std::scoped_lock snapshot{snapshot_mutex_};
      snapshot_([&](ChangeSource& everything) {
        ProgressSource source{everything, options_.on_progress};
        copy.save(source);
        done = {source.entries(), source.bytes(), SaveLedger::Clock::now() - start};
      });
    }
    const double seconds = std::chrono::duration<double>(done.duration).count();
    observer_.log(LogLevel::info, "checkpoint written",
                  {{"to", to}, {"entries", done.entries}, {"bytes", done.bytes}, {"seconds", seconds}});
  }

  // Figures
  // -------------------------------------------------------------------------------------------------

  [[nodiscard]] SaveMetrics save_metrics() const {
    SaveMetrics result = ledger_.metrics();
    result.bytes = saved_bytes_.load(std::memory_order_relaxed) + (feed_ ? feed_->bytes() : 0);
    return result;
  }

  [[nodiscard]] JournalMetrics journal_metrics() const {
    const std::scoped_lock storage{storage_mutex_};
    return {.bytes = storage_ && journal_ != nullptr ? journal_->bytes() : 0,
            .foldings = foldings_,
            .failed_foldings = failed_foldings_,
            .last_folding = last_folding_};
  }

  /// How long operations waited for saves.
  [[nodiscard]] const HistogramRecorder& save_waits() const noexcept { return save_waits_; }

 private:
  [[nodiscard]] static std::filesystem::path path_of(const Storage* storage) {
    if (storage == nullptr) throw UsageError{"a persistent store needs a storage, not a null pointer"};
    return storage->path();
  }

  /// Where memory does not even suffice for the words, what was prepared for that: std::bad_alloc would say
  /// that nothing was changed.
  [[noreturn]] void throw_not_on_disk(const std::filesystem::path& path, std::error_code code,
                                      const char* reason) const {
    try {
      throw StorageError::not_on_disk(path, code, reason);
    } catch (const std::bad_alloc&) { std::rethrow_exception(out_of_memory_); }
  }

  [[nodiscard]] static std::exception_ptr out_of_memory(const std::filesystem::path& path) {
    const auto code = std::make_error_code(std::errc::not_enough_memory);
    return std::make_exception_ptr(StorageError::not_on_disk(path, code, "out of memory"));
  }

  static constexpr std::uint64_t kNeverOwed = 1;  // a ticket, where any number may stay unsaved

  /// Operations that may stay unsaved when one returns.
  [[nodiscard]] std::uint64_t bound() const noexcept {
    return options_.batch_size == 0 ? ~std::uint64_t{0} : options_.batch_size - 1;
  }

  [[nodiscard]] bool needs_everything() const noexcept {
    return storage_->scope() == SaveScope::everything || replaced_.load(std::memory_order_seq_cst) != 0;
  }

  // The journal
  // ------------------------------------------------------------------------------------------------

  [[nodiscard]] JournalFeed::Owner feed_owner() {
    return {.applied = [this] { return ledger_.applied(); },
            .needs_everything = [this] { return needs_everything(); },
            .failed = [this](const std::exception_ptr& failure) { observer_.report(failure); },
            .outgrown = [this] { folder_->wake(); }};
  }

  void fold() {
    if (!journal_->wants_compaction()) return;
    try {
      compact();
    } catch (...) {  // NOLINT(bugprone-empty-catch): reported; tried again when more was appended
    }
  }

  // Saving
  // -----------------------------------------------------------------------------------------------------

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

  void log(const SaveWork& work) const noexcept {
    observer_.log(work.whole ? LogLevel::info : LogLevel::debug, work.folded ? "folded" : "saved", work.done);
  }

  /// Out of line, as most operations have nothing to settle.
  [[gnu::noinline]] void settle_owed(std::uint64_t ticket) {
    try {
      const std::uint64_t allowed = !feed_ || feed_->deliver(ticket) ? bound() : 0;
      if (!ledger_.owes(ticket, allowed)) return;
      if (options_.batch_save == BatchSave::background) return saver_ ? saver_->wake() : void();
      const TimeRecorded waiting{save_waits_};
      saving([&](SaveLedger::Save save) { ledger_.settle(ticket, allowed, save); });
    } catch (const StorageError& error) {
      throw_not_on_disk(error.path(), error.code(), error.what());
    } catch (const std::exception& error) { throw_not_on_disk(observer_.path(), {}, error.what()); }
  }

  /// Runs `settle` with the function that saves; tells of a save or a failure once, from the thread that met
  /// it, when others may already save again, so that a handler may do so as well.
  template <class Settle>
  void saving(const Settle& settle) {
    std::exception_ptr failure;
    std::optional<Saved> saved;
    std::uint64_t failures = 0;
    const auto save = [&] {
      failures = ledger_.failures();
      try {
        return saved.emplace(save_now()).last;
      } catch (...) {
        failure = std::current_exception();
        throw;
      }
    };
    const auto tell_retried = [&] {
      if (failures != 0) observer_.log(LogLevel::warning, "retried", {{"failures", failures}});
    };
    try {
      settle(SaveLedger::Save{save});
      if (!saved) return;
      tell_retried();
      log(saved->work);
    } catch (...) {
      if (failure) {
        tell_retried();
        observer_.report(failure);
        if (saver_ && !saver_->is_this_thread()) saver_->wake();  // to learn when it is to try again
      }
      throw;
    }
  }

  /// Saves what the storage wants.
  Saved save_now() {
    if (needs_everything()) return save_everything();
    return journal_ != nullptr ? sync_journal() : save_changes();
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

  Saved save_everything() {
    const std::scoped_lock snapshot{snapshot_mutex_};
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

  [[nodiscard]] AutoSaver::Delay next_delay() const {
    const auto retry = ledger_.retry_delay();
    if (options_.auto_save_interval.count() == 0) return retry;
    const std::chrono::steady_clock::duration interval = options_.auto_save_interval;
    return retry ? std::min(*retry, interval) : interval;
  }

  void auto_save() {
    try {
      saving([&](SaveLedger::Save save) { ledger_.settle(ledger_.applied(), 0, save); });
    } catch (...) {  // NOLINT(bugprone-empty-catch): reported by saving(), kept by the ledger
    }
  }

  Options options_;
  std::unique_ptr<Storage> storage_;  // null once closed
  Observer observer_;
  std::exception_ptr out_of_memory_ = out_of_memory(observer_.path());
  Snapshot snapshot_;
  SaveLedger ledger_;
  Journal* journal_ = nullptr;
  bool logs_ = false;                        // whether the storage wants changes
  std::atomic<std::uint64_t> replaced_ = 0;  // the operation that replaced every entry, until that is saved
  ChangeLog log_;
  std::optional<JournalFeed> feed_;  // where there is a journal

  mutable std::mutex storage_mutex_;  // held to let go of the storage, and to ask it for figures
  std::atomic<std::uint64_t> saved_bytes_ = 0;
  std::atomic<std::uint64_t> foldings_ = 0;
  std::atomic<std::uint64_t> failed_foldings_ = 0;
  std::atomic<std::chrono::nanoseconds> last_folding_ = std::chrono::nanoseconds{0};
  HistogramRecorder save_waits_;

  std::mutex close_mutex_;     // one close() at a time
  std::mutex snapshot_mutex_;  // one snapshot at a time

  std::optional<AutoSaver> folder_;
  std::optional<AutoSaver> saver_;  // last, as their threads end before what they use dies
};

}  // namespace kvstore::inline v0::detail
