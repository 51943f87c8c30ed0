// SPDX-License-Identifier: MIT
#pragma once

// The store that many threads share and that survives a restart.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/codec.hpp"
#include "kvstore/detail/change_buffer.hpp"
#include "kvstore/detail/change_trace.hpp"
#include "kvstore/detail/function_ref.hpp"
#include "kvstore/detail/observer.hpp"
#include "kvstore/detail/operation_counters.hpp"
#include "kvstore/detail/path_text.hpp"
#include "kvstore/detail/reentry.hpp"
#include "kvstore/detail/save_driver.hpp"
#include "kvstore/detail/segment_cut.hpp"
#include "kvstore/detail/segments.hpp"
#include "kvstore/detail/snapshot_source.hpp"
#include "kvstore/detail/table_loader.hpp"
#include "kvstore/detail/table_update.hpp"
#include "kvstore/detail/thread_object.hpp"
#include "kvstore/detail/threads.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/key_value_store.hpp"
#include "kvstore/kvstore_fwd.hpp"
#include "kvstore/log.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/json_file.hpp"

namespace kvstore::inline v0 {

/// A `KeyValueStore` whose entries are kept by a `Storage`, by default a JSON file, and reloaded on restart.
///
/// *Thread safety*: every member may be called from any thread. Readers block on a writer of the same segment
/// only; writers on readers and writers of the same segment, and for at most one slice of a snapshot's
/// encoding; nobody blocks on the disk but the operation that fills a batch (`BatchSave::wait`), `save` and
/// `close`. Writers are not starved by readers.
///
/// *Durability*: with `BatchSave::wait`, when an operation returns, fewer than `batch_size` operations are
/// not yet on disk, and none stays so for longer than `auto_save_interval`. While saves fail this does not
/// hold: operations that would break it throw `StorageError`, `on_error` is told, and `last_error` tells.
///
/// *Requirements*: those of `KeyValueStore`, and a `Codec` for `Key` and `Value` (there is one for most
/// types; see codec.hpp). `Mutex` meets the standard's SharedMutex requirements.
///
/// *Lock order*: a batch or `clear` locks its segments in ascending order; then the change log. Saving locks
/// the snapshot, then one segment at a time. No storage, file or handler is called under a segment's lock.
///
/// ```cpp
/// kvstore::BatchPersistentKeyValueStore<std::string, int> store{"ages.json", {.batch_size = 100}};
/// store.upsert("alice", 30);  // from any thread
/// store.close();              // saves, and throws if that fails
/// ```
///
/// `Hash` is by default `kvstore::Hash<Key>`, `KeyEqual` `std::equal_to<>`, and `Mutex` `std::shared_mutex`.
template <class Key, class Value, class Hash, class KeyEqual, class Mutex>
class BatchPersistentKeyValueStore final : public KeyValueStore<Key, Value, Hash, KeyEqual> {
  using Base = KeyValueStore<Key, Value, Hash, KeyEqual>;
  using typename Base::CheckedKey;
  using typename Base::Mutation;
  using typename Base::Table;

 public:
  using typename Base::LookupKey;

  /// Opens the JSON file at `path`, which need not exist, and loads it.
  /// @throws LockedError, CorruptionError, SchemaVersionError, StorageError: the file is as it was;
  /// UsageError
  ///         for a bad option; what `Options::upgrade` throws.
  explicit BatchPersistentKeyValueStore(const std::filesystem::path& path, Options options = {},
                                        Hash hash = Hash{}, KeyEqual equal = KeyEqual{})
      : BatchPersistentKeyValueStore(std::make_unique<JsonFile>(path), std::move(options), std::move(hash),
                                     std::move(equal)) {}

