// SPDX-License-Identifier: MIT
#pragma once

// Decides when a store saves, which threads wait for a save, and which handlers are told: the shell around
// `SaveState`, which it drives under the mutex of the ledger.

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "kvstore/detail/base/histogram_recorder.hpp"
#include "kvstore/detail/base/no_cancellation.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/change/change_log.hpp"
#include "kvstore/detail/saving/figures.hpp"
#include "kvstore/detail/saving/ledger.hpp"
#include "kvstore/detail/saving/not_on_disk.hpp"
#include "kvstore/detail/saving/numbers.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/detail/saving/open_stores.hpp"
#include "kvstore/detail/saving/refusals.hpp"
#include "kvstore/detail/saving/reports.hpp"
#include "kvstore/detail/saving/schedule.hpp"
#include "kvstore/detail/saving/state.hpp"
#include "kvstore/detail/saving/threads.hpp"
#include "kvstore/detail/saving/turns.hpp"
#include "kvstore/detail/saving/work.hpp"
#include "kvstore/detail/segment/thread_state.hpp"
#include "kvstore/error.hpp"
#include "kvstore/log.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// `Means` are the primitives for waiting: see `Waiting`.
template <class Means>
class SaveDriver final : private OpenStore {
 public:
  /// `counters` and `store` outlive it.
  SaveDriver(std::unique_ptr<Storage> storage, Options options, StoreCounters& counters, SavedStore& store)
      : options_{std::move(options)},
        observer_{options_, path_of(storage.get())},
        ledger_{counters, options_.batch_size == 0 ? Ledger::kUnbounded : options_.batch_size - 1},
        work_{std::move(storage), options_, store} {}

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const Observer& observer() const noexcept { return observer_; }
  /// The file or folder that messages name.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return observer_.path(); }

  /// The storage to load from, before `start`, or in a store that never saves. @throws UsageError if closed
  [[nodiscard]] Storage& storage() const {
    if (work_.storage() == nullptr) throw_closed();
    return *work_.storage();
  }

  /// Starts saving, once the store is loaded, has this number of entries, and can give snapshots. `outdated`:
  /// the stored values have the form of an older schema version, so they are replaced first. @throws
  /// StorageError if that fails
  void start(std::uint64_t entries, bool outdated) {
    if (options_.read_only) return observer_.log(LogLevel::info, "opened", {{"entries", entries}});
    const bool wants_everything = work_.start();
    ledger_.start(work_.form(), work_.journal() != nullptr, work_.lines(), wants_everything);
    ledger_.log_locked().expect(entries);
    ledger_.count_growth(nullptr, entries, 0);
    if (work_.any_journal() != nullptr) reports_.set_journal_bytes(work_.any_journal()->bytes());
    start_threads();
    if (options_.complain) listed_.emplace(static_cast<const OpenStore&>(*this));
    if (outdated) {
      run({.want = {.kind = Want::Kind::all}});
      const std::uint64_t version = options_.schema_version;
      observer_.log(LogLevel::info, "upgraded", {{"entries", entries}, {"schema_version", version}});
    }
    observer_.log(LogLevel::info, "opened", {{"entries", entries}});
  }

  // For operations --------------------------------------------------------------------------------

  /// @throws UsageError in a forked child, where the files are its parent's. Called before any lock, since a
  /// thread that does not exist in the child may hold it.
  void check_process() const {
    if (home_.is_foreign()) [[unlikely]]
      throw_foreign(path());
  }

  /// Where operations record themselves.
  using Ledger = OperationLedger<typename Means::Lock>;
  [[nodiscard]] Ledger& ledger() noexcept { return ledger_; }

  /// Completes an operation that is applied and holds no lock: appends it to the journal, and ensures the
  /// durability bound. @throws StorageError if that fails: applied in memory, not yet on disk.
  void settle(std::uint64_t ticket) {
    if (!ledger_.is_settled(ticket)) settle_owed(ledger_.number_of(ticket));
  }

  // For the store's own calls ---------------------------------------------------------------------

  void save() {
    check_process();
    if (options_.read_only) return;
    run({.want = {.ticket = numbers().applied(), .complete = true, .insist = true}});
  }

  /// The same for changes that are applied. @throws StorageError that says so
  void save_applied() {
    not_on_disk_.rethrow_from([this] { save(); });
  }

  /// Compacts the journal into a new base file; without a journal, saves.
  void compact() {
    check_process();
    if (options_.read_only) throw UsageError{"compact() of a store that was opened read-only"};
    if (work_.any_journal() == nullptr) return save();
    run({.want = {.kind = Want::Kind::all}, .counts_as_compaction = true});
  }

