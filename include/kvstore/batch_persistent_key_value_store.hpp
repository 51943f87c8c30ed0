// SPDX-License-Identifier: MIT
#pragma once

// The store that many threads share and that survives a restart.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/codec.hpp"
#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/change/stored_key.hpp"
#include "kvstore/detail/codec/missing.hpp"
#include "kvstore/detail/contract/storage_load.hpp"
#include "kvstore/detail/saving/figures.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/detail/store/checked_options.hpp"
#include "kvstore/detail/store/shared_tables.hpp"
#include "kvstore/detail/store/table_loader.hpp"
#include "kvstore/detail/store/table_update.hpp"
#include "kvstore/detail/store/value_loader.hpp"
#include "kvstore/detail/table/reentry.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/key_value_store.hpp"
#include "kvstore/kvstore_fwd.hpp"
#include "kvstore/log.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/json_file.hpp"

namespace kvstore { inline namespace v1 {

/// A `KeyValueStore` whose entries are kept by a `Storage`, by default a JSON file, and reloaded on restart.
///
/// *Thread safety*: every member may be called from any thread. Readers block only on a writer of the same
/// segment. Writers block on readers and writers of the same segment, and on at most one slice of a
/// snapshot's encoding. Only the operation that fills a batch (`BatchSave::wait`), `save` and `close` block
/// on the disk. Readers do not starve writers.
///
/// *Durability*: with `BatchSave::wait`, when an operation returns, fewer than `batch_size` operations are
/// not yet on disk, and none stays unsaved for longer than `auto_save_interval`. While saves fail this bound
/// does not hold: operations that would exceed it throw `StorageError`, `on_error` is called, and
/// `last_error` gives the reason.
///
/// *Requirements*: those of `KeyValueStore`, and a `Codec` for `Key` and `Value` (there is one for most
/// types; see codec.hpp). `Mutex` meets the standard's SharedMutex requirements; with a `static constexpr
/// bool is_fair = true` it is trusted not to let readers starve writers.
///
/// *Lock order*: a batch or `clear` locks its segments in ascending order, then the change log. A save locks
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
  using typename Base::Intended;
  using typename Base::Mutation;
  using typename Base::Table;
  using typename Base::Tables;
  template <class Signature>
  using FunctionRef = detail::FunctionRef<Signature>;
  using Hashes = std::span<const std::uint64_t>;

 public:
  using typename Base::LookupKey;

  /// Opens the JSON file at `path`, which need not exist unless `Options::read_only` is set, and loads it.
  /// @throws LockedError, CorruptionError, SchemaVersionError, StorageError: the file is unchanged;
  /// UsageError for a bad option; any exception of `Options::upgrade`.
  explicit BatchPersistentKeyValueStore(const std::filesystem::path& path, Options options = {},
                                        Hash hash = Hash{}, KeyEqual equal = KeyEqual{})
      : BatchPersistentKeyValueStore(
            detail::with_codecs<Key, Value, Hash, KeyEqual>(std::make_unique<JsonFile>(path)),
            std::move(options), std::move(hash), std::move(equal)) {}

  /// Takes ownership of any other storage and loads it. Errors as above.
  explicit BatchPersistentKeyValueStore(std::unique_ptr<Storage> storage, Options options = {},
                                        Hash hash = Hash{}, KeyEqual equal = KeyEqual{})
      : Base(1, std::move(hash), std::move(equal)),
        shared_{this->tables(), detail::with_codecs<Key, Value, Hash, KeyEqual>(std::move(storage)),
                detail::checked(std::move(options))} {
    load();
  }

  /// Closes the store. A destructor cannot throw, so a failure goes to `on_error`; call `close` to get the
  /// exception.
  ~BatchPersistentKeyValueStore() override {
    // A callback that has ended the program holds a lock, or a turn to save, and never releases it.
    if (detail::CallbackScope::is_inside(this) || driver().is_at_work_here()) {
      driver().complain_of_loss("the program ended inside a callback of the store");
      shared_.leave_driver();
      return;
    }
    try {
      if (driver().begin_destruction()) finish_close();
    } catch (const std::exception& error) { driver().complain_of_loss(error.what()); } catch (...) {
      driver().complain_of_loss("unknown failure");
    }
  }