  /// Takes any other storage and loads it. Errors as above.
  explicit BatchPersistentKeyValueStore(std::unique_ptr<Storage> storage, Options options = {},
                                        Hash hash = Hash{}, KeyEqual equal = KeyEqual{})
      : Base(1, std::move(hash), std::move(equal)),
        driver_{std::move(storage), checked(std::move(options)),
                [this](detail::FunctionRef<void(ChangeSource&)> use) {
                  detail::SnapshotSource source{this->tables(), segments_, driver_.options().schema_version,
                                                detail::threads_to_save(driver_.options().threads)};
                  use(source);
                }} {
    load();
  }

  /// Closes the store. A failure goes to `on_error`, since a destructor cannot throw: call `close` to see it.
  ~BatchPersistentKeyValueStore() override {
    try {
      close();
    } catch (...) {  // NOLINT(bugprone-empty-catch): whoever saved has reported it
    }
  }

  /// Makes every operation that has returned durable. Does nothing if all are.
  /// @throws StorageError if that failed: memory and the last good file are as they were.
  /// *Thread safety*: blocks on a save under way; blocks nobody who does not need the same save.
  void save() {
    detail::CallbackScope::refuse_reentry(this);
    driver_.save();
  }

  /// Folds a journal into a new snapshot now and makes everything durable; the same as `save` for a storage
  /// that keeps no journal. @throws StorageError: the old snapshot and journal still count.
  /// *Thread safety*: readers and writers go on.
  void compact() {
    detail::CallbackScope::refuse_reentry(this);
    driver_.compact();
  }

  /// Saves, stops the auto-saver and releases the file. Afterwards reads still work, and writes throw
  /// `UsageError`. A second call does nothing. @throws StorageError if saving failed; the store stays open
  /// then, so that the cause can be mended and `close` called again. Not from `on_error`.
  void close() {
    detail::CallbackScope::refuse_reentry(this);
    driver_.close([this](bool refuse) { refuse_writes(refuse); });
  }

  /// Writes the store as of this moment to another JSON file, which is replaced as a whole or not at all,
  /// while readers and writers go on. @throws LockedError if `path` is open as a store, this one included;
  /// StorageError. *Durability*: when it returns, the copy survives power loss.
  void checkpoint(const std::filesystem::path& path) {
    detail::CallbackScope::refuse_reentry(this);
    JsonFile copy{path};
    driver_.checkpoint(copy, path);
  }

  /// Replaces every entry by those of another JSON file, such as a `checkpoint`, which is only read. Readers
  /// and writers go on: they see the old entries or the new ones, never some of both. When it returns, the
  /// new ones are durable. @throws CorruptionError, SchemaVersionError, StorageError from the file: nothing
  /// was changed; StorageError from saving: applied in memory, not yet on disk. *Complexity*: O(entries), and
  /// the memory of both.
  void load_from(const std::filesystem::path& path) {
    JsonFile file{path};
    load_from(file);
  }

  /// The same, from any storage; it is loaded for `LoadPurpose::follow`.
  void load_from(Storage& storage) {
    detail::CallbackScope::refuse_reentry(this);
    refuse_unless_open();
    const std::filesystem::path path = storage.path();
    // Before there is anything that out of memory could belie.
    const std::string from_text = detail::path_text(path);
    const detail::Observer from{driver_.options(), path};
    auto loader = make_loader(LoadPurpose::follow, segments_.size(), from);
    detail::SaveDriver::load_from(storage, loader);
    std::vector<Table> tables =
        std::move(loader).take();  // what they held before is destroyed after the locks
    replace_locked(tables);
    driver_.observer().log(LogLevel::info, "replaced", {{"from", from_text}, {"entries", count_entries()}});
    driver_.save();
  }

  /// Brings a store that was opened read-only up to date with what others have saved, or, in a journal,
  /// merely written. Readers see it all at once. False if nothing had changed. @throws UsageError if it was
  /// not opened read-only; CorruptionError, SchemaVersionError, StorageError: nothing was changed.
  /// *Complexity*: O(changes) for a journal, O(entries) for what else has changed. *Thread safety*: one at a
  /// time, others wait.
  bool refresh() {
    detail::CallbackScope::refuse_reentry(this);
    if (!driver_.options().read_only) {
      throw UsageError{"refresh() is for a store that was opened with Options::read_only"};
    }
    const bool changed = refresh_one_at_a_time();
    if (changed) driver_.observer().log(LogLevel::debug, "refreshed", {{"entries", count_entries()}});
    return changed;
  }

