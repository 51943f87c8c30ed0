// SPDX-License-Identifier: MIT
#pragma once

// The tables of a persistent store, shared by its threads: the primitives of the verbs again, which lock the
// segment, count, take part in a snapshot and report changes to a `SaveDriver`.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/base/per_thread.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/base/waiting.hpp"
#include "kvstore/detail/saving/driver.hpp"
#include "kvstore/detail/saving/entry_form.hpp"
#include "kvstore/detail/saving/refusals.hpp"
#include "kvstore/detail/saving/work.hpp"
#include "kvstore/detail/segment/cut_number.hpp"
#include "kvstore/detail/segment/guards.hpp"
#include "kvstore/detail/segment/snapshot_source.hpp"
#include "kvstore/detail/segment/thread_state.hpp"
#include "kvstore/detail/store/change_record.hpp"
#include "kvstore/detail/store/change_trace.hpp"
#include "kvstore/detail/store/line_ahead.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/free_tables.hpp"
#include "kvstore/detail/table/mutation.hpp"
#include "kvstore/detail/table/tables.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Key, class Value, class Mutex>
class SharedTables final : private SavedStore {
 public:
  using Table = DenseMap<Key, Value>;
  using Tables = detail::Tables<Key, Value>;
  using Mutation = detail::Mutation<Key, Value>;
  using Segments = detail::Segments<Key, Value, Mutex>;
  using Lock = typename Segments::Lock;
  using Driver = SaveDriver<typename Waiting<Mutex>::Means>;

  /// `tables` outlives this object. @throws UsageError
  SharedTables(Tables& tables, std::unique_ptr<Storage> storage, Options options)
      : tables_{tables},
        end_{tables, threads_to_load(options.threads)},
        driver_{std::in_place, std::move(storage), std::move(options), counters_,
                static_cast<SavedStore&>(*this)} {}

  /// In a forked child all memory is left untouched: another thread of the parent may have been changing it.
  ~SharedTables() {
    if (!home_.is_foreign_by_id()) return;
    leave_contents_to_parent(tables_);
    segments_.leave();
    threads_.leave();
  }

  bool read_table(Verb verb, std::size_t index, FunctionRef<bool(const Table&)> fn) const {
    ThreadState* const local = threads_.local();
    return counted(verb, local, [&] {
      const typename Segments::Reading reading{segments_, index, local};
      return fn(tables_[index]);
    });
  }

