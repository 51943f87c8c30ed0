// SPDX-License-Identifier: MIT
#pragma once

// A JSON snapshot and a journal of what changed since: the cost of an operation does not depend on how much
// is stored, and a killed process loses nothing that it acknowledged.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/atomic_file.hpp"
#include "kvstore/detail/checksummed_file.hpp"
#include "kvstore/detail/file_lock.hpp"
#include "kvstore/detail/file_system.hpp"
#include "kvstore/detail/journal_file.hpp"
#include "kvstore/detail/journal_folder.hpp"
#include "kvstore/detail/journal_follower.hpp"
#include "kvstore/detail/journal_format.hpp"
#include "kvstore/detail/journal_scan.hpp"
#include "kvstore/detail/json_snapshot.hpp"
#include "kvstore/detail/json_writer.hpp"
#include "kvstore/detail/path_text.hpp"
#include "kvstore/detail/system_file_system.hpp"
#include "kvstore/detail/torn_keeper.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0 {

/// Keeps a store in a JSON file and `<file>.journal`, to which every operation adds a checksummed line.
///
/// An operation's line is in the operating system's hands before the operation returns; a save syncs it. When
/// the journal has outgrown the snapshot (and a mebibyte), it is folded into a new one in the background,
/// while operations go on. An existing JSON file is taken over as the first snapshot. After `compact` and
/// `close` without further changes only the JSON file is left, for people and for `JsonFile`.
///
/// After a failed write or sync nothing is assumed about the journal: the next save writes a new snapshot and
/// a new journal.
///
/// *Thread safety*: as `Storage` and `Journal` say. Format: tests/format/JOURNAL.md.
///
/// ```cpp
/// kvstore::BatchPersistentKeyValueStore<std::string, int> store{
///     std::make_unique<kvstore::JsonJournal>("data.json"), {.batch_size = 100}};
/// ```
class JsonJournal final : public Storage, public Journal {
 public:
  /// Names the file, which need not exist, in a folder, which must. @throws as `JsonFile`
  explicit JsonJournal(const std::filesystem::path& path,
                       detail::FileSystem& files = detail::system_file_system(),
                       const detail::JournalSpace& space = {})
      : files_{files},
        path_{detail::usable_path(files, path)},
        folder_{files_, path_, space},
        follower_{files_, path} {}

  /// Leaves the journal as long as what it holds, or none if it holds nothing.
  ~JsonJournal() override {
    if (!broken_ && current_) tidy();
  }

  /// Hands over the snapshot and the changes since. A reader follows links anew in each load. To own them,
  /// takes the file's lock first, and ends what a crash has interrupted. @throws LockedError if another store
  /// has it; CorruptionError for damage in either, or if they do not belong together; StorageError; nothing
  /// that counts was changed.
  void load(LoadSink& sink) override {
    if (!current_) follower_.look_again();
    if (sink.request().purpose != LoadPurpose::own || current_) return follower_.load(sink);
    own();
    const detail::SnapshotId snapshot = load_snapshot(sink);
    sink.finish();
    detail::JournalSet found{files_, path_};
    found.survey();
    const auto chain = found.chain(snapshot);
    for (const detail::FoundJournal* journal : chain) detail::replay_journal(*journal, sink);
    detail::keep_torn_ends(files_, path_, found.torn(chain), sink);
    detail::note_recovery(chain, sink);
    snapshot_bytes_ = snapshot.size;
    found.close();
    if (chain.empty())
      begin(snapshot);
    else
      go_on(chain);
  }

  bool load_changes(LoadSink& sink) override {
    if (!current_ && follower_.look_again()) return false;
    return follower_.load_changes(sink);
  }

  [[nodiscard]] SaveScope scope() const noexcept override {
    return broken_ ? SaveScope::everything : SaveScope::changes;
  }

