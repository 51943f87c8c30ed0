// SPDX-License-Identifier: MIT
#pragma once

// A JSON snapshot and a journal of the changes since: the cost of an operation does not depend on the size of
// the store, and a killed process loses nothing that it acknowledged.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/base/failure_mark.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/file/checksummed_file.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/journal/base_file.hpp"
#include "kvstore/detail/journal/directory.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/detail/journal/follower.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/detail/json_file/load_and_write.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 {

/// Keeps a store in a JSON file and `<file>.journal`, to which every operation adds a checksummed line.
///
/// An operation's line is passed to the operating system before the operation returns; a save syncs it. When
/// the journal has outgrown the snapshot (and a mebibyte), it is compacted into a new one in the background,
/// while operations go on. An existing JSON file is taken over as the first snapshot. After `compact` and
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
class JsonJournal final : public Storage, public Journal {
 public:
  /// Names the file, which need not exist; its folder must exist. @throws as `JsonFile`
  explicit JsonJournal(const std::filesystem::path& path,
                       detail::FileSystem& files = detail::system_file_system(),
                       const detail::JournalSpace& space = {})
      : files_{files},
        path_{detail::usable_path(files, path)},
        directory_{files_, path_, space},
        follower_{files_, path},
        base_{files_, path_} {}

  /// Trims the journal to the length of its lines, or removes it if it has none.
  ~JsonJournal() override {
    if (current_ && !failed_ && !home_.is_foreign_by_id()) tidy();
  }

  /// Passes on the snapshot and the changes since. A reader follows links anew in each load. An exclusive
  /// load takes the file's lock first, and completes a step that a crash interrupted. @throws LockedError if
  /// another store has the lock, or still has a journal open although its lock file was removed;
  /// CorruptionError for damage in either file, or if they do not belong together; StorageError. Neither
  /// snapshot nor journal was changed then.
  void load(const LoadRequest& request, LoadSink& sink) override {
    // A temporary follower keeps no file open afterwards: some Windows systems cannot replace an open file.
    if (current_) return detail::JournalFollower{files_, path_}.load(request, sink);
    follower_.follow_links();
    if (request.purpose != LoadPurpose::exclusive) return follower_.load(request, sink);
    acquire();
    const BaseId snapshot = load_snapshot(request.threads, sink);
    sink.finish();
    detail::JournalSet found{files_, path_};
    directory_.check_held(found);
    found.survey();
    const auto chain = found.chain(snapshot);
    for (const detail::FoundJournal* journal : chain) detail::replay_journal(*journal, sink);
    detail::keep_torn_ends(files_, path_, found.torn(chain), sink);
    detail::note_recovery(chain, sink);
    found.close();
    if (chain.empty())
      begin(snapshot);
    else
      go_on(chain);
  }

  bool load_changes(LoadSink& sink) override {
    if (current_ || follower_.follow_links()) return false;
    return follower_.load_changes(sink);
  }

  [[nodiscard]] SaveScope scope() const noexcept override { return SaveScope::changes; }

  /// A save of everything becomes a new snapshot; changes are appended, each as a step of its own.
  void save(ChangeSource& source) override {
    if (!current_)
      throw UsageError{detail::path_text(path_) + ": load it for LoadPurpose::exclusive before saving"};
    if (source.scope() == SaveScope::everything) return save_everything(source);
    for (Change change; source.next(change);) {
      if (!append({&change, 1})) throw StorageError{path_, {}, "a change is too long for a journal's line"};
    }
    flush();
    sync();
  }

  /// Whether the snapshot and the journal are those that this object has written, under its own lock.
  [[nodiscard]] bool is_intact() override {
    lock_->check_still_held();
    return directory_.has_name(*current_) && base_.serves(steps_ != 0 || compacting_);
  }