  /// Operations that are applied and not yet on disk. Wait-free.
  [[nodiscard]] std::uint64_t unsaved() const noexcept { return driver_.ledger().unsaved(); }

  /// Why the last save failed; nothing once a save has succeeded since.
  [[nodiscard]] std::optional<std::string> last_error() const { return driver_.ledger().last_error(); }

  /// Figures about this store. *Complexity*: O(segments). *Thread safety*: as `size`; blocks no operation.
  [[nodiscard]] Metrics metrics() const {
    return {.entries = count_entries(),
            .segments = segments_.size(),
            .applied = driver_.ledger().applied(),
            .unsaved = driver_.ledger().unsaved(),
            .operations = operations_.totals(),
            .saves = driver_.save_metrics(),
            .journal = driver_.journal_metrics(),
            .save_waits = driver_.save_waits().histogram(),
            .lock_waits = segments_.waits().histogram(),
            .load_duration = load_duration_};
  }

 protected:
  bool look_at_table(Verb verb, std::uint64_t hash,
                     detail::FunctionRef<bool(const Table&)> fn) const override {
    return counted(verb, [&] {
      const std::size_t index = this->table_index(hash);
      const std::shared_lock lock{segments_[index].mutex};
      return fn(this->tables()[index]);
    });
  }

  void look_at_group(Verb verb, std::span<const std::uint64_t> hashes,
                     detail::FunctionRef<std::uint32_t(std::uint32_t)> fn) const override {
    std::array<std::size_t, Base::kGroup> indices{};
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      indices[i] = this->table_index(hashes[i]);
      this->tables()[indices[i]].prefetch(hashes[i]);
    }
    counted(verb, hashes.size(),
            [&] { return segments_.read_group(std::span{indices}.first(hashes.size()), fn); });
  }

  void look_at_tables(Verb verb, detail::FunctionRef<void(const Table&)> fn) const override {
    counted(verb, [&] {
      visit_tables(fn);
      return true;
    });
  }

  void edit_table(Verb verb, std::uint64_t hash, detail::FunctionRef<Mutation(Table&)> decide) override {
    counted(verb, [&] {
      detail::ChangeTrace trace{driver_.observer()};
      return settled(verb, edit_locked(hash, decide, trace), trace);
    });
  }

  void edit_tables(std::span<const std::uint64_t> hashes,
                   detail::FunctionRef<std::vector<Mutation>()> decide) override {
    counted(Verb::apply, [&] {
      detail::ChangeTrace trace{driver_.observer()};
      settled(Verb::apply, edit_locked(hashes, decide, trace), trace);
      return true;  // a batch that had nothing to change as well
    });
  }

  void clear_tables() override {
    counted(Verb::clear, [&] {
      std::vector<Table> old(segments_.size());  // destroyed after the locks
      detail::ChangeTrace trace{driver_.observer()};
      settled(Verb::clear, clear_locked(old), trace);
      return true;
    });
  }

  void note_failure(Verb verb) const noexcept override {
    if (counts()) operations_.count(verb, detail::Outcome::failed);
  }

  void check_entry(CheckedKey key, const Value& value) const override {
    try {
      KeyText<Key>::check(key);
      refuse_reserved(key);
    } catch (const ValueError& error) {
      throw ValueError{"key " + KeyText<Key>::for_message(key) + ": " + error.what()};
    }
    check_value(key, value);
  }

  void check_value(LookupKey key, const Value& value) const override {
    try {
      detail::check_value(value);
    } catch (const ValueError& error) {
      throw ValueError{"value of key " + KeyText<Key>::for_message(key) + ": " + error.what()};
    }
  }