  /// Makes every operation that has returned durable. Does nothing if all are durable already.
  /// @throws StorageError if the save failed: memory and the last good file are unchanged.
  /// *Thread safety*: blocks on a save under way; blocks no thread that does not need the same save.
  void save() {
    detail::CallbackScope::check_reentry(this);
    driver().save();
  }

  /// Compacts a journal into a new base file now and makes everything durable. Does the same as `save` for a
  /// storage without a journal. @throws StorageError: the old snapshot and journal still count; UsageError if
  /// the store is closed. *Thread safety*: does not block readers and writers.
  void compact() {
    detail::CallbackScope::check_reentry(this);
    driver().compact();
  }

  /// Saves, stops the auto-saver and releases the file. Afterwards reads still work, and writes throw
  /// `UsageError`. A second call does nothing. @throws StorageError if the save failed; the store then stays
  /// open, so that the caller can fix the cause and call `close` again. Do not call it from `on_error`.
  void close() {
    detail::CallbackScope::check_reentry(this);
    check_outside_refresh();
    std::unique_lock refreshing{refresh_mutex_, std::defer_lock};
    if (driver().options().read_only) refreshing.lock();  // a refresh reads the storage
    if (driver().begin_close()) finish_close();
  }

  /// Writes the store as of this moment to another JSON file, which is replaced as a whole or not at all. A
  /// new file has the permissions of the store's. Readers and writers go on meanwhile. @throws LockedError if
  /// `path` is open as a store, this one included; StorageError. *Durability*: the copy survives power loss.
  void checkpoint(const std::filesystem::path& path) {
    detail::CallbackScope::check_reentry(this);
    JsonFile copy{path};
    driver().checkpoint(copy, path);
  }

  /// Replaces all entries with those of another JSON file, such as a `checkpoint`, which is only read.
  /// Readers and writers go on: they see the old entries or the new ones, never a mixture. When the call
  /// returns, the new entries are durable. @throws CorruptionError, SchemaVersionError, StorageError from the
  /// file, which must exist: nothing was changed; StorageError from saving: applied in memory, not yet on
  /// disk.
  /// *Complexity*: O(entries) time, and memory for the old and the new entries together.
  ///
  /// Given the store's own path, it loads the file that another program has put there since. This resolves a
  /// `ConflictError` in favour of the other program. With a journal, only the JSON file is loaded.
  void load_from(const std::filesystem::path& path) {
    detail::CallbackScope::check_reentry(this);
    JsonFile file{path};
    if (file.path() != driver().path()) return load_from(file);
    take_in(file, [&](const LoadRequest& request, LoadSink& loader) {
      if (!driver().take_over(request, loader)) detail::load_from(file, request, loader);
    });
  }

  /// The same, from any storage; it is loaded for `LoadPurpose::read_only`.
  void load_from(Storage& storage) {
    take_in(storage, [&](const LoadRequest& request, LoadSink& loader) {
      detail::load_from(storage, request, loader);
    });
  }

  /// Brings a store that was opened read-only up to date with the changes that others have saved or, in a
  /// journal, merely written. Readers see all of them at once. @returns false if nothing had changed. @throws
  /// UsageError if the store was not opened read-only; CorruptionError, SchemaVersionError, StorageError,
  /// also if the file is gone: nothing was changed, and a later call tries again.
  /// *Complexity*: O(changes) for a journal, otherwise O(entries). *Thread safety*: one refresh runs at a
  /// time, others wait.
  bool refresh() {
    detail::CallbackScope::check_reentry(this);
    if (!driver().options().read_only) {
      throw UsageError{"refresh() is for a store that was opened with Options::read_only"};
    }
    driver().check_process();
    const bool changed = refresh_one_at_a_time();
    if (changed)
      driver().observer().log(LogLevel::debug, "refreshed", {{"entries", shared_.count_entries()}});
    return changed;
  }

