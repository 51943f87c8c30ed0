// SPDX-License-Identifier: MIT
#pragma once

// The one plug-in point: where a persistent store keeps its entries. A storage sees text only (a key's text,
// a value's JSON), so it is an ordinary class without templates.

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

/// The one key that no entry may have: JSON files keep the schema version under it, as their first member.
inline constexpr std::string_view kSchemaVersionKey = "$schema_version";

namespace detail {
/// `subject` comes before the message. @throws ValueError
[[noreturn]] inline void throw_reserved(const char* subject = "") {
  throw ValueError{subject +
                   std::string{"JSON files keep Options::schema_version under this name; use another key"}};
}
}  // namespace detail

/// One entry as text. `key` is the key's text, unquoted; `value` is one JSON value, or none if the key was
/// removed. The views live until the next call on whatever handed them out.
struct Change {
  std::string_view key;                   ///< unquoted
  std::optional<std::string_view> value;  ///< JSON; none: the key was removed
};

/// What the next `Storage::save` wants to be handed.
enum class SaveScope {
  everything,  ///< every entry of the store, each once, as of one point in time
  changes,     ///< what changed since the last successful save, in the order in which it happened
};

/// For what a storage is loaded.
enum class LoadPurpose {
  exclusive,  ///< to load, then to save: take the lock, which keeps other writers out
  read_only,  ///< to look only: take no lock and change nothing, others may save meanwhile
  copy,       ///< as `read_only`, and hand over each key once, through `LoadSink::put`
};

/// What the caller of `Storage::load` asks for. A storage may ignore `integer_keys` and `threads`.
struct LoadRequest {
  LoadPurpose purpose = LoadPurpose::exclusive;  ///< what for
  bool integer_keys = false;                     ///< the text of every key is an integer's
  std::size_t threads = 1;                       ///< how many may read at once, the one that loads included
  bool missing_is_empty = false;                 ///< to a reader, a store that is not there is an empty one
};

/// Takes entries beside a `LoadSink`, so that several threads can read: each puts into a stage of its own,
/// and the thread that loads commits the stages in order. *Thread safety*: none, but stages do not touch each
/// other.
class LoadStage {
 public:
  LoadStage() = default;
  LoadStage(const LoadStage&) = delete;
  LoadStage& operator=(const LoadStage&) = delete;
  virtual ~LoadStage() = default;

  /// Takes one entry, as `LoadSink::put` does. Nothing of it is in the sink yet.
  virtual void put(std::string_view key, std::string_view value) = 0;
  /// Hands the entries to the sink, as if they were put there now.
  virtual void commit() = 0;
  /// Forgets the entries.
  virtual void clear() noexcept = 0;
};

/// Takes the entries of a storage while it loads.
class LoadSink {
 public:
  LoadSink() = default;
  LoadSink(const LoadSink&) = delete;
  LoadSink& operator=(const LoadSink&) = delete;
  virtual ~LoadSink() = default;

  /// Says roughly how many bytes of text will come, before the first `put`. Optional: it sizes the tables.
  virtual void expect(std::uint64_t bytes) = 0;

  /// Says which `ChangeSource::schema_version` was saved last, before the first `put`. Unsaid, it is 0.
  /// @throws SchemaVersionError if the store cannot read that.
  virtual void schema_version(std::uint32_t stored) = 0;

  /// Takes one stored entry. `value` is the JSON text of its value, which is parsed strictly here. Entries
  /// come first: after `finish`, `change` or `clear` a store that opens throws UsageError.
  /// @throws ParseError if the key or the value is not of the store's types; a storage that knows offsets in
  ///         its file turns it into a `CorruptionError`.
  virtual void put(std::string_view key, std::string_view value) = 0;

  /// A stage, for `LoadRequest::threads` above 1; none if entries are taken by `put` alone. Comes after
  /// `schema_version`.
  [[nodiscard]] virtual std::unique_ptr<LoadStage> stage() { return nullptr; }

