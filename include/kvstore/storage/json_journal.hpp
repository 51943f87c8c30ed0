// SPDX-License-Identifier: MIT
#pragma once

// A JSON snapshot and a journal of the changes since: the cost of an operation does not depend on the size of
// the store, and a killed process loses nothing that it acknowledged.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "kvstore/detail/base/failure_mark.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/contract/line_window.hpp"
#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/journal/base_file.hpp"
#include "kvstore/detail/journal/directory.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/detail/journal/follower.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 {

/// The time at which a change reaches a journal.
enum class Record : std::uint8_t {
  at_once,  ///< before its operation returns: a killed process loses nothing that it acknowledged
  at_save,  ///< at a save: a killed process loses what is unsaved, as with `JsonFile`
};

/// The options of `JsonJournal`.
struct JsonJournalOptions {
  /// Closing the store compacts the journal, so that only the JSON file is left, for people and for other
  /// programs. This costs a save of all entries if any has changed.
  bool compact_on_close = false;

  /// With `Record::at_save` an operation only marks its entry, which costs little more than a store without a
  /// storage. A save then adds each marked entry once, as it is at that moment, all in one line: after a kill
  /// or power loss the store is as of one of its saves. Choose `Options::batch_size` and
  /// `Options::auto_save_interval` by what may be lost. Changes of more than 64 MiB, and `clear`, make the
  /// next save write all entries, and so does a journal that has outgrown the snapshot: nothing compacts it
  /// in the background.
  Record record = Record::at_once;
};

/// Keeps a store in a JSON file and `<file>.journal`, to which every operation adds a checksummed line.
///
/// An operation's line is passed to the operating system before the operation returns; a save syncs it. While
/// many operations come between two saves, their lines go to `<file>.journal.tail`, by way of memory that is
/// mapped, and from there to the journal; a tail that a killed process has left is read with its journal. The
/// journal is compacted into a new snapshot in the background, while operations go on, once it has outgrown
/// the snapshot and a mebibyte, and either a third of both is out of date, or the journal is so long that it
/// delays an opening: twice as long as the snapshot, and 48 MiB. A store that is only filled has nothing out
/// of date. An existing JSON file is taken over as the first snapshot. After `compact` and
/// `close` without further changes, only the JSON file is left, for people and for `JsonFile`.
/// `<file>.journal.torn` may exist beside it until a person removes it: it keeps the bytes that opening has
/// dropped as torn by crashes (at most 16 MiB and one such end).
///
/// After a failed write or sync, nothing is assumed about the journal: the next save writes a new snapshot
/// and a new journal.
///
/// *Thread safety*: as documented for `Storage` and `Journal`. Format: tests/format/JOURNAL.md.
///
/// ```cpp
/// kvstore::BatchPersistentKeyValueStore<std::string, int> store{
///     std::make_unique<kvstore::JsonJournal>("data.json"), {.batch_size = 100}};
/// ```
class JsonJournal final : public Storage, public Journal, private detail::LineJournal {
 public:
  /// How the journal is kept.
  using Options = JsonJournalOptions;

  /// Names the file, which need not exist; its folder must exist. @throws as `JsonFile`
  explicit JsonJournal(const std::filesystem::path& path,
                       detail::FileSystem& files = detail::system_file_system(),
                       const detail::JournalSpace& space = {})
      : JsonJournal{path, Options{}, files, space} {}

  /// The same, with options.
  JsonJournal(const std::filesystem::path& path, const Options& options,
              detail::FileSystem& files = detail::system_file_system(),
              const detail::JournalSpace& space = {});

  /// Trims the journal to the length of its lines, or removes it if it has no steps.
  KVSTORE_INLINE ~JsonJournal() override;

  /// Passes on the snapshot and the changes since. A reader follows links anew in each load. An exclusive
  /// load takes the file's lock first, and completes a step that a crash interrupted. @throws LockedError if
  /// another store has the lock, or still has a journal open although its lock file was removed;
  /// CorruptionError for damage in either file, or if they do not belong together; StorageError. The stored
  /// entries are unchanged then, although a torn end may be dropped, or the interrupted step be complete.
  KVSTORE_INLINE void load(const LoadRequest& request, LoadSink& sink) override;

  KVSTORE_INLINE bool load_changes(LoadSink& sink) override;

  [[nodiscard]] SaveScope scope() const noexcept override { return SaveScope::changes; }

  /// A save of everything becomes a new snapshot. Changes are appended: with `Record::at_save` all as one
  /// step, otherwise each as a step of its own.
  KVSTORE_INLINE void save(ChangeSource& source) override;

  /// Whether the snapshot and the journal are those that this object has written, under its own lock.
  [[nodiscard]] KVSTORE_INLINE bool is_intact() override;

  void make_like(const std::filesystem::path& source) override { directory_.make_like(source); }