  /// The number of operations that are applied and not yet on disk. Wait-free.
  [[nodiscard]] std::uint64_t unsaved() const noexcept { return driver().numbers().unsaved(); }

  /// The reason why the last save failed; empty if it succeeded, or if nothing was saved yet.
  [[nodiscard]] std::optional<std::string> last_error() const {
    driver().check_process();
    return driver().figures().saves().last_error;
  }

  /// Figures about this store. *Complexity*: O(segments). *Thread safety*: as `size`; blocks no operation.
  /// Calling this from a callback of the store throws `ReentryError`.
  [[nodiscard]] Metrics metrics() const {
    detail::CallbackScope::check_reentry(this);
    const auto& driver = shared_.driver();
    driver.check_process();
    const detail::SaveFigures figures = driver.figures();
    return {.entries = shared_.count_entries(),
            .segments = shared_.segments().size(),
            .applied = driver.numbers().applied(),
            .unsaved = driver.numbers().unsaved(),
            .operations = shared_.operation_totals(),
            .saves = figures.saves(),
            .journal = figures.journal(),
            .save_waits = driver.save_waits().histogram(),
            .lock_waits = shared_.segments().waits().histogram(),
            .load_duration = load_duration_};
  }

 protected:
  bool read_table(Verb verb, std::size_t index, FunctionRef<bool(const Table&)> fn) const override {
    return shared_.read_table(verb, index, fn);
  }
  void read_tables_together(Verb verb, Hashes hashes,
                            FunctionRef<std::uint32_t(std::uint32_t)> fn) const override {
    shared_.read_tables_together(verb, hashes, fn);
  }
  void for_each_table(Verb verb, FunctionRef<void(const Table&)> fn) const override {
    shared_.for_each_table(verb, fn);
  }
  void edit_table(Verb verb, std::size_t index, const Intended* intended,
                  FunctionRef<Mutation(Table&)> decide) override {
    shared_.edit_table(verb, index, intended, decide);
  }
  void edit_tables(Verb verb, Hashes hashes, FunctionRef<std::vector<Mutation>()> decide) override {
    shared_.edit_tables(verb, hashes, decide);
  }
  void clear_tables() override { shared_.clear_tables(); }
  void note_failure(Verb verb) const noexcept override { shared_.note_failure(verb); }

