// SPDX-License-Identifier: MIT
#pragma once

// The one plug-in point: the place where a persistent store keeps its entries. A storage sees text only (a
// key's text, a value's JSON), so it is an ordinary class without templates.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "kvstore/error.hpp"
#include "kvstore/log.hpp"

namespace kvstore { inline namespace v1 {

class LineSource;
namespace detail {
class LineJournal;
}

/// The one key that no entry may have: JSON files keep the schema version under it, as their first member.
inline constexpr std::string_view kSchemaVersionKey = "$schema_version";

namespace detail {
/// `subject` is put before the message. @throws ValueError
[[noreturn]] inline void throw_reserved(const char* subject = "") {
  throw ValueError{subject +
                   std::string{"JSON files keep Options::schema_version under this name; use another key"}};
}
}  // namespace detail

/// One entry as text. `key` is the key's text, unquoted; `value` is one JSON value, or none if the key was
/// removed. The views live until the next call on the object that returned them.
struct Change {
  std::string_view key;                   ///< unquoted
  std::optional<std::string_view> value;  ///< JSON; none: the key was removed
};

/// The changes that the next `Storage::save` wants.
enum class SaveScope {
  everything,  ///< every entry of the store, each once, as of one point in time
  changes,     ///< the changes since the last successful save, in order
};

/// The purpose of a load.
enum class LoadPurpose {
  exclusive,  ///< to load, and save later: take the lock, which keeps other writers out
  read_only,  ///< to read only: take no lock and change nothing; others may save meanwhile
  copy,       ///< as `read_only`, and pass on each key once, through `LoadSink::put`
};

/// The request of a caller of `Storage::load`. A storage may ignore `integer_keys` and `threads`.
struct LoadRequest {
  LoadPurpose purpose = LoadPurpose::exclusive;  ///< the purpose of the load
  bool integer_keys = false;                     ///< the text of every key is that of an integer
  std::size_t threads = 1;                       ///< the number of threads that may read, including the one
                                                 ///< that loads
  bool missing_is_empty = false;                 ///< for a reader, a missing store counts as an empty one
};

/// Takes entries on behalf of a `LoadSink`, so that several threads can read. Each thread puts entries into a
/// stage of its own, and the thread that loads commits the stages in order. *Thread safety*: none, but
/// different stages are independent.
class LoadStage {
 public:
  LoadStage() = default;
  LoadStage(const LoadStage&) = delete;
  LoadStage& operator=(const LoadStage&) = delete;
  virtual ~LoadStage() = default;

  /// Takes one entry, as `LoadSink::put` does. The sink does not have the entry yet.
  virtual void put(std::string_view key, std::string_view value) = 0;
  /// Passes the entries to the sink, as if they were put there now.
  virtual void commit() = 0;
  /// Forgets the entries.
  virtual void clear() noexcept = 0;
};

/// Takes changes on behalf of a `LoadSink`, so that several threads can read and apply them. Each thread
/// passes the changes of one stretch to a stage of its own. Then the parts of all stages are applied, each
/// part of a stage after the same part of the stage before it. A part has the changes of some of the keys.
/// *Thread safety*: none, but different stages take changes independently, and different parts are applied
/// independently.
class ChangeStage {
 public:
  ChangeStage() = default;
  ChangeStage(const ChangeStage&) = delete;
  ChangeStage& operator=(const ChangeStage&) = delete;
  virtual ~ChangeStage() = default;

  /// Takes one change, as `LoadSink::change` does. The sink does not have the change yet.
  virtual void change(const Change& change) = 0;
  /// Takes the change that removes every entry, as `LoadSink::clear` does.
  virtual void clear() = 0;

  /// The number of parts, which all stages of a sink have in common.
  [[nodiscard]] virtual std::size_t parts() const noexcept = 0;
  /// Passes the changes of one part to the sink, once.
  virtual void apply(std::size_t part) = 0;
  /// Ends the stage, once all parts are applied: the sink counts the changes, and the stage is empty. Call
  /// from the thread that loads.
  virtual void finish() = 0;
  /// Forgets the changes.
  virtual void forget() noexcept = 0;
};

/// Takes the entries of a storage while it loads.
class LoadSink {
 public:
  LoadSink() = default;
  LoadSink(const LoadSink&) = delete;
  LoadSink& operator=(const LoadSink&) = delete;
  virtual ~LoadSink() = default;