  /// Syncs what was appended: `source` is empty then, since `append` has taken all. Everything becomes a new
  /// snapshot.
  void save(ChangeSource& source) override {
    if (!current_)
      throw UsageError{detail::path_text(path_) + ": load it for LoadPurpose::own before saving"};
    if (source.scope() == SaveScope::everything) {
      prepare_switch();
      switch_over();
      return compact(source);
    }
    for (Change change; source.next(change);) {}
    std::unique_lock lock{mutex_};
    if (broken_) throw StorageError{path_, {}, "the journal is broken and needs a save of everything"};
    const auto current = current_;
    lock.unlock();
    sync_previous();
    sync(*current);
  }

  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }
  [[nodiscard]] std::filesystem::path path() const override { return path_; }
  [[nodiscard]] Journal* journal() noexcept override { return this; }

  // Journal
  // --------------------------------------------------------------------------------------------------

  void append(std::span<const Change> step) override {
    // A line must stay readable in bounded memory. What would be longer is left to a save of everything.
    if (detail::longest_line(step) > detail::kLongestLine) return break_off();
    add([step](JsonWriter& out) { detail::write_step(out, step); });
  }

  void append_clear() override {
    add([](JsonWriter& out) { out.raw("[]"); });
  }

  void break_off() override {
    const std::scoped_lock lock{mutex_};
    broken_ = failed_ = true;
  }

  void flush() override {
    const std::scoped_lock lock{mutex_};
    if (failed_) return;
    flush_current();
    outgrown_ = bytes_locked() > fold_at_locked();
  }

  [[nodiscard]] std::uint64_t bytes() const noexcept override {
    const std::scoped_lock lock{mutex_};
    return current_ ? bytes_locked() : 0;
  }
  [[nodiscard]] bool wants_compaction() const noexcept override { return outgrown_ && !broken_; }

  void prepare_switch() override {
    successor_.reset();
    {
      const std::scoped_lock lock{mutex_};
      // A fold or healing that did not get through goes on with the journal that it had begun.
      if (broken_ ? healing_ && !failed_ : previous_ != nullptr) return;
    }
    if (unfinished_) finish();
    const char* const suffix = broken_ ? ".new" : ".next";
    successor_path_ = detail::JournalSet::name(path_, suffix);
    successor_ = folder_.make(successor_path_);
  }

  void switch_over() override {
    const std::scoped_lock lock{mutex_};
    covered_ = successor_ ? 0 : steps_;
    if (!successor_) return;
    detail::JournalHeader header;
    header.id = successor_->id();
    if (!broken_) {
      header.follows = current_->id();
      header.follows_bytes = current_->end();
    }
    successor_->add([&](JsonWriter& out) { detail::write_header(out, header); });
    if (!broken_) previous_ = current_;
    healing_ = broken_;
    current_ = std::move(successor_);
    current_path_ = std::move(successor_path_);  // not copied: nothing may throw here
    failed_ = false;
    steps_ = 0;
  }

  void compact(ChangeSource& everything) override {
    try {
      replace_snapshot(everything);
    } catch (...) {
      const std::scoped_lock lock{mutex_};
      retry_at_ = bytes_locked() + bytes_locked() / 2 + kSmallest;
      outgrown_ = false;
      throw;
    }
  }

 private:
  static constexpr std::uint64_t kSmallest = std::uint64_t{1} << 20;  // a journal not worth folding, bytes

  // Opening
  // --------------------------------------------------------------------------------------------------

  void own() {
    if (lock_) return;
    detail::check_writable_folder(files_, path_);
    lock_.emplace(files_, path_);
    detail::remove_leftover(files_, path_);
  }

  [[nodiscard]] detail::SnapshotId load_snapshot(LoadSink& sink) {
    detail::SnapshotId id;
    const auto file = detail::open_if_exists(files_, path_);
    if (!file) return id;
    detail::ChecksummedFile checksummed{*file};
    detail::load_json_snapshot(checksummed, path_, sink);
    id.exists = true;
    id.size = checksummed.size();
    id.crc = checksummed.crc();
    return id;
  }

  /// Begins the first journal of a snapshot, or of nothing.
  void begin(const detail::SnapshotId& snapshot) {
    for (const char* suffix : {".next", ".new"}) folder_.remove(detail::JournalSet::name(path_, suffix));
    current_path_ = detail::JournalSet::name(path_, "");
    current_ = folder_.make(current_path_);
    detail::JournalHeader header;
    header.id = current_->id();
    header.snapshot = snapshot;
    current_->add([&](JsonWriter& out) { detail::write_header(out, header); });
    folder_.check(current_->flush(), "cannot write");
    sync(*current_);
  }

  /// Goes on with the last of the journals found, after ending what a crash interrupted.
  void go_on(const std::vector<const detail::FoundJournal*>& chain) {
    const detail::FoundJournal& last = *chain.back();
    current_path_ = last.path;
    current_ = folder_.reopen(last);
    steps_ = last.steps;
    if (chain.size() == 2) {
      previous_ = folder_.reopen(*chain.front());
      folder_.remove(detail::JournalSet::name(path_, ".new"));
      outgrown_ = true;  // the fold is still to be done
      return;
    }
    finish();
  }

  // Appending
  // --------------------------------------------------------------------------------------------------

  template <class Write>
  void add(const Write& write) {
    const std::scoped_lock lock{mutex_};
    if (failed_) return;
    try {
      current_->add(write);
      ++steps_;
    } catch (...) {
      broken_ = failed_ = true;  // the line is missing, so no later one may follow
      throw;
    }
  }

  void flush_current() {
    try {
      if (const auto error = current_->flush()) fail(error, "cannot write");
    } catch (...) {
      broken_ = failed_ = true;  // out of memory: what was added is in nobody's hands
      throw;
    }
  }

  [[noreturn]] void fail(std::error_code error, const std::string& what) {
    broken_ = failed_ = true;
    throw StorageError{
        detail::JournalSet::name(path_, ""), error,
        what + "; nothing is assumed about the journal now, and the next save writes new files"};
  }

  void sync(detail::JournalFile& journal) {
    std::unique_lock lock{mutex_};
    const std::uint64_t end = journal.end();
    if (journal.synced() >= end) return;
    lock.unlock();
    journal.extend(end);
    const auto error = detail::uninterrupted([&] { return journal.file().sync(); });
    lock.lock();
    if (error) fail(error, "cannot sync");
    journal.note_synced(end);
  }

  // Folding
  // ----------------------------------------------------------------------------------------------------

  [[nodiscard]] std::uint64_t bytes_locked() const {
    return current_->end() + (previous_ ? previous_->end() : 0);
  }
  [[nodiscard]] std::uint64_t fold_at_locked() const {
    return std::max({kSmallest, snapshot_bytes_, retry_at_});
  }

  /// Writes the new snapshot; says in the current journal that it continues it; and only then, when both are
  /// durable, gives it the old one's name. Whichever of the two names is met after a crash, it fits a
  /// journal.
  void replace_snapshot(ChangeSource& everything) {
    detail::AtomicFile file{files_, path_};
    detail::SnapshotId snapshot;
    snapshot.crc = detail::write_json_snapshot(file, everything);
    snapshot.exists = true;
    snapshot.size = file.size();
    file.seal();
    sync_previous();  // the current journal may not be safer than what it follows
    add_fold(snapshot);
    sync(*current_);
    file.rename();
    unfinished_ = true;
    finish();
    detail::TornKeeper::forget(files_, path_);
    const std::scoped_lock lock{mutex_};
    snapshot_bytes_ = snapshot.size;
    steps_ -= covered_;
    covered_ = 0;
    retry_at_ = 0;
    outgrown_ = false;
    broken_ = failed_;
    healing_ = false;
  }

  void sync_previous() {
    std::unique_lock lock{mutex_};
    const auto previous = previous_;
    lock.unlock();
    if (previous) sync(*previous);
  }

  void add_fold(const detail::SnapshotId& snapshot) {
    const std::scoped_lock lock{mutex_};
    if (failed_) throw StorageError{path_, {}, "the new journal failed before its snapshot was ready"};
    current_->add([&](JsonWriter& out) { detail::write_fold(out, snapshot); });
    if (const auto error = current_->flush()) fail(error, "cannot write");
  }

  /// Once the snapshot has its name: makes that durable, then drops the journals that it replaces.
  void finish() {
    folder_.sync();
    {
      const std::scoped_lock lock{mutex_};
      previous_.reset();  // first: not every Windows file system replaces an open file
    }
    auto main = detail::JournalSet::name(path_, "");
    if (current_path_ != main) {
      const auto error = files_.rename(current_path_, main);
      if (!error) current_path_.swap(main);  // before anything can run out of memory: the old name is gone
      folder_.check(error, "cannot rename a journal to " + detail::path_text(main));
    }
    unfinished_ = false;
    for (const char* suffix : {".next", ".new"}) folder_.remove(detail::JournalSet::name(path_, suffix));
    folder_.sync();
  }

  /// At the end: everything is saved, nobody else is here. What fails here does no harm.
  void tidy() noexcept {
    try {
      detail::remove_leftover(files_, path_);  // of a compaction that failed as it began
      if (!previous_ && !unfinished_ && steps_ == 0) return folder_.remove(current_path_);
      if (current_->synced() == current_->end()) current_->add([](JsonWriter& out) { out.null(); });
      if (current_->flush()) return;
      static_cast<void>(current_->file().truncate(current_->end()));
    } catch (...) {  // NOLINT(bugprone-empty-catch): the journal is as good as it was
    }
  }

  detail::FileSystem& files_;
  std::filesystem::path path_;
  detail::JournalFolder folder_;
  detail::JournalFollower follower_;
  std::optional<detail::FileLock> lock_;  // none before it is owned

  // Of the thread that takes snapshots.
  std::shared_ptr<detail::JournalFile> successor_;  // made ready for switch_over
  std::filesystem::path successor_path_;
  std::filesystem::path current_path_;
  bool unfinished_ = false;  // the snapshot was renamed, finish() has not got through

  mutable std::mutex mutex_;  // guards what follows; held for a write to the kernel, never for a sync
  std::shared_ptr<detail::JournalFile> previous_;  // while a fold is under way: the journal being folded
  std::shared_ptr<detail::JournalFile> current_;   // which takes what is appended
  bool failed_ = false;   // current_ missed a line, a write or a sync: it takes no more
  bool healing_ = false;  // current_ was begun to replace a failed one, and counts once the snapshot is there
  std::uint64_t steps_ = 0;    // in current_ that the snapshot does not hold
  std::uint64_t covered_ = 0;  // of these, what the snapshot being taken will hold
  std::uint64_t snapshot_bytes_ = 0;
  std::uint64_t retry_at_ = 0;  // journal bytes at which to fold again after that failed

  std::atomic<bool> broken_ = false;    // everything must be saved anew
  std::atomic<bool> outgrown_ = false;  // worth folding
};

}  // namespace kvstore::inline v0