  void check_entry(CheckedKey key, const Value& value) const override {
    try {
      detail::check_stored_key<Key>(key);
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

  [[nodiscard]] std::optional<Value> duplicate(const Value& value) const override {
    return detail::duplicate_of(value);
  }

 private:
  [[nodiscard]] auto& driver() const noexcept { return shared_.driver(); }

  /// Replaces the present entries with those that `load(request, sink)` hands over.
  template <class Load>
  void take_in(const Storage& storage, const Load& load) {
    detail::CallbackScope::check_reentry(this);
    driver().check_process();
    shared_.check_open();
    const std::filesystem::path path = storage.path();
    // Allocate first: once the change is applied, bad_alloc would wrongly say that nothing was changed.
    const std::string from_text = detail::path_text(path);
    const detail::Observer from{driver().options(), path};
    auto loader = make_loader(shared_.segments().size(), from);
    load(load_request(LoadPurpose::read_only), loader);
    Tables tables = std::move(loader).take();  // the old entries are destroyed after the locks
    shared_.replace_locked(tables);
    driver().observer().log(LogLevel::info, "replaced",
                            {{"from", from_text}, {"entries", shared_.count_entries()}});
    driver().save_applied();
  }

  /// Refuses writes first, so that no write is acknowledged that the last save misses.
  void finish_close() {
    shared_.close_to_writes(true);
    try {
      driver().finish_close();
    } catch (...) {
      shared_.close_to_writes(false);
      throw;
    }
  }

  // Opening ---------------------------------------------------------------------------------------

  [[nodiscard]] LoadRequest load_request(LoadPurpose purpose, bool missing_is_empty = false) const {
    return {.purpose = purpose,
            .integer_keys = detail::kIntegerKey<Key>,
            .threads = detail::threads_to_load(driver().options().threads),
            .missing_is_empty = missing_is_empty};
  }

  [[nodiscard]] auto make_loader(std::size_t segments, const detail::Observer& observer) {
    return detail::TableLoader<Key, Value, typename Base::Hasher, KeyEqual>{
        segments, this->hasher(), this->key_equal(), driver().options(), observer};
  }

  void load() {
    const auto start = std::chrono::steady_clock::now();
    const bool read_only = driver().options().read_only;
    auto loader = make_loader(driver().options().segments, driver().observer());
    detail::load_from(driver().storage(),
                      load_request(read_only ? LoadPurpose::read_only : LoadPurpose::exclusive,
                                   driver().options().allow_missing),
                      loader);
    const bool outdated = loader.outdated();
    const std::uint64_t bytes = loader.bytes();
    stored_version_ = loader.stored_version();
    missing_ = loader.was_missing();
    shared_.begin_with(std::move(loader).take());
    load_duration_ = std::chrono::steady_clock::now() - start;
    if (read_only) shared_.become_read_only();
    const std::uint64_t entries = shared_.count_entries();
    driver().observer().log(LogLevel::info, "loaded", detail::WorkDone{entries, bytes, load_duration_});
    driver().start(entries, outdated);
  }

  // Following another process ---------------------------------------------------------------------

  /// Refuses a call from a handler of a refresh, which holds the mutex.
  void check_outside_refresh() const {
    detail::CallbackScope::check_reentry(&refresh_mutex_,
                                         "a handler that refresh() runs called refresh() or close() of the "
                                         "same store; do that after refresh() has returned");
  }

  bool refresh_one_at_a_time() {
    check_outside_refresh();
    const std::scoped_lock lock{refresh_mutex_};
    const detail::CallbackScope scope{&refresh_mutex_};
    const auto changed = refresh_changes();
    return changed ? *changed : refresh_everything();
  }

  /// Nothing if everything must be loaded again.
  [[nodiscard]] std::optional<bool> refresh_changes() {
    if (reload_) return std::nullopt;
    detail::TableUpdate<Key, Value, typename Base::Hasher, KeyEqual> update{
        this->hasher(), this->key_equal(), driver().options(), driver().path(), stored_version_};
    reload_ = true;  // unless every change is applied, some are lost
    if (!driver().storage().load_changes(update)) return std::nullopt;
    if (update.replaces_everything()) {
      Tables tables{shared_.segments().size()};
      update.fill([&](std::uint64_t hash) -> Table& { return tables.of(hash); });
      shared_.follow(tables);
    } else {
      // Without a lock: nobody but a refresh changes the tables of a read-only store.
      const auto table_of = [this](std::uint64_t hash) -> const Table& { return this->tables().of(hash); };
      shared_.follow(update.mutations(table_of));
    }
    reload_ = false;
    return !update.empty();
  }

  bool refresh_everything() {
    // `allow_missing` does not cover a file that existed once and is gone.
    auto loader = make_loader(shared_.segments().size(), driver().observer());
    detail::load_from(driver().storage(), load_request(LoadPurpose::read_only, missing_), loader);
    const std::uint32_t version = loader.stored_version();
    const bool missing = loader.was_missing();
    Tables tables = std::move(loader).take();  // the old entries are destroyed after the locks
    shared_.follow(tables);
    stored_version_ = version;
    missing_ = missing;
    reload_ = false;
    return true;
  }

  std::mutex refresh_mutex_;          // one refresh at a time; guards the next three, once the store is open
  std::uint32_t stored_version_ = 0;  // of the values that were loaded last
  bool missing_ = false;              // there was no file yet
  bool reload_ = false;               // the next refresh has to load everything
  std::chrono::nanoseconds load_duration_{0};
  detail::SharedTables<Key, Value, Mutex> shared_;  // last: its threads end before what they use dies
};

}}  // namespace kvstore::v1