  /// Announces roughly how many bytes of text will come, before the first `put`. Optional: sizes the tables.
  virtual void expect(std::uint64_t bytes) = 0;

  /// Announces the `ChangeSource::schema_version` that was saved last, before the first `put`. Without a
  /// call, the version is 0. @throws SchemaVersionError if the store cannot read that version.
  virtual void schema_version(std::uint32_t stored) = 0;

  /// Takes one stored entry. `value` is the JSON text of its value, which is parsed strictly here. Entries
  /// come first: after `finish`, `change` or `clear` a store that opens throws UsageError. @throws ParseError
  /// if the key or the value is not of the store's types. A storage that knows offsets in its file turns this
  /// error into a `CorruptionError`.
  virtual void put(std::string_view key, std::string_view value) = 0;

  /// A stage, for `LoadRequest::threads` above 1; null if entries are taken by `put` alone. Call after
  /// `schema_version`.
  [[nodiscard]] virtual std::unique_ptr<LoadStage> stage() { return nullptr; }

  /// Ends the load: builds the tables. @throws DuplicateEntryError if two entries had the same key. A storage
  /// that knows offsets calls this itself, to report the place. The store calls it in any case; a second call
  /// does nothing.
  virtual void finish() = 0;

  /// Takes a change that came after the entries put so far; calls `finish` first if it was not called yet.
  /// Removing a key that does not exist is not an error. @throws ParseError as `put`; DuplicateEntryError as
  /// `finish`.
  virtual void change(const Change& change) = 0;

  /// A stage for changes that come after the entries put so far, for `LoadRequest::threads` above 1; null if
  /// changes are taken by `change` alone. Calls `finish` first if it was not called yet.
  [[nodiscard]] virtual std::unique_ptr<ChangeStage> change_stage() { return nullptr; }

  /// Discards every entry received so far. What comes after it comes through `change`.
  virtual void clear() = 0;

  /// Records that there is no store at `path`, not even an empty one. `request` is that of the load. @throws
  /// StorageError (ENOENT) unless the request may begin empty. A misspelt name, or a file that is away for a
  /// moment, must never look like a store without entries.
  ///
  /// Not virtual: a sink that passes everything on to another one repeats this call there.
  void missing(const std::filesystem::path& path, const LoadRequest& request) {
    missing_ = true;
    if (request.purpose == LoadPurpose::exclusive || request.missing_is_empty) return;
    throw StorageError{path, std::make_error_code(std::errc::no_such_file_or_directory),
                       "there is no store to read; check the name, put the file back, or let its owner make "
                       "it first"};
  }
  /// Whether there was no store.
  [[nodiscard]] bool was_missing() const noexcept { return missing_; }

  /// Takes a remark about the load for the log, for example that something was recovered. Optional.
  virtual void note(LogLevel /*level*/, std::string_view /*event*/,
                    std::initializer_list<LogField> /*fields*/) {}

 private:
  bool missing_ = false;
};

/// Passes the entries of a save to a storage, one at a time.
class ChangeSource {
 public:
  /// A source with this `scope`, whose values have the form of `schema_version`.
  explicit ChangeSource(SaveScope scope = SaveScope::everything, std::uint32_t schema_version = 0) noexcept
      : scope_{scope}, schema_version_{schema_version} {}
  ChangeSource(const ChangeSource&) = delete;
  ChangeSource& operator=(const ChangeSource&) = delete;
  virtual ~ChangeSource() = default;

  /// Fetches the next entry into `change`; false when there are no more. The views in `change` are invalid
  /// after the next call. Call this from one thread until it returns false, or abandon the save by throwing.
  virtual bool next(Change& change) = 0;