  /// Loads only the snapshot, as another program has left it: the journal continues the old one.
  bool take_over(const LoadRequest& request, LoadSink& sink) override {
    static_cast<void>(load_snapshot(request.threads, sink));
    sink.finish();
    return true;
  }

  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }
  [[nodiscard]] std::filesystem::path path() const override { return path_; }
  [[nodiscard]] Journal* journal() noexcept override { return this; }

  // Journal ---------------------------------------------------------------------------------------

  [[nodiscard]] bool append(std::span<const Change> step) override {
    // A line must stay readable in bounded memory. A longer one is left to a snapshot.
    if (detail::longest_line(step) > detail::kMaxLine) return false;
    add([step](JsonWriter& out) { detail::write_step(out, step); });
    return true;
  }

  void append_clear() override {
    add([](JsonWriter& out) { out.raw("[]"); });
  }

  void flush() override {
    detail::FailureMark mark{failed_};
    fail(current_->flush(), "cannot write");
    mark.passed();
  }

  void sync() override {
    if (previous_) sync(*previous_);  // the current journal must not be safer than the one that it follows
    sync(*current_);
  }

  [[nodiscard]] std::uint64_t bytes() const noexcept override {
    return current_ ? current_->end() + previous_bytes_ : 0;
  }
  [[nodiscard]] bool wants_compaction() const noexcept override {
    return interrupted_ || bytes() > std::max({kMinBytes, base_.bytes(), retry_at_.load()});
  }

  void prepare(bool afresh) override {
    base_.give_up();
    successor_.reset();
    lock_->check_still_held();
    afresh_ = afresh;
    interrupted_ = false;
    // A name that may not be on disk cannot be relied upon: the snapshot is written once more.
    if (unfinished_ && (afresh || !directory_.is_unsure())) finish();
    if (compacting_ && !afresh) return;  // continues with the journal begun before
    successor_path_ = detail::JournalSet::name(path_, afresh ? ".new" : ".next");
    successor_ = directory_.make(successor_path_);
  }

  void switch_over() override {
    covered_ = successor_ ? 0 : steps_.load();
    if (!successor_) return;
    JournalHeader header;
    header.id = successor_->id();
    if (!afresh_) {
      header.follows = current_->id();
      header.follows_bytes = current_->end();
    }
    successor_->add([&](JsonWriter& out) { detail::write_header(out, header); });
    if (afresh_) current_->trim();
    previous_bytes_ = afresh_ ? 0 : current_->end();
    previous_ = afresh_ ? nullptr : std::move(current_);
    current_ = std::move(successor_);
    current_path_ = std::move(successor_path_);  // not copied: nothing may throw here
    compacting_ = true;
    failed_ = false;
    steps_ = 0;
  }

  void write_base(ChangeSource& everything) override {
    lock_->check_still_held();
    if (previous_) previous_->trim();  // the disk may be full, and the snapshot must fit
    base_.write(everything);
  }

  /// The new snapshot gets the name of the old one only once the journal records that it continues the new
  /// one, and both are durable. Whichever snapshot has the name after a crash, the journal fits it.
  void join() override {
    if (previous_) sync(*previous_);
    add([&](JsonWriter& out) { detail::write_base(out, base_.next_id()); }, 0);
    flush();
    sync(*current_);
    previous_.reset();  // all of it is on disk; some Windows file systems cannot replace an open file
  }

  void replace_base() override {
    lock_->check_still_held();
    base_.replace();
    unfinished_ = true;
    finish();
    base_.settle();
    steps_ -= covered_;
    retry_at_ = 0;
  }

  void abandon() noexcept override {
    base_.give_up();
    retry_at_ = bytes() + bytes() / 2 + kMinBytes;
  }

 private:
  static constexpr std::uint64_t kMinBytes = std::uint64_t{1} << 20;  // a journal not worth compacting, bytes

  // Opening ---------------------------------------------------------------------------------------

  void acquire() {
    if (lock_) return;
    detail::check_writable_folder(files_, path_);
    lock_.emplace(files_, path_);
    home_ = {};
    detail::remove_leftover(files_, path_);
  }

  [[nodiscard]] BaseId load_snapshot(std::size_t threads, LoadSink& sink) {
    BaseId id;
    detail::FileStatus status;
    if (const auto file = detail::open_if_exists(files_, path_)) {
      const auto found = detail::uninterrupted([&] { return file->status(); });
      detail::check_usable(path_, found.error, "cannot look at it");
      status = found.value;
      detail::ChecksummedFile checksummed{*file};
      detail::load_json_snapshot(checksummed, path_, threads, sink);
      id = {true, checksummed.size(), checksummed.crc()};
    }
    base_.remember(status, id);
    return id;
  }

  /// Begins the first journal of a snapshot, or of an empty store.
  void begin(const BaseId& snapshot) {
    for (const char* suffix : {".next", ".new"}) directory_.remove(detail::JournalSet::name(path_, suffix));
    current_path_ = detail::JournalSet::name(path_, "");
    current_ = directory_.make(current_path_);
    JournalHeader header;
    header.id = current_->id();
    header.base = snapshot;
    try {
      current_->add([&](JsonWriter& out) { detail::write_header(out, header); });
      directory_.check(current_->flush(), "cannot write");
      sync(*current_);
    } catch (...) {  // a journal without a header would look like changes that JsonFile cannot read
      current_.reset();
      static_cast<void>(files_.remove(current_path_));
      throw;
    }
  }

  /// Continues the last of the journals found, after completing a step that a crash interrupted.
  void go_on(const std::vector<const detail::FoundJournal*>& chain) {
    const detail::FoundJournal& last = *chain.back();
    current_path_ = last.path;
    current_ = directory_.reopen(last);
    steps_ = last.steps;
    if (chain.size() == 2) {
      previous_ = directory_.reopen(*chain.front());
      previous_bytes_ = previous_->end();
      compacting_ = true;  // still to be done
      interrupted_ = true;
      directory_.remove(detail::JournalSet::name(path_, ".new"));
      return;
    }
    finish();
  }

  // Appending -------------------------------------------------------------------------------------

  template <class Write>
  void add(const Write& write, std::uint64_t steps = 1) {
    detail::FailureMark mark{failed_};  // no line may follow a missing one
    current_->add(write);
    steps_ += steps;
    mark.passed();
  }

  void fail(std::error_code error, const char* what) const {
    if (!error) return;
    throw StorageError{
        detail::JournalSet::name(path_, ""), error,
        std::string{what} + "; nothing is assumed about the journal now, and the next save writes new files"};
  }

  void sync(detail::JournalFile& journal) {
    detail::FailureMark mark{failed_};
    fail(journal.sync(), "cannot sync");
    mark.passed();
  }

  // Compaction ------------------------------------------------------------------------------------

  void save_everything(ChangeSource& source) {
    try {
      prepare(failed_);
      switch_over();
      write_base(source);
      join();
      replace_base();
    } catch (...) {
      abandon();
      throw;
    }
  }

  /// Call once the snapshot has its name: makes the name durable, then drops the journals that it replaces.
  void finish() {
    directory_.sync();
    auto main = detail::JournalSet::name(path_, "");
    if (current_path_ != main) {
      directory_.check_other(main);
      const auto error = files_.rename(current_path_, main);
      if (!error) current_path_.swap(main);  // before anything can run out of memory: the old name is gone
      directory_.check(error, "cannot rename a journal to " + detail::path_text(main));
    }
    unfinished_ = false;
    compacting_ = false;
    previous_bytes_ = 0;
    for (const char* suffix : {".next", ".new"}) directory_.remove(detail::JournalSet::name(path_, suffix));
    directory_.sync();
  }

  /// At the end: everything is saved, and no other store is active, unless the lock is lost. A failure here
  /// does no harm.
  void tidy() noexcept {
    try {
      lock_->check_still_held();
      if (base_.state() == detail::FileState::missing) return;  // the remaining journal is the evidence
      detail::remove_leftover(files_, path_);                   // from a compaction that failed as it began
      if (!compacting_ && !unfinished_ && steps_ == 0) return directory_.remove_own(current_path_, *current_);
      if (current_->synced() == current_->end()) current_->add([](JsonWriter& out) { out.null(); });
      if (current_->flush()) return;
      static_cast<void>(current_->file().truncate(current_->end()));
    } catch (...) {  // the journal is as good as before
    }
  }

  detail::FileSystem& files_;
  std::filesystem::path path_;
  detail::JournalDirectory directory_;
  detail::JournalFollower follower_;
  detail::JournalBase base_;
  std::optional<detail::FileLock> lock_;  // none before the file is locked
  detail::ForkGuard home_;                // of the owning process

  // Used by the thread that compacts.
  bool afresh_ = false;                             // the successor follows no journal
  std::shared_ptr<detail::JournalFile> successor_;  // prepared for switch_over
  std::filesystem::path successor_path_;
  std::filesystem::path current_path_;
  std::atomic<bool> compacting_ = false;  // current_ was begun for a compaction that is not complete
  bool unfinished_ = false;               // the snapshot was renamed, but finish() is not complete

  // Changed only while no thread appends or syncs.
  std::shared_ptr<detail::JournalFile> previous_;  // the journal before current_, while it may need a sync
  std::shared_ptr<detail::JournalFile> current_;   // the journal that takes new lines

  std::atomic<bool> failed_ = false;      // current_ missed a line, a write or a sync: it takes no more
  std::atomic<std::uint64_t> steps_ = 0;  // in current_ and not in the snapshot
  std::uint64_t covered_ = 0;             // of these, covered by the snapshot being taken
  std::atomic<std::uint64_t> previous_bytes_ = 0;  // of journals that the current one follows
  std::atomic<bool> interrupted_ = false;          // a crash has interrupted a compaction
  std::atomic<std::uint64_t> retry_at_ = 0;        // journal bytes at which to retry a failed compaction
};

}}  // namespace kvstore::v1
