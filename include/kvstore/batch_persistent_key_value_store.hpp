// SPDX-License-Identifier: MIT
#pragma once

// The store that many threads share and that survives a restart.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
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
#include "kvstore/detail/reentry.hpp"
#include "kvstore/detail/save_driver.hpp"
#include "kvstore/detail/segments.hpp"
#include "kvstore/detail/table_loader.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/key_value_store.hpp"
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
template <class Key, class Value, class Hash = kvstore::Hash<Key>, class KeyEqual = std::equal_to<>,
          class Mutex = std::shared_mutex>
class BatchPersistentKeyValueStore final : public KeyValueStore<Key, Value, Hash, KeyEqual> {
  using Base = KeyValueStore<Key, Value, Hash, KeyEqual>;
  using typename Base::Mutation;
  using typename Base::Table;

 public:
  using typename Base::LookupKey;

  /// Opens the JSON file at `path`, which need not exist, and loads it.
  /// @throws LockedError, CorruptionError, StorageError: the file is as it was; UsageError for a bad option.
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
                  detail::SnapshotSource source{this->tables(), segments_};
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
    driver_.with_snapshot([&](ChangeSource& everything) { copy.save(everything); });
  }

  /// Operations that are applied and not yet on disk. Wait-free.
  [[nodiscard]] std::uint64_t unsaved() const noexcept { return driver_.ledger().unsaved(); }

  /// Why the last save failed; nothing once a save has succeeded since.
  [[nodiscard]] std::optional<std::string> last_error() const { return driver_.ledger().last_error(); }

  /// Figures about this store. *Complexity*: O(segments).
  [[nodiscard]] Metrics metrics() const {
    return {.entries = this->size(),
            .segments = segments_.size(),
            .applied = driver_.ledger().applied(),
            .unsaved = driver_.ledger().unsaved(),
            .saves = driver_.ledger().metrics(),
            .load_duration = load_duration_};
  }

 protected:
  void look_at_table(std::uint64_t hash, detail::FunctionRef<void(const Table&)> fn) const override {
    const std::size_t index = this->table_index(hash);
    const std::shared_lock lock{segments_[index].mutex};
    fn(this->tables()[index]);
  }

  void look_at_tables(detail::FunctionRef<void(const Table&)> fn) const override {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const std::shared_lock lock{segments_[i].mutex};
      fn(this->tables()[i]);
    }
  }

  void edit_table(std::uint64_t hash, detail::FunctionRef<Mutation(Table&)> decide) override {
    if (const std::uint64_t ticket = edit_locked(hash, decide); ticket != 0) driver_.settle(ticket);
  }

  void edit_tables(std::span<const std::uint64_t> hashes,
                   detail::FunctionRef<std::vector<Mutation>()> decide) override {
    if (const std::uint64_t ticket = edit_locked(hashes, decide); ticket != 0) driver_.settle(ticket);
  }

  void clear_tables() override {
    std::vector<Table> old(segments_.size());  // destroyed after the locks
    if (const std::uint64_t ticket = clear_locked(old); ticket != 0) driver_.settle(ticket);
  }

  void check_entry(const Key& key, const Value& value) const override {
    try {
      KeyText<Key>::check(key);
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
  using Lock = std::unique_lock<detail::FairSharedMutex<Mutex>>;

  // Opening
  // --------------------------------------------------------------------------------------------------

  [[nodiscard]] static Options checked(Options options) {
    if (options.segments > detail::kMostSegments) {
      throw UsageError{"Options::segments is " + std::to_string(options.segments) + "; use at most 65536"};
    }
    return options;
  }

  void load() {
    const auto start = std::chrono::steady_clock::now();
    const auto hash_of = [this](const Key& key) { return this->hash_of(key); };
    detail::TableLoader<Key, Value, decltype(hash_of), KeyEqual> loader{
        driver_.options().segments, hash_of, this->key_equal(), driver_.options().on_progress};
    driver_.load(loader);
    this->tables() = std::move(loader).take();
    segments_.resize(this->tables().size());
    load_duration_ = std::chrono::steady_clock::now() - start;
    driver_.start(this->size());
  }

  // Editing: decide, prepare what may fail, then do what cannot
  // -----------------------------------------------

  std::uint64_t edit_locked(std::uint64_t hash, detail::FunctionRef<Mutation(Table&)> decide) {
    const std::size_t index = this->table_index(hash);
    auto& guard = segments_[index];
    Table& table = this->tables()[index];
    const Lock lock{guard.mutex};
    refuse_if_closed();
    const Mutation mutation = decide(table);
    if (!mutation) return 0;
    if (mutation.kind == Mutation::Kind::insert) table.prepare_insert(1);
    const detail::Epoch epoch = segments_.epoch();
    guard.cut.prepare(epoch, table, mutation);
    const std::uint64_t ticket = record({&mutation, 1});
    guard.cut.perform(epoch, table, mutation);
    return ticket;
  }

  std::uint64_t edit_locked(std::span<const std::uint64_t> hashes,
                            detail::FunctionRef<std::vector<Mutation>()> decide) {
    const std::vector<Lock> locks = lock_segments(hashes);
    refuse_if_closed();
    const std::vector<Mutation> mutations = decide();
    if (mutations.empty()) return 0;
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
    std::vector<Lock> locks;
    locks.reserve(segments_.size());
    std::uint64_t entries = 0;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      locks.emplace_back(segments_[i].mutex);
      entries += this->tables()[i].size();
    }
    refuse_if_closed();
    if (entries == 0) return 0;
    const std::uint64_t ticket = record_clear();
    const detail::Epoch epoch = segments_.epoch();
    for (std::size_t i = 0; i < old.size(); ++i) {
      old[i] = segments_[i].cut.clear(epoch, this->tables()[i]);
    }
    return ticket;
  }

  [[nodiscard]] std::vector<Lock> lock_segments(std::span<const std::uint64_t> hashes) {
    std::vector<std::size_t> indices;
    indices.reserve(hashes.size());
    for (const std::uint64_t hash : hashes) indices.push_back(this->table_index(hash));
    std::sort(indices.begin(), indices.end());
    indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
    std::vector<Lock> locks;
    locks.reserve(indices.size());
    for (const std::size_t index : indices) locks.emplace_back(segments_[index].mutex);
    return locks;
  }

  void refuse_if_closed() const {
    if (closed_.load(std::memory_order_relaxed)) {
      throw UsageError{"the store is closed; open another one to write"};
    }
  }

  /// Once it returns, every writer sees `refuse`: those inside have left their segment's lock.
  void refuse_writes(bool refuse) {
    closed_.store(refuse);
    for (std::size_t i = 0; i < segments_.size(); ++i) const Lock lock{segments_[i].mutex};
  }

  /// Counts the mutations, and logs them where the storage wants changes. Under the segments' locks.
  std::uint64_t record(std::span<const Mutation> mutations) {
    if (!driver_.logs()) return driver_.record(mutations.size());
    thread_local detail::ChangeBuffer changes;
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
  std::atomic<bool> closed_ = false;
  std::chrono::nanoseconds load_duration_{0};
  detail::SaveDriver driver_;  // last, so that its threads end before what they use dies
};

}  // namespace kvstore::inline v0