  /// The same entries as lines of a JSON file, if the source can encode them so and contains everything;
  /// otherwise null. A save pulls from this or from `next`, not from both.
  [[nodiscard]] virtual LineSource* lines() noexcept { return nullptr; }

  /// The fraction of the source that has been pulled, 0 to 1, for progress reports. Optional: 0 if unknown.
  [[nodiscard]] virtual double fraction() const noexcept { return 0; }

  /// The contents of the source. A storage that wants changes may get everything: the earlier entries are
  /// then replaced.
  [[nodiscard]] SaveScope scope() const noexcept { return scope_; }
  /// The version of the form that values have (`Options::schema_version`), to be stored with them.
  [[nodiscard]] std::uint32_t schema_version() const noexcept { return schema_version_; }

 private:
  SaveScope scope_;
  std::uint32_t schema_version_;
};

/// The additional interface of a storage that keeps a journal. The journal takes each change as it happens,
/// so that a killed process loses nothing that it acknowledged. From time to time the journal is compacted
/// into a snapshot, its new base file.
///
/// After `append`, `append_clear`, `flush`, `sync` or `join` has thrown, the journal has missed something,
/// and nothing is assumed about it. The store calls none of these functions again before a compaction
/// `afresh` has reached `rotate`.
///
/// *Thread safety*: at most one thread at a time is in `append`, `append_clear`, `flush`, `wants_compaction`
/// or `is_worth_compacting`, one in `sync`, and one in the functions of a compaction.
/// `rotate` and `join` are called while no other thread is in any function except `write_base`.
class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Takes changes that happened in one step; later calls are later steps. False if the journal cannot
  /// represent them, and only a snapshot can. That counts as a failure, but is not reported. @throws
  /// StorageError
  [[nodiscard]] virtual bool append(std::span<const Change> step) = 0;
  /// Records that every entry was removed, as one step.
  virtual void append_clear() = 0;
  /// Passes the appended changes to the operating system, without waiting for the disk.
  virtual void flush() = 0;
  /// Waits until all changes flushed before the call are on disk.
  virtual void sync() = 0;

  /// The size of the journal, for metrics. Called from any thread, beside any other function.
  [[nodiscard]] virtual std::uint64_t bytes() const noexcept = 0;
  /// Whether the journal has outgrown the snapshot. Asked after each `flush`, so it must cost nothing.
  [[nodiscard]] virtual bool wants_compaction() const noexcept = 0;
  /// Asked when `wants_compaction` is true: whether a compaction is worth its bytes, if the store has about
  /// this number of entries. A journal that says no is to want none until it has grown further.
  [[nodiscard]] virtual bool is_worth_compacting(std::uint64_t /*entries*/) noexcept { return true; }

  /// The same journal, if it is one of this library's, whose lines the operations write themselves; then the
  /// store passes nothing to `append` and `append_clear`.
  [[nodiscard]] virtual detail::LineJournal* lines() noexcept { return nullptr; }

  /// Whether changes are recorded only when the store saves: `Storage::save` takes them then, each changed
  /// entry once and removals first, and a compaction is a save of everything. The store calls none of the
  /// other functions of this class then, except `bytes`, `wants_compaction` and `is_worth_compacting`, after
  /// a save, and `compacts_on_close`.
  [[nodiscard]] virtual bool records_at_save() const noexcept { return false; }

  /// Whether closing the store should compact the journal first. If the compaction fails, the store closes
  /// all the same, since the journal has everything.
  [[nodiscard]] virtual bool compacts_on_close() const noexcept { return false; }

  // A compaction, in this order. Each step may throw StorageError. The old snapshot and journal are then
  // still valid, and the next compaction begins with `prepare` again.

