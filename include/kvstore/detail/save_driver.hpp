// SPDX-License-Identifier: MIT
#pragma once

// When a store saves, who waits for it, and whom it tells. What a save hands to the storage is
// `StorageWriter`'s affair.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/auto_saver.hpp"
#include "kvstore/detail/change_buffer.hpp"
#include "kvstore/detail/function_ref.hpp"
#include "kvstore/detail/histogram_recorder.hpp"
#include "kvstore/detail/observer.hpp"
#include "kvstore/detail/path_text.hpp"
#include "kvstore/detail/save_ledger.hpp"
#include "kvstore/detail/storage_writer.hpp"
#include "kvstore/detail/store_thread.hpp"
#include "kvstore/detail/threads.hpp"
#include "kvstore/error.hpp"
#include "kvstore/log.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

class SaveDriver final {
 public:
  using Snapshot = StorageWriter::Snapshot;

  /// `counters` outlive it.
  SaveDriver(std::unique_ptr<Storage> storage, Options options, StoreCounters& counters, Snapshot snapshot)
      : options_{std::move(options)},
        observer_{options_, path_of(storage.get())},
        ledger_{counters},
        writer_{std::move(storage), options_, ledger_, std::move(snapshot)} {}

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const Observer& observer() const noexcept { return observer_; }
  /// The file or folder that messages name.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return observer_.path(); }
  [[nodiscard]] SaveLedger& ledger() noexcept { return ledger_; }
  [[nodiscard]] const SaveLedger& ledger() const noexcept { return ledger_; }

  /// Hands what is stored to `sink`. @throws CorruptionError, StorageError; UsageError if closed
  void load(LoadSink& sink) { writer_.load(sink); }
  /// Hands what changed since to `sink`; false if everything is to be loaded again. Errors as above.
  bool load_changes(LoadSink& sink) { return writer_.load_changes(sink); }

  /// Begins to save, once the store is loaded and can be asked for snapshots. `outdated`: what is stored has
  /// the form of an older schema version, so it is replaced first. @throws StorageError if that fails
  void start(std::uint64_t entries, bool outdated) {
    if (options_.read_only) return observer_.log(LogLevel::info, "opened", {{"entries", entries}});
    writer_.start([this](const std::exception_ptr& failure) { observer_.report(failure); },
                  [this] { folder_->wake(); });
    if (writer_.has_journal()) {
      start_needed(path(),
                   [this] { folder_.emplace([] { return AutoSaver::Delay{}; }, [this] { fold(); }); });
    }
    if (options_.auto_save_interval.count() > 0 || options_.batch_size > 0) {
      start_needed(path(),
                   [this] { saver_.emplace([this] { return next_delay(); }, [this] { auto_save(); }); });
    }
    if (outdated) {
      log(writer_.save_everything().work);
      const std::uint64_t version = options_.schema_version;
      observer_.log(LogLevel::info, "upgraded", {{"entries", entries}, {"schema_version", version}});
    }
    observer_.log(LogLevel::info, "opened", {{"entries", entries}});
  }

  // For operations
  // -------------------------------------------------------------------------------------------

  /// Whether `record` wants the changes as text.
  [[nodiscard]] bool logs() const noexcept { return writer_.logs(); }
  [[nodiscard]] bool has_journal() const noexcept { return writer_.has_journal(); }

  /// Counts operations of the calling thread, whose counters are `own`; under the lock of what they change.
  /// @returns their ticket.
  std::uint64_t record(std::uint64_t operations, StoreThread* own) noexcept {
    if (options_.batch_size != 0) return ledger_.count(operations);
    ledger_.count_unnumbered(own, operations);  // one number would be a line that all writers write
    return kNeverOwed;
  }
  /// The same, and logs them as one step.
  std::uint64_t record(std::uint64_t operations, const ChangeBuffer& changes) {
    return writer_.record(operations, changes);
  }
  /// Counts that every entry was replaced, as one operation.
  std::uint64_t record_replacement() { return writer_.record_replacement(); }

  /// What an operation does once it is applied and holds no lock: puts it into the journal, and sees that the
  /// durability bound is kept. @throws StorageError if that cannot be: applied in memory, not yet on disk.
  void settle(std::uint64_t ticket) {
    if (ticket == kNeverOwed) return;
    if (has_journal() || ledger_.owes(ticket, bound())) settle_owed(ticket);
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
    if (!has_journal()) return save();
    const auto start = SaveLedger::Clock::now();
    Saved saved;
    try {
      saved = writer_.save_everything();
      ledger_.advance(saved.last);
    } catch (const UsageError&) {
      throw;  // closed
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
    if (writer_.is_released()) return;
    refuse_writes(true);
    try {
      if (!options_.read_only) save();
    } catch (...) {
      refuse_writes(false);
      throw;
    }
    if (saver_) saver_->stop();
    if (folder_) folder_->stop();
    writer_.release();
    observer_.log(LogLevel::info, "closed");
  }

  /// Writes a snapshot to `copy`, at `path`, while no save or compaction takes one.
  void checkpoint(Storage& copy, const std::filesystem::path& path) {
    const std::string to = path_text(path);  // before there is anything that out of memory could belie
    const WorkDone done = writer_.copy_to(copy);
    const double seconds = std::chrono::duration<double>(done.duration).count();
    observer_.log(LogLevel::info, "checkpoint written",
                  {{"to", to}, {"entries", done.entries}, {"bytes", done.bytes}, {"seconds", seconds}});
  }

  // Figures
  // -------------------------------------------------------------------------------------------------

  [[nodiscard]] SaveMetrics save_metrics() const {
    SaveMetrics result = ledger_.metrics();
    result.bytes = writer_.bytes();
    return result;
  }

  [[nodiscard]] JournalMetrics journal_metrics() const {
    return {.bytes = writer_.journal_bytes(),
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

  /// A ticket where any number may stay unsaved; no operation's number gets that far.
  static constexpr std::uint64_t kNeverOwed = ~std::uint64_t{0};

  /// Operations that may stay unsaved when one returns.
  [[nodiscard]] std::uint64_t bound() const noexcept {
    return options_.batch_size == 0 ? ~std::uint64_t{0} : options_.batch_size - 1;
  }

  void fold() {
    if (!writer_.wants_folding()) return;
    try {
      compact();
    } catch (...) {  // NOLINT(bugprone-empty-catch): reported; tried again when more was appended
    }
  }

  // Saving
  // -----------------------------------------------------------------------------------------------------

  void log(const SaveWork& work) const noexcept {
    observer_.log(work.whole ? LogLevel::info : LogLevel::debug, work.folded ? "folded" : "saved", work.done);
  }

  /// Out of line, as most operations have nothing to settle.
  [[gnu::noinline]] void settle_owed(std::uint64_t ticket) {
    try {
      const std::uint64_t allowed = writer_.deliver(ticket) ? bound() : 0;
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
        return saved.emplace(writer_.save()).last;
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
  Observer observer_;
  std::exception_ptr out_of_memory_ = out_of_memory(observer_.path());
  SaveLedger ledger_;
  StorageWriter writer_;

  std::atomic<std::uint64_t> foldings_ = 0;
  std::atomic<std::uint64_t> failed_foldings_ = 0;
  std::atomic<std::chrono::nanoseconds> last_folding_ = std::chrono::nanoseconds{0};
  HistogramRecorder save_waits_;
  std::mutex close_mutex_;  // one close() at a time

  std::optional<AutoSaver> folder_;
  std::optional<AutoSaver> saver_;  // last, as their threads end before what they use dies
};

}  // namespace kvstore::inline v0::detail