  /// Loads only the snapshot, as another program has left it: the journal continues the old one.
  KVSTORE_INLINE bool take_over(const LoadRequest& request, LoadSink& sink) override;

  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }
  [[nodiscard]] std::filesystem::path path() const override { return path_; }
  [[nodiscard]] Journal* journal() noexcept override { return this; }

  // Journal ---------------------------------------------------------------------------------------

  [[nodiscard]] bool records_at_save() const noexcept override { return options_.record == Record::at_save; }

  [[nodiscard]] KVSTORE_INLINE bool append(std::span<const Change> step) override;

  KVSTORE_INLINE void append_clear() override;

  [[nodiscard]] detail::LineJournal* lines() noexcept override { return this; }

  KVSTORE_INLINE void flush() override;

  KVSTORE_INLINE void sync() override;

  [[nodiscard]] KVSTORE_INLINE std::uint64_t bytes() const noexcept override;
  [[nodiscard]] KVSTORE_INLINE bool wants_compaction() const noexcept override;
  [[nodiscard]] KVSTORE_INLINE bool is_worth_compacting(std::uint64_t entries) noexcept override;
  [[nodiscard]] bool compacts_on_close() const noexcept override {
    return options_.compact_on_close && (steps_ != 0 || compacting_);
  }

  KVSTORE_INLINE void prepare(bool afresh) override;

  KVSTORE_INLINE void rotate() override;

  KVSTORE_INLINE void write_base(ChangeSource& everything) override;

  /// The new snapshot gets the name of the old one only once the journal records that it continues the new
  /// one, and both are durable. Whichever snapshot has the name after a crash, the journal fits it.
  KVSTORE_INLINE void join() override;

  KVSTORE_INLINE void replace_base() override;

  KVSTORE_INLINE void abandon() noexcept override;

 private:
  // Opening ---------------------------------------------------------------------------------------

  void acquire();

  [[nodiscard]] BaseId load_snapshot(std::size_t threads, LoadSink& sink);

  /// Begins the first journal of a snapshot, or of an empty store.
  void begin(const BaseId& snapshot);

  /// Continues the last of the journals found, after completing a step that a crash interrupted.
  void go_on(const std::vector<const detail::FoundJournal*>& chain);

  // Appending -------------------------------------------------------------------------------------

  KVSTORE_INLINE void use(detail::LineWindow& window) noexcept override;
  KVSTORE_INLINE void append_lines(std::string_view lines, std::uint64_t operations) override;
  [[nodiscard]] KVSTORE_INLINE bool prepare_window() noexcept override;
  [[nodiscard]] bool open_window(std::string_view lines, std::uint64_t operations) noexcept override {
    return current_->open_window(*window_, lines, operations);
  }

  template <class Write>
  void add(const Write& write, std::uint64_t steps = 1) {
    detail::FailureMark mark{failed_};  // no line may follow a missing one
    current_->add(write);
    steps_ += steps;
    mark.passed();
  }

  /// Counts operations that have written their lines themselves.
  void count(std::uint64_t operations) noexcept {
    steps_ += operations;
    changes_ += operations;
    revision_ += operations;
  }

  void fail(std::error_code error, const char* what) const;

  void sync(detail::JournalFile& journal);

  // Compaction ------------------------------------------------------------------------------------

  void save_everything(ChangeSource& source);

  /// Appends all changes as one step. @throws detail::TooLongForLine
  void save_step(ChangeSource& source);

  /// Call once the snapshot has its name: makes the name durable, then drops the journals that it replaces.
  void finish();

  /// At the end: everything is saved, and no other store is active, unless the lock is lost. A failure here
  /// does no harm.
  void tidy() noexcept;

  detail::FileSystem& files_;
  std::filesystem::path path_;
  detail::JournalDirectory directory_;
  detail::JournalFollower follower_;
  detail::JournalBase base_;
  std::optional<detail::FileLock> lock_;  // none before the file is locked
  detail::ForkGuard home_;                // of the owning process

  Options options_;
  detail::LineWindow* window_ = nullptr;  // open on current_, or closed; none without a store
  std::size_t window_bytes_;
  std::uint64_t compact_from_;  // bytes
  std::uint64_t long_from_;     // bytes

  // Used by the thread that compacts.
  bool afresh_ = false;                             // the successor follows no journal
  std::shared_ptr<detail::JournalFile> successor_;  // prepared for rotate
  std::filesystem::path successor_path_;
  std::filesystem::path current_path_;
  std::atomic<bool> compacting_ = false;  // current_ was begun for a compaction that is not complete
  bool unfinished_ = false;               // the snapshot was renamed, but finish() is not complete

  // Changed only while no thread appends or syncs, and by the thread that syncs.
  std::shared_ptr<detail::JournalFile> previous_;  // the journal before current_, while it may need a sync
  std::shared_ptr<detail::JournalFile> current_;   // the journal that takes new lines
  bool joined_ = false;                            // current_ continues the new snapshot

  std::atomic<bool> failed_ = false;      // current_ missed a line, a write or a sync: it takes no more
  std::atomic<std::uint64_t> steps_ = 0;  // in current_ and not in the snapshot
  std::uint64_t covered_ = 0;             // of these, covered by the snapshot being taken
  std::uint64_t changes_ = 0;             // added to current_ by this object
  std::uint64_t revision_ = 0;            // the number of the last operation that a journal has
  std::uint64_t measured_from_ = 0;       // the offset of the first of them
  std::atomic<std::uint64_t> previous_bytes_ = 0;  // of journals that the current one follows
  std::atomic<bool> interrupted_ = false;          // a crash has interrupted a compaction
  std::atomic<std::uint64_t> retry_at_ = 0;        // journal bytes at which to retry a failed compaction
};

}}  // namespace kvstore::v1

#ifndef KVSTORE_COMPILED
#include "kvstore/storage/json_journal.ipp"
#endif