  /// Prepares `rotate`. `afresh`: the journal has missed something, so the next one must not follow it.
  virtual void prepare(bool afresh) = 0;
  /// Changes appended from now on come after the snapshot that `write_base` is about to get. Performs no
  /// input or output.
  virtual void rotate() = 0;
  /// Writes the new snapshot, beside the old one.
  virtual void write_base(ChangeSource& everything) = 0;
  /// Records in the journal that it continues the new snapshot, once all changes that this one has are
  /// appended: over an entry of the snapshot, a reader would apply an older line of the journal. All writers
  /// wait for this call, so it does not wait for the disk: `sync` is called next, and ensures that the whole
  /// journal is there.
  virtual void join() = 0;
  /// Replaces the old snapshot by the new one, and drops the journal up to the switch.
  virtual void replace_base() = 0;
  /// Called if one of these functions has thrown, or if the compaction is given up.
  virtual void abandon() noexcept = 0;

 protected:
  ~Journal() = default;
};

/// The place where a `BatchPersistentKeyValueStore` keeps its entries.
///
/// *Thread safety*: the store makes one call at a time, from any thread that saves, and never under a lock
/// that readers or writers of entries need.
///
/// ```cpp
/// class Discard : public kvstore::Storage {
///   void load(const kvstore::LoadRequest&, kvstore::LoadSink&) override {}
///   kvstore::SaveScope scope() const noexcept override { return kvstore::SaveScope::changes; }
///   void save(kvstore::ChangeSource& source) override { for (kvstore::Change c; source.next(c);) {} }
/// };
/// ```
class Storage {
 public:
  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  /// Releases all resources of the storage (files, locks). Saves nothing: the store has done so before.
  virtual ~Storage() = default;

  /// Passes every stored entry to `sink`, as of one moment. Called before any save, and perhaps again later.
  /// `request` says for which purpose: a storage that others could use meanwhile takes its lock for
  /// `LoadPurpose::exclusive`. If there is no store, not even an empty one, the storage reports that by
  /// `LoadSink::missing`. @throws LockedError, CorruptionError, StorageError; the stored entries are
  /// unchanged.
  virtual void load(const LoadRequest& request, LoadSink& sink) = 0;

  /// Brings a reader up to date: passes on the changes since the last `load` or `load_changes`. False if the
  /// changes cannot be determined. The reader must then call `load` again, and `refresh()` always says that
  /// something has changed.
  virtual bool load_changes(LoadSink& /*sink*/) { return false; }

  /// The scope that the next `save` wants. A storage whose last save failed may ask for `everything`.
  [[nodiscard]] virtual SaveScope scope() const noexcept = 0;

  /// Whether `scope` can ever be `changes`. If a storage always wants everything, it returns false, and the
  /// store keeps no record of changes.
  [[nodiscard]] virtual bool takes_changes() const noexcept { return true; }

  /// Makes the contents of `source` durable, as a whole or not at all. When this returns, they survive power
  /// loss. If it throws, the next `load` still finds the entries stored before. @throws StorageError
  virtual void save(ChangeSource& source) = 0;

  /// Whether the next load would find the saved entries, or entries that another program has since put there
  /// on purpose. False makes the store save everything again. Called before each save that a user requests,
  /// and before each `Journal::sync`. @throws StorageError if nothing may be written any more
  [[nodiscard]] virtual bool is_intact() { return true; }

  /// Loads the entries that another program has put in place of those saved, under the lock that the storage
  /// holds, and adopts them as its own. False if the storage cannot. @throws as `load`
  virtual bool take_over(const LoadRequest& /*request*/, LoadSink& /*sink*/) { return false; }

  /// Called before the first `load` or `save` of a storage that is to hold a copy of `source`, the path of
  /// another storage: a file that is made for the copy should let nobody do more than that one does.
  virtual void make_like(const std::filesystem::path& /*source*/) {}

  /// The journal, if the storage keeps one. A store then uses the journal instead of `scope` and `save`.
  [[nodiscard]] virtual Journal* journal() noexcept { return nullptr; }

  /// Whether the storage stores `ChangeSource::schema_version` and announces it when it loads.
  [[nodiscard]] virtual bool keeps_schema_version() const noexcept { return false; }

  /// The file or folder that messages name; empty if there is none.
  [[nodiscard]] virtual std::filesystem::path path() const { return {}; }
};

}}  // namespace kvstore::v1