  void read_tables_together(Verb verb, std::span<const std::uint64_t> hashes,
                            FunctionRef<std::uint32_t(std::uint32_t)> fn) const {
    std::array<std::size_t, Tables::kGroup> indices{};
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      indices[i] = tables_.index_of(hashes[i]);
      tables_[indices[i]].prefetch(hashes[i]);
    }
    ThreadState* const local = threads_.local();
    counted(verb, local, hashes.size(),
            [&] { return segments_.read_group(std::span{indices}.first(hashes.size()), local, fn); });
  }

  void for_each_table(Verb verb, FunctionRef<void(const Table&)> fn) const {
    driver_->check_process();
    counted(verb, threads_.local(), [&] { return visit_tables(fn), true; });
  }

  template <class Intended>
  void edit_table(Verb verb, std::size_t index, const Intended* intended,
                  FunctionRef<Mutation(Table&)> decide) {
    driver_->check_process();
    ThreadState* const local = threads_.local();
    counted(verb, local, [&] {
      ChangeTrace trace{driver_->observer()};
      LineAhead<Key, Value> line{writes_lines(), intended};
      return settled(verb, edit_locked(index, decide, line, local, trace), trace);
    });
  }

  void edit_tables(Verb verb, std::span<const std::uint64_t> hashes,
                   FunctionRef<std::vector<Mutation>()> decide) {
    driver_->check_process();
    ThreadState* const local = threads_.local();
    // A batch counts once, even if it had nothing to change.
    counted(verb, local, verb == Verb::apply ? 1 : hashes.size(), [&] {
      ChangeTrace trace{driver_->observer()};
      LineAhead<Key, Value> line{writes_lines()};
      settled(verb, edit_locked(hashes, decide, line, local, trace), trace);
    });
  }

  void clear_tables() {
    driver_->check_process();
    ThreadState* const local = threads_.local();
    counted(Verb::clear, local, [&] {
      std::vector<Table> old(segments_.size());  // destroyed after the locks are released
      ChangeTrace trace{driver_->observer()};
      settled(Verb::clear, clear_locked(old, local), trace);
      return true;
    });
  }

  void note_failure(Verb verb) const noexcept {
    if (counts()) count(threads_.local(), verb, Outcome::failed);
  }

  // For the store's own calls -----------------------------------------------------------------------------

  [[nodiscard]] const Segments& segments() const noexcept { return segments_; }
  [[nodiscard]] Driver& driver() const noexcept { return *driver_; }
  /// Call if the driver's threads and turns can no longer be waited for.
  void leave_driver() noexcept {
    driver_->leave();
    driver_.leave();
  }
  [[nodiscard]] auto operation_totals() const noexcept { return detail::operation_totals(counters_); }

  [[nodiscard]] std::uint64_t count_entries() const override {
    std::uint64_t entries = 0;
    visit_tables([&](const Table& table) { entries += table.size(); });
    return entries;
  }

  [[nodiscard]] std::uint64_t estimate_entries() const noexcept override {
    return driver_->ledger().numbers().entries();
  }

  /// Call before threads use the store: takes the loaded tables, one for each segment.
  void begin_with(Tables&& tables) {
    tables_ = std::move(tables);
    segments_.resize(tables_.size());
  }

  /// Exchanges the current tables for `tables`, which receives the old ones.
  void replace_locked(Tables& tables) {
    const std::vector<Lock> locks = segments_.lock_all();
    check_open();
    const CutNumber cut = segments_.cut();  // first, as in every change: a save may begin meanwhile
    driver_->ledger().record_replacement();
    exchange_tables(cut, tables);
  }

  // For a store that follows another process: unrecorded changes, made as one step for readers and for a
  // snapshot under way. If either function throws, nothing was changed.

  void follow(Tables& tables) {
    const std::vector<Lock> locks = segments_.lock_all();
    exchange_tables(segments_.cut(), tables);
  }
  void follow(std::span<const Mutation> mutations) {
    std::vector<std::uint64_t> hashes;
    hashes.reserve(mutations.size());
    for (const Mutation& mutation : mutations) hashes.push_back(mutation.hash);
    const std::vector<Lock> locks = lock_segments(hashes);
    perform_all(prepare_all(mutations), mutations);
  }

  /// Call before threads use the store.
  void become_read_only() noexcept { state_ = State::read_only; }

  void check_open() const {
    const State state = state_.load(std::memory_order_relaxed);
    if (state != State::open) [[unlikely]]
      state == State::closed ? throw_closed() : throw_read_only(driver_->path());
  }

  /// When this returns, every writer sees `closed`: writers inside have released their segment's lock.
  void close_to_writes(bool closed) {
    state_.store(closed ? State::closed : State::open);
    for (std::size_t i = 0; i < segments_.size(); ++i) const Lock lock = segments_.lock(i);
  }

 private:
  enum class State : std::uint8_t { open, closed, read_only };

  // Counting ----------------------------------------------------------------------------------------------

  [[nodiscard]] bool counts() const noexcept { return driver_->options().count_operations; }

  void count(ThreadState* local, Verb verb, Outcome outcome, std::uint64_t operations = 1) const noexcept {
    counters_.add(local, operation_counter(verb, outcome), operations);
  }

  /// Counts the outcome of an operation of the calling thread, whose counters are `local`; `operation`
  /// returns whether it was done or refused.
  template <class Operation>
  bool counted(Verb verb, ThreadState* local, const Operation& operation) const {
    try {
      const bool done = operation();
      if (!counts()) return done;
      if (done) [[likely]]
        count(local, verb, Outcome::done);
      else
        note_refusal(local, verb);
      return done;
    } catch (...) {
      note_failure(verb);
      throw;
    }
  }
  /// Out of line, so that choosing the counter does not wait for the result of the search.
  [[gnu::noinline]] void note_refusal(ThreadState* local, Verb verb) const noexcept {
    count(local, verb, Outcome::refused);
  }

  /// The same for `operations` writes at once, none of which is refused.
  template <class Writes>
  void counted(Verb verb, ThreadState* local, std::size_t operations, const Writes& writes) const
    requires std::is_void_v<std::invoke_result_t<const Writes&>>
  {
    try {
      writes();
      if (counts()) count(local, verb, Outcome::done, operations);
    } catch (...) {
      note_failure(verb);
      throw;
    }
  }
  /// The same for `keys` reads at once, which return a bit for each key that exists.
  template <class Reads>
  void counted(Verb verb, ThreadState* local, std::size_t keys, const Reads& reads) const {
    if (!counts()) return void(reads());
    try {
      const auto found = static_cast<std::size_t>(std::popcount(std::uint32_t{reads()}));
      count(local, verb, Outcome::done, found);
      count(local, verb, Outcome::refused, keys - found);
    } catch (...) {
      note_failure(verb);
      throw;
    }
  }

  /// Completes an operation that is applied and holds no lock. @returns whether there was one
  bool settled(Verb verb, std::uint64_t ticket, const ChangeTrace& trace) {
    if (ticket == 0) return false;
    trace.tell(verb);
    driver_->settle(ticket);
    return true;
  }

  void visit_tables(FunctionRef<void(const Table&)> fn) const {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const std::shared_lock lock{segments_[i].mutex};
      fn(tables_[i]);
    }
  }

  // Editing: decide, prepare what may fail, then do what cannot -------------------------------------------

  [[nodiscard]] bool writes_lines() const noexcept { return driver_->ledger().form() == EntryForm::line; }

  std::uint64_t edit_locked(std::size_t index, FunctionRef<Mutation(Table&)> decide,
                            LineAhead<Key, Value>& line, ThreadState* local, ChangeTrace& trace) {
    auto& guard = segments_[index];
    Table& table = tables_[index];
    const typename Segments::Writing writing{segments_, index};
    check_open();
    const Mutation mutation = decide(table);
    if (!mutation) return 0;
    if (trace.wanted()) [[unlikely]]
      trace.add(mutation.key_in(table));
    if (mutation.kind == Mutation::Kind::insert) table.prepare_insert(1);
    const CutNumber cut = segments_.cut();
    if (is_told(cut)) [[unlikely]]
      guard.cut.prepare(cut, table, mutation);
    const std::uint64_t ticket =
        record_changes(driver_->ledger(), tables_, std::span{&mutation, 1}, line, local);
    if (is_told(cut)) [[unlikely]] {
      guard.cut.perform(cut, table, mutation);
      limit_marks(cut, index);
    } else {
      mutation.perform(table);
    }
    return ticket;
  }

  std::uint64_t edit_locked(std::span<const std::uint64_t> hashes,
                            FunctionRef<std::vector<Mutation>()> decide, LineAhead<Key, Value>& line,
                            ThreadState* local, ChangeTrace& trace) {
    const std::vector<Lock> locks = lock_segments(hashes);
    check_open();
    const std::vector<Mutation> mutations = decide();
    if (mutations.empty()) return 0;
    for (const Mutation& mutation : mutations) {
      if (trace.wanted()) trace.add(mutation.key_in(tables_.of(mutation.hash)));
    }
    const CutNumber cut = prepare_all(mutations);
    const std::uint64_t ticket =
        record_changes(driver_->ledger(), tables_, std::span{mutations}, line, local);
    perform_all(cut, mutations);
    return ticket;
  }

  /// Under the locks of all segments: exchanges the current tables for `tables`, which receives the old ones.
  void exchange_tables(CutNumber cut, Tables& tables) noexcept {
    driver_->ledger().count_growth(nullptr, tables.entries(), tables_.entries());
    for (std::size_t i = 0; i < tables.size(); ++i)
      tables_[i] = std::exchange(tables[i], segments_[i].cut.clear(cut, tables_[i]));
  }

  /// Makes room for `mutations`, and captures the entries that they change for a snapshot under way. May
  /// throw; then nothing has changed. @returns the cut to perform them for
  [[nodiscard]] CutNumber prepare_all(std::span<const Mutation> mutations) {
    const CutNumber cut = segments_.cut();
    for (const auto& inserts : tables_.inserts_of(mutations)) {
      Table& table = tables_[inserts.table];
      table.prepare_insert(inserts.count);
      segments_[inserts.table].cut.make_room(cut, table, inserts.count);
    }
    for (const Mutation& mutation : mutations) {
      const std::size_t index = tables_.index_of(mutation.hash);
      segments_[index].cut.prepare(cut, tables_[index], mutation, 0);
    }
    return cut;
  }
  void perform_all(CutNumber cut, std::span<const Mutation> mutations) noexcept {
    for (const Mutation& mutation : mutations) {
      const std::size_t index = tables_.index_of(mutation.hash);
      segments_[index].cut.perform(cut, tables_[index], mutation);
    }
    // Last: each change relies on the marks that were made ready for all of them.
    for (const Mutation& mutation : mutations) limit_marks(cut, tables_.index_of(mutation.hash));
  }
  void limit_marks(CutNumber cut, std::size_t index) noexcept {
    if (keeps_marks(cut) && !segments_[index].cut.keeps_marks_within(tables_[index].size()))
      driver_->ledger().owe_everything();
  }

  std::uint64_t clear_locked(std::vector<Table>& old, ThreadState* local) {
    const std::vector<Lock> locks = segments_.lock_all();
    const std::uint64_t entries = tables_.entries();
    check_open();
    const CutNumber cut = segments_.cut();           // first, as in every change
    if (entries == 0 && keeps_marks(cut)) return 0;  // there may be removals to save
    const std::uint64_t ticket = entries == 0 ? 0 : record_clear(driver_->ledger(), tables_, local);
    driver_->ledger().count_growth(local, 0, entries);
    for (std::size_t i = 0; i < old.size(); ++i) { old[i] = segments_[i].cut.clear(cut, tables_[i]); }
    return ticket;
  }

  [[nodiscard]] std::vector<Lock> lock_segments(std::span<const std::uint64_t> hashes) {
    std::vector<std::size_t> indices;
    indices.reserve(hashes.size());
    for (const std::uint64_t hash : hashes) indices.push_back(tables_.index_of(hash));
    std::sort(indices.begin(), indices.end());
    indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
    return segments_.lock_each(indices);
  }

  void keep_marks() noexcept override { segments_.keep_marks(); }

  [[nodiscard]] std::unique_ptr<ChangeSource> snapshot(CutKind kind) override {
    const Options& options = driver_->options();
    return std::make_unique<SnapshotSource<Key, Value, Mutex>>(
        tables_, segments_, kind, options.schema_version, threads_to_save(options.threads));
  }

  const ForkGuard home_;
  Tables& tables_;
  TablesEnd<Key, Value> end_;  // in a forked child the tables are empty by then
  mutable PerThread<ThreadState> threads_;
  Segments segments_;  // uses the slots of `threads_`
  mutable StoreCounters counters_{threads_};
  std::atomic<State> state_ = State::open;
  LeftToParent<Driver> driver_;  // last, so that its threads end before the members they use
};

}}}  // namespace kvstore::v1::detail