  /// Begins to close; false if the store is closed already. The caller then refuses writes, and calls
  /// `finish_close`. Waits for another thread that is closing.
  [[nodiscard]] bool begin_close() {
    if (home_.is_foreign_by_id()) return false;
    if (threads_.has_this_thread() || is_closing_here())
      throw UsageError{"close() called in a handler by a thread of the store or by one that closes it"};
    return take_closing();
  }
  /// The same for a destructor, which may run inside a handler that ends the program.
  [[nodiscard]] bool begin_destruction() { return !home_.is_foreign_by_id() && take_closing(); }

  /// Whether this thread is carrying out a step, and is therefore inside a storage or `Options::on_progress`.
  [[nodiscard]] bool is_at_work_here() const noexcept { return at_work == this; }

  /// Reports on standard error that operations are lost with the store, unless a handler would hear of it.
  void complain_of_loss(const char* why) const noexcept {
    if (!options_.complain || options_.on_error || options_.logger) return;
    complain(Loss{lost_with_process(), path_text_, why});
  }
  /// Called when the store ends without this object. Work under way on its threads may go on.
  void leave() noexcept {
    listed_.reset();
    threads_.leave();
  }

  /// Saves and releases the storage. @throws StorageError if saving failed; then writes may go on.
  void finish_close() {
    try {
      if (!options_.read_only) save();
      if (work_.compacts_on_close()) attempt([this] { compact(); });
      run({.want = {.kind = Want::Kind::close}});
      threads_.stop();  // only now: a store that could not be closed continues
      listed_.reset();
    } catch (...) {
      leave_closing();
      throw;
    }
    leave_closing();
    observer_.log(LogLevel::info, "closed");
  }

  /// Loads the entries that another program has put in place of those saved. False if the storage cannot.
  bool take_over(const LoadRequest& request, LoadSink& sink) {
    check_process();
    Errand errand{.want = {.kind = Want::Kind::take_over}, .targets = {.request = request, .into = &sink}};
    run(errand);
    return errand.taken_over;
  }

  /// Writes a snapshot to `copy`, at `path`, while no save or compaction takes one.
  void checkpoint(Storage& copy, const std::filesystem::path& path) {
    check_process();
    const std::string to = path_text(path);  // first: after the copy, bad_alloc would deny it
    Errand errand{.want = {.kind = Want::Kind::copy}, .targets = {.copy = &copy}};
    run(errand);
    const double seconds = std::chrono::duration<double>(errand.done.duration).count();
    observer_.log(
        LogLevel::info, "checkpoint written",
        {{"to", to}, {"entries", errand.done.entries}, {"bytes", errand.done.bytes}, {"seconds", seconds}});
  }

  [[nodiscard]] const SaveNumbers& numbers() const noexcept { return ledger_.numbers(); }

  /// The figures of saves and of the journal.
  [[nodiscard]] SaveFigures figures() const {
    const std::scoped_lock lock{ledger_.mutex()};
    return reports_.figures();
  }

  /// The time that operations waited for saves.
  [[nodiscard]] const HistogramRecorder& save_waits() const noexcept { return save_waits_; }

 private:
  using Lock = std::unique_lock<typename Means::Lock>;

  /// Guarded by the ledger's mutex.
  [[nodiscard]] SaveState& state() noexcept { return ledger_.state_locked(); }
  [[nodiscard]] const SaveState& state() const noexcept { return ledger_.state_locked(); }

  /// The driver whose step this thread is carrying out.
  static inline constinit thread_local const void* at_work = nullptr;

  /// Operations handed to a journal outlive the process.
  [[nodiscard]] std::uint64_t lost_with_process() const noexcept {
    return ledger_.outlives_process() ? 0 : numbers().unsaved();
  }

  [[nodiscard]] Loss loss() const noexcept override {
    return {lost_with_process(), path_text_, "the program ended without closing the store"};
  }

  void start_threads() {
    if (ledger_.has_journal()) threads_.start_compactor(path(), [this] { attempt([this] { compact(); }); });
    if (options_.auto_save_interval.count() == 0 && options_.batch_size == 0) return;
    threads_.start_saver(path(), [this] { return next_delay(); }, [this] { auto_save(); });
  }

  void auto_save() noexcept {
    schedule_.note_save(clock_now());
    attempt([this] { run({.want = {.ticket = numbers().applied(), .complete = true}}); });
  }
  template <class Work>
  static void attempt(const Work& work) noexcept {
    try {
      work();
    } catch (...) {  // NOLINT(bugprone-empty-catch): reported, and tried again later
    }
  }

  [[nodiscard]] SaveSchedule::Delay next_delay() const {
    const std::scoped_lock lock{ledger_.mutex()};
    return schedule_.next_delay(state(), reports_.figures().last_save(), clock_now());
  }