  /// A move-only value is duplicated through its JSON text.
  [[nodiscard]] std::optional<Value> duplicate(const Value& value) const override {
    if constexpr (std::copy_constructible<Value>) return value;
    detail::ScratchWriter text;
    Codec<Value>::encode(value, *text);
    JsonReader reader{text->text()};
    return Codec<Value>::decode(reader);
  }

 private:
  using Segments = detail::Segments<Key, Value, Mutex>;
  using Lock = typename Segments::Lock;

  static void refuse_reserved([[maybe_unused]] CheckedKey key) {
    if constexpr (std::convertible_to<CheckedKey, std::string_view>) {
      if (std::string_view{key} != kSchemaVersionKey) return;
      throw ValueError{"JSON files keep Options::schema_version under this name; use another key"};
    }
  }

  // Looking on
  // -----------------------------------------------------------------------------------------------

  [[nodiscard]] bool counts() const noexcept { return driver_.options().count_operations; }

  /// Counts what became of an operation: `operation` says whether it was done or refused.
  template <class Operation>
  bool counted(Verb verb, const Operation& operation) const {
    if (!counts()) return operation();
    try {
      const bool done = operation();
      operations_.count(verb, done ? detail::Outcome::done : detail::Outcome::refused);
      return done;
    } catch (...) {
      operations_.count(verb, detail::Outcome::failed);
      throw;
    }
  }

  /// The same of `keys` reads at once, which return a bit for each key that was there.
  template <class Reads>
  void counted(Verb verb, std::size_t keys, const Reads& reads) const {
    if (!counts()) return void(reads());
    try {
      const auto found = static_cast<std::size_t>(std::popcount(std::uint32_t{reads()}));
      operations_.count(verb, detail::Outcome::done, found);
      operations_.count(verb, detail::Outcome::refused, keys - found);
    } catch (...) {
      note_failure(verb);
      throw;
    }
  }

  /// Ends an operation that is applied and holds no lock. @returns whether there was one
  bool settled(Verb verb, std::uint64_t ticket, const detail::ChangeTrace& trace) {
    if (ticket == 0) return false;
    trace.tell(verb);
    driver_.settle(ticket);
    return true;
  }