  /// Ends the load: builds the tables.
  /// @throws DuplicateEntryError if two entries had the same key. A storage that knows offsets calls this
  ///         itself to report where; the store calls it in any case, and a second call does nothing.
  virtual void finish() = 0;

  /// Takes a change that came after the entries put so far; calls `finish` first if nobody has. Removing a
  /// key that is not there is no error. @throws ParseError as `put`; DuplicateEntryError as `finish`.
  virtual void change(const Change& change) = 0;

  /// Discards every entry received so far. What comes after it comes through `change`.
  virtual void clear() = 0;

  /// Records that there is no store at `path`, not even an empty one. `request` is that of the load.
  /// @throws StorageError (ENOENT) unless the request may begin empty: a slip in a name, or a file that is
  ///         away for a moment, is never a store without entries.
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

  /// Takes what a log should tell about the load, such as that something was recovered. Optional.
  virtual void note(LogLevel /*level*/, std::string_view /*event*/,
                    std::initializer_list<LogField> /*fields*/) {}

 private:
  bool missing_ = false;
};

/// Hands the entries of a save to a storage, one at a time.
class ChangeSource {
 public:
  /// A source of what `scope` says, in which values have the form of `schema_version`.
  explicit ChangeSource(SaveScope scope = SaveScope::everything, std::uint32_t schema_version = 0) noexcept
      : scope_{scope}, schema_version_{schema_version} {}
  ChangeSource(const ChangeSource&) = delete;
  ChangeSource& operator=(const ChangeSource&) = delete;
  virtual ~ChangeSource() = default;

  /// Fetches the next entry into `change`; false when there are no more. Its views die at the next call.
  /// Pull from one thread until it returns false, or abandon the save by throwing.
  virtual bool next(Change& change) = 0;

  /// The same entries as lines of a JSON file, if the source can encode them so and hands over everything;
  /// otherwise null. A save pulls from this or from `next`, not from both.
  [[nodiscard]] virtual LineSource* lines() noexcept { return nullptr; }

  /// How much of it has been handed over, 0 to 1, for progress reports. Optional: 0 if that is not known.
  [[nodiscard]] virtual double fraction() const noexcept { return 0; }

  /// What it hands over. A storage that wants changes may get everything: then what it kept before is gone.
  [[nodiscard]] SaveScope scope() const noexcept { return scope_; }
  /// The version of the form that values have (`Options::schema_version`); to be stored beside them.
  [[nodiscard]] std::uint32_t schema_version() const noexcept { return schema_version_; }

 private:
  SaveScope scope_;
  std::uint32_t schema_version_;
};

/// What a storage offers besides if it keeps a journal: it takes each change as it happens, so that a killed
/// process loses nothing that it acknowledged, and from time to time the journal is compacted into a
/// snapshot.
///
/// After `append`, `append_clear`, `flush`, `sync` or `join` has thrown, the journal has missed something,
/// and nothing is assumed about it: the store calls none of them again before a compaction `afresh` has
/// reached `switch_over`.
///
/// *Thread safety*: one thread at a time is in `append`, `append_clear`, `flush`, `bytes` or
/// `wants_compaction`, one in `sync`, and one in the functions of a compaction; `switch_over` and `join` come
/// when no other thread is in any but `write_base`.
class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Takes changes that happened in one step; later calls are later steps. False if it cannot tell them, and
  /// only a snapshot can: that counts as a failure, of which nobody is told. @throws StorageError
  [[nodiscard]] virtual bool append(std::span<const Change> step) = 0;
  /// Takes that every entry was removed, as one step.
  virtual void append_clear() = 0;
  /// Puts what was appended into the operating system's hands, without waiting for the disk.
  virtual void flush() = 0;
  /// Waits until what was flushed before the call is on disk.
  virtual void sync() = 0;

  /// Its size, for metrics.
  [[nodiscard]] virtual std::uint64_t bytes() const noexcept = 0;
  /// Whether the journal has outgrown the snapshot.
  [[nodiscard]] virtual bool wants_compaction() const noexcept = 0;

  // A compaction, in this order. Each may throw StorageError: the old snapshot and journal still count then,
  // and the next compaction begins with `prepare` again.

  /// Makes ready what `switch_over` needs. `afresh`: the journal has missed something, so that the next one
  /// must not follow it.
  virtual void prepare(bool afresh) = 0;
  /// What is appended from now on comes after the snapshot that `write_base` is about to be handed. Neither
  /// input nor output.
  virtual void switch_over() = 0;
  /// Writes the snapshot, beside the old one.
  virtual void write_base(ChangeSource& everything) = 0;
  /// Sees that the journal says that it continues the new snapshot, and that all of it is on disk.
  virtual void join() = 0;
  /// Puts the new snapshot in the old one's place and drops the journal up to the switch.
  virtual void replace_base() = 0;
  /// Told where one of them has thrown, or where the compaction is given up.
  virtual void abandon() noexcept = 0;

 protected:
  ~Journal() = default;
};