  [[nodiscard]] bool is_closing_here() const {
    const std::scoped_lock lock{ledger_.mutex()};
    return closer_ == std::this_thread::get_id();
  }
  /// Where a handler of this thread's `close` ends the program, that never gets back here.
  [[nodiscard]] bool take_closing() {
    const auto self = std::this_thread::get_id();
    Lock lock{ledger_.mutex()};
    closed_.wait(lock, [&] { return closer_ == std::thread::id{} || closer_ == self; });
    if (state().is_closed()) return false;
    closer_ = self;
    return true;
  }
  void leave_closing() noexcept {
    Lock lock{ledger_.mutex()};
    closer_ = {};
    lock.unlock();
    closed_.notify_all();
  }

  // Saving ----------------------------------------------------------------------------------------

  /// Out of line, since most operations have nothing to settle.
  [[gnu::noinline]] void settle_owed(std::uint64_t ticket) {
    NoCancellation::cancel_if_asked();
    not_on_disk_.rethrow_from([this, ticket] {
      if (ledger_.has_journal()) run({.want = {.ticket = ticket, .allowed = Ledger::kUnbounded}});
      if (!numbers().owes(ticket, ledger_.bound())) return;
      if (options_.batch_save == BatchSave::background) return threads_.wake_saver();
      const TimeRecorded waiting{save_waits_};
      run({.want = {.ticket = ticket, .allowed = ledger_.bound()}});
    });
  }

  void run(Errand&& errand) { run(errand); }
  void run(Errand& errand) {
    const NoCancellation until_done;
    Lock lock{ledger_.mutex()};
    while (true) {
      // Step and turn come from one reading of the number, which grows meanwhile: with another one the thread
      // might wait for a turn that nobody holds, and for ever.
      const Decision next = state().next(errand.want, numbers().numbered(), time());
      switch (next.step) {
        case Step::done:
          return;
        case Step::wait:
          turns_.wait(next.awaited, lock);
          break;
        case Step::fail:
          std::rethrow_exception(reports_.figures().failure());
        case Step::closed:
          throw_closed();
        default:
          carry_out(next.step, errand, lock);
      }
    }
  }

  [[nodiscard]] static SaveState::Time clock_now() noexcept { return now_by<typename Means::Clock>(); }
  /// Needed only after a failure.
  [[nodiscard]] SaveState::Time time() const noexcept {
    return state().failures() == 0 ? SaveState::Time{} : clock_now();
  }

  /// Carries out the step, and reports the result once no turn is held any more. @throws the failure, unless
  /// the next step makes up for it
  void carry_out(Step step, Errand& errand, Lock& lock) {
    ChangeLog& log = ledger_.log_locked();
    if (step == Step::rotate || step == Step::join || step == Step::close) ledger_.close_window_locked();
    work_.take(step, log);
    if (step != Step::append && !errand.want.compacting)
      SaveReports::begin(errand, state().failures(), clock_now());
    const Turn freed = state().begin(step, errand.want, numbers().applied());
    const bool afresh = state().begins_afresh();
    lock.unlock();
    turns_.wake(freed);
    const void* const outer = std::exchange(at_work, this);
    const StepResult result = work_.perform(step, afresh, log, errand.targets);
    at_work = outer;
    lock.lock();
    SaveWork::finish(step, result, log);
    const auto now = step == Step::append ? errand.start : clock_now();
    const Turn given = state().end(step, errand.want, result.outcome, now);
    if (result.outcome.broke) ledger_.close_window_locked();
    if (result.window_is_ready) ledger_.open_window_locked();
    reports_.note(step, errand, result, now);
    ledger_.publish_locked();
    lock.unlock();
    turns_.wake(given);
    tell(step, errand, result);
    if (result.failure && !SaveState::is_made_good(step, result.outcome))
      std::rethrow_exception(result.failure);
    lock.lock();
  }

  void tell(Step step, const Errand& errand, const StepResult& result) noexcept {
    if (step == Step::replace_base) threads_.note_compacted();
    if (result.outgrown) threads_.note_outgrown();
    const bool failed = reports_.tell(step, errand, result);
    if (failed && !threads_.has_this_thread()) threads_.wake_saver();  // to schedule the next attempt
  }

  const Options options_;
  Observer observer_;
  const std::string path_text_ = path_text(observer_.path());
  const NotOnDisk not_on_disk_{observer_.path()};
  const ForkGuard home_;

  Ledger ledger_;

  // Guarded by the ledger's mutex.
  SaveReports reports_{observer_};  // its figures
  std::thread::id closer_;          // the thread that is in close()
  typename Means::Condition closed_;
  SaveTurns<Means> turns_;

  SaveWork work_;  // the thread with the turns of a step uses it
  HistogramRecorder save_waits_;
  SaveSchedule schedule_{options_.auto_save_interval, clock_now()};  // the auto-saver's

  std::optional<OpenStores::Entry> listed_;
  SaveThreads<Means> threads_;  // last, so that they end before the members they use are destroyed
};

}}}  // namespace kvstore::v1::detail