  void visit_tables(detail::FunctionRef<void(const Table&)> fn) const {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const std::shared_lock lock{segments_[i].mutex};
      fn(this->tables()[i]);
    }
  }

  [[nodiscard]] std::uint64_t count_entries() const {
    std::uint64_t entries = 0;
    visit_tables([&](const Table& table) { entries += table.size(); });
    return entries;
  }

  // Opening
  // --------------------------------------------------------------------------------------------------

  enum class State : std::uint8_t { open, closed, read_only };

  [[nodiscard]] static Options checked(Options options) {
    if (options.segments > detail::kMostSegments) {
      throw UsageError{"Options::segments is " + std::to_string(options.segments) + "; use at most 65536"};
    }
    if (options.threads > detail::kMostThreads) {
      throw UsageError{"Options::threads is " + std::to_string(options.threads) + "; use at most 64"};
    }
    return options;
  }

  [[nodiscard]] auto make_loader(LoadPurpose purpose, std::size_t segments,
                                 const detail::Observer& observer) {
    const auto hash_of = [this](const Key& key) { return this->hash_of(key); };
    return detail::TableLoader<Key, Value, decltype(hash_of), KeyEqual>{
        purpose, segments, hash_of, this->key_equal(), driver_.options(), observer};
  }

  void load() {
    const auto start = std::chrono::steady_clock::now();
    const bool read_only = driver_.options().read_only;
    auto loader = make_loader(read_only ? LoadPurpose::follow : LoadPurpose::own, driver_.options().segments,
                              driver_.observer());
    driver_.load(loader);
    const bool outdated = loader.outdated();
    const std::uint64_t bytes = loader.bytes();
    stored_version_ = loader.stored_version();
    this->tables() = std::move(loader).take();
    segments_.resize(this->tables().size());
    load_duration_ = std::chrono::steady_clock::now() - start;
    if (read_only) state_ = State::read_only;
    const std::uint64_t entries = count_entries();
    driver_.observer().log(LogLevel::info, "loaded", detail::WorkDone{entries, bytes, load_duration_});
    driver_.start(entries, outdated);
  }

  // Following another process
  // ---------------------------------------------------------------------------------------

  bool refresh_one_at_a_time() {
    const std::scoped_lock lock{refresh_mutex_};
    const auto changed = refresh_changes();
    return changed ? *changed : refresh_everything();
  }

  /// None if everything is to be loaded again.
  [[nodiscard]] std::optional<bool> refresh_changes() {
    if (reload_) return std::nullopt;
    const auto hash_of = [this](const Key& key) { return this->hash_of(key); };
    detail::TableUpdate<Key, Value, decltype(hash_of), KeyEqual> update{
        hash_of, this->key_equal(), driver_.options(), driver_.path(), stored_version_};
    reload_ = true;  // unless all of this gets through, part of it is lost
    if (!driver_.load_changes(update)) return std::nullopt;
    const std::vector<Lock> locks = segments_.lock_all();
    update.apply([this](std::uint64_t hash) -> Table& { return this->table_of(hash); }, this->tables());
    reload_ = false;
    return !update.empty();
  }

  bool refresh_everything() {
    auto loader = make_loader(LoadPurpose::follow, segments_.size(), driver_.observer());
    driver_.load(loader);
    const std::uint32_t version = loader.stored_version();
    std::vector<Table> tables =
        std::move(loader).take();  // what they held before is destroyed after the locks
    const std::vector<Lock> locks = segments_.lock_all();
    std::swap_ranges(tables.begin(), tables.end(), this->tables().begin());
    stored_version_ = version;
    reload_ = false;
    return true;
  }

  // Editing: decide, prepare what may fail, then do what cannot
  // -----------------------------------------------

  std::uint64_t edit_locked(std::uint64_t hash, detail::FunctionRef<Mutation(Table&)> decide,
                            detail::ChangeTrace& trace) {
    const std::size_t index = this->table_index(hash);
    auto& guard = segments_[index];
    Table& table = this->tables()[index];
    table.prefetch(hash);  // comes while the lock is taken
    const Lock lock = segments_.lock(index);
    refuse_unless_open();
    const Mutation mutation = decide(table);
    if (!mutation) return 0;
    if (trace.wanted()) trace.add(mutation.key_in(table));
    if (mutation.kind == Mutation::Kind::insert) table.prepare_insert(1);
    const detail::Epoch epoch = segments_.epoch();
    guard.cut.prepare(epoch, table, mutation);
    const std::uint64_t ticket = record({&mutation, 1});
    guard.cut.perform(epoch, table, mutation);
    return ticket;
  }

  std::uint64_t edit_locked(std::span<const std::uint64_t> hashes,
                            detail::FunctionRef<std::vector<Mutation>()> decide, detail::ChangeTrace& trace) {
    const std::vector<Lock> locks = lock_segments(hashes);
    refuse_unless_open();
    const std::vector<Mutation> mutations = decide();
    if (mutations.empty()) return 0;
    for (const Mutation& mutation : mutations) {
      if (trace.wanted()) trace.add(mutation.key_in(this->table_of(mutation.hash)));
    }
    this->prepare_inserts(mutations);
    const detail::Epoch epoch = segments_.epoch();
    for (const Mutation& mutation : mutations) {
      const std::size_t index = this->table_index(mutation.hash);
      segments_[index].cut.prepare(epoch, this->tables()[index], mutation, mutations.size());
    }
    const std::uint64_t ticket = record(mutations);
    for (const Mutation& mutation : mutations) {
      const std::size_t index = this->table_index(mutation.hash);
      segments_[index].cut.perform(epoch, this->tables()[index], mutation);
    }
    return ticket;
  }

  std::uint64_t clear_locked(std::vector<Table>& old) {
    const std::vector<Lock> locks = segments_.lock_all();
    std::uint64_t entries = 0;
    for (const Table& table : this->tables()) entries += table.size();
    refuse_unless_open();
    if (entries == 0) return 0;
    const std::uint64_t ticket = record_clear();
    const detail::Epoch epoch = segments_.epoch();
    for (std::size_t i = 0; i < old.size(); ++i) {
      old[i] = segments_[i].cut.clear(epoch, this->tables()[i]);
    }
    return ticket;
  }

  /// Puts `tables` in place of those that are there, which it then holds.
  void replace_locked(std::vector<Table>& tables) {
    const std::vector<Lock> locks = segments_.lock_all();
    refuse_unless_open();
    driver_.record_replacement();
    const detail::Epoch epoch = segments_.epoch();
    for (std::size_t i = 0; i < tables.size(); ++i) {
      Table old = segments_[i].cut.clear(epoch, this->tables()[i]);
      this->tables()[i] = std::exchange(tables[i], std::move(old));
    }
  }

  [[nodiscard]] std::vector<Lock> lock_segments(std::span<const std::uint64_t> hashes) {
    std::vector<std::size_t> indices;
    indices.reserve(hashes.size());
    for (const std::uint64_t hash : hashes) indices.push_back(this->table_index(hash));
    std::sort(indices.begin(), indices.end());
    indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
    return segments_.lock_each(indices);
  }

  void refuse_unless_open() const {
    const State state = state_.load(std::memory_order_relaxed);
    if (state == State::open) return;
    if (state == State::closed) throw UsageError{"the store is closed; open another one to write"};
    throw UsageError{detail::path_text(driver_.path()) +
                     ": the store was opened read-only; open it without Options::read_only to write"};
  }

  /// Once it returns, every writer sees `refuse`: those inside have left their segment's lock.
  void refuse_writes(bool refuse) {
    state_.store(refuse ? State::closed : State::open);
    for (std::size_t i = 0; i < segments_.size(); ++i) const Lock lock = segments_.lock(i);
  }

  /// Counts the mutations, and logs them where the storage wants changes. Under the segments' locks.
  std::uint64_t record(std::span<const Mutation> mutations) {
    if (!driver_.logs()) return driver_.record(mutations.size());
    auto& changes = detail::thread_object<detail::ChangeBuffer, BatchPersistentKeyValueStore>();
    changes.clear();
    for (const Mutation& mutation : mutations) {
      const Key& key = mutation.key_in(this->table_of(mutation.hash));
      if (mutation.kind == Mutation::Kind::erase)
        changes.remove(key);
      else
        changes.put(key, *mutation.value);
    }
    changes.end_group();
    return driver_.record(mutations.size(), changes);
  }

  // A journal has a word for it; other storages that save changes are told of each entry.
  std::uint64_t record_clear() {
    if (!driver_.logs()) return driver_.record(1);
    detail::ChangeBuffer changes;
    for (const Table& table : this->tables()) {
      if (driver_.has_journal()) break;
      for (const auto& entry : table.entries()) changes.remove(entry.key);
    }
    changes.end_group();
    return driver_.record(1, changes);
  }

  Segments segments_;
  mutable detail::OperationCounters operations_;
  std::atomic<State> state_ = State::open;
  std::mutex refresh_mutex_;          // guards the next two, once the store is open
  std::uint32_t stored_version_ = 0;  // of the values that were loaded last
  bool reload_ = false;               // the next refresh has to load everything
  std::chrono::nanoseconds load_duration_{0};
  detail::SaveDriver driver_;  // last, so that its threads end before what they use dies
};

}  // namespace kvstore::inline v0