/// Where a `BatchPersistentKeyValueStore` keeps its entries.
///
/// *Thread safety*: the store makes one call at a time, from whichever thread saves, and never under a lock
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
  /// Releases whatever the storage holds (files, locks). It saves nothing: the store has done so before.
  virtual ~Storage() = default;

  /// Hands every stored entry to `sink`, as of one moment. Comes before any save, and may come again.
  /// `request` says what for: a storage that others could use meanwhile takes its lock for
  /// `LoadPurpose::exclusive`. Where there is no store, not even an empty one, it says so by
  /// `LoadSink::missing`.
  /// @throws LockedError, CorruptionError, StorageError; what is stored is as it was.
  virtual void load(const LoadRequest& request, LoadSink& sink) = 0;

  /// Brings whoever follows up to date: hands over what changed since the last `load` or `load_changes`.
  /// False if that cannot be told, and `load` is to be called again; then `refresh()` always says that
  /// something has changed.
  virtual bool load_changes(LoadSink& /*sink*/) { return false; }

  /// What the next `save` wants to be handed. A storage whose last save failed may ask for `everything`.
  [[nodiscard]] virtual SaveScope scope() const noexcept = 0;

  /// Whether `scope` can ever be `changes`. A storage that always wants everything says no: then the store
  /// keeps no record of changes.
  [[nodiscard]] virtual bool takes_changes() const noexcept { return true; }

  /// Makes what `source` hands over durable, as a whole or not at all: when it returns, it survives power
  /// loss; when it throws, what was stored before is still what the next `load` finds.
  /// @throws StorageError
  virtual void save(ChangeSource& source) = 0;

  /// Whether the next load would find what was saved, or what another program has since put there on purpose.
  /// False makes the store save everything again. Asked before the saves that users ask for, and before each
  /// `Journal::sync`. @throws StorageError if nothing may be written any more
  [[nodiscard]] virtual bool is_intact() { return true; }

  /// Loads what another program has put in the place of what was saved, under the lock that the storage has,
  /// and takes that for its own from now on. False if it cannot. @throws as `load`
  virtual bool take_over(const LoadRequest& /*request*/, LoadSink& /*sink*/) { return false; }

  /// The journal, if the storage keeps one. A store uses that then instead of `scope` and `save`.
  [[nodiscard]] virtual Journal* journal() noexcept { return nullptr; }

  /// Whether it stores `ChangeSource::schema_version` and says it when it loads.
  [[nodiscard]] virtual bool keeps_schema_version() const noexcept { return false; }

  /// The file or folder that messages name; empty if there is none.
  [[nodiscard]] virtual std::filesystem::path path() const { return {}; }
};

}}  // namespace kvstore::v1
