// SPDX-License-Identifier: MIT
#pragma once

// Surveys the journals of a base file when a store opens, and decides which of them count.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/journal/stretch.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// One journal file as found.
struct FoundJournal {
  std::filesystem::path path;
  std::shared_ptr<File> file = nullptr;  ///< null if there is none
  std::shared_ptr<File> tail = nullptr;  ///< of all journals of the store; null if there is none
  std::filesystem::path tail_path = {};
  bool counts = false;  ///< it exists and has a header
  JournalHeader header;
  std::vector<BaseId> bases;  ///< base files that it continues as well, in order
  std::uint64_t steps = 0;
  std::uint64_t end = 0;            ///< the end of its good lines
  std::vector<StagedLines> staged;  ///< the lines before that end which only the tail has
  StagedLines stray = {};           ///< what the tail has behind that end
  std::uint64_t torn_bytes = 0;     ///< bytes after that end
  bool marked = false;              ///< some line records a sync
  std::uint64_t vouched = 0;        ///< bytes that a line records as synced
  FileStatus seen{};                ///< of the file, since `JournalSet::close`

  /// Reads the journal from its first line on, with those of the tail.
  [[nodiscard]] JournalReader reader(JournalEnd tail_end = JournalEnd::judged) const;

  [[nodiscard]] bool compacted_into(const BaseId& snapshot) const;
  [[nodiscard]] bool continues(const BaseId& snapshot) const;
};

[[noreturn]] void throw_second_header();

/// Collects the properties of a journal, without applying it.
class JournalSurvey final : public JournalHandler {
 public:
  explicit JournalSurvey(FoundJournal& found) : found_{found} {}

  /// @throws ParseError, as every member, unless the header is the first line, and the only one
  KVSTORE_INLINE void on_header(const JournalHeader& header) override;
  KVSTORE_INLINE void on_base(const BaseId& id) override;
  void on_change(const Change&) override { count_step(); }
  void on_clear() override { count_step(); }
  void on_mark() override { check_begun(); }

 private:
  void check_begun() const;
  void count_step();

  FoundJournal& found_;
};

/// Applies a journal.
class JournalReplay final : public JournalHandler {
 public:
  /// `begun`: the header was read before.
  explicit JournalReplay(LoadSink& sink, bool begun = false) : sink_{sink}, begun_{begun} {}
  /// @throws ParseError for a second one
  void on_header(const JournalHeader&) override {
    if (std::exchange(begun_, true)) throw_second_header();
  }
  void on_base(const BaseId&) override {}
  void on_change(const Change& change) override { sink_.change(change); }
  void on_clear() override { sink_.clear(); }

 private:
  LoadSink& sink_;
  bool begun_;
};

/// Collects the properties of a journal from several threads.
class SurveyStretches final : public StretchTarget {
 public:
  explicit SurveyStretches(FoundJournal& found) : found_{found} {}

  void reserve(std::size_t slots) override {
    while (slots_.size() < slots) slots_.emplace_back();
  }
  KVSTORE_INLINE JournalHandler& begin(std::size_t slot) override;
  KVSTORE_INLINE void take(std::size_t count) override;

 private:
  struct Slot {
    FoundJournal found;
    std::optional<JournalSurvey> survey;
  };

  FoundJournal& found_;
  std::deque<Slot> slots_;
};

/// Applies a journal from several threads.
class ReplayStretches final : public StretchTarget {
 public:
  /// `threads` apply changes. `sink` offers stages.
  ReplayStretches(LoadSink& sink, std::size_t threads) : sink_{sink}, threads_{threads} {}

  KVSTORE_INLINE void reserve(std::size_t slots) override;
  JournalHandler& begin(std::size_t slot) override { return *slots_[slot]; }  // `take` has emptied it
  KVSTORE_INLINE void take(std::size_t count) override;

 private:
  class Slot final : public JournalHandler {
   public:
    explicit Slot(std::unique_ptr<ChangeStage> stage) : stage_{std::move(stage)} {}
    [[nodiscard]] ChangeStage& stage() noexcept { return *stage_; }
    void on_header(const JournalHeader&) override { throw_second_header(); }
    void on_base(const BaseId&) override {}
    void on_change(const Change& change) override { stage_->change(change); }
    void on_clear() override { stage_->clear(); }

   private:
    std::unique_ptr<ChangeStage> stage_;
  };

  LoadSink& sink_;
  std::size_t threads_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

/// Passes every good line from `reader` to `handler`, or to `target` from several threads if there are
/// several and it is not null; returns the reader at the end. The first line goes to `handler` in any case.
/// @throws CorruptionError, StorageError
JournalReader read_journal(JournalReader reader, JournalHandler& handler, StretchTarget* target = nullptr,
                           const JournalThreads& threads = {});

/// No disk writes fewer bytes at once, so a tear leaves them whole or as zeros.
inline constexpr std::size_t kMinSector = 16;

/// Whether a journal without a header may be the result of a power loss before its first line was safe: it is
/// empty, or zeros, or the first bytes of a header. After zeros, sectors that were written may hold anything.
bool is_torn_start(File& file, const std::filesystem::path& path);

/// Surveys a journal. A journal that broke off before its header was safe does not count: nothing in it was
/// acknowledged. @throws CorruptionError for any other file without a header; StorageError
void survey_journal(FoundJournal& found, const JournalThreads& threads = {});

/// Applies a journal that was surveyed. @returns its end, which may be further on than before if another
/// process writes
std::uint64_t replay_journal(const FoundJournal& found, LoadSink& sink, const JournalThreads& threads = {});

/// The part of a journal that opening drops: bytes from some offset on that are not all zeros.
struct TornEnd {
  const FoundJournal* journal;
  std::uint64_t from;
  std::uint64_t bytes;  ///< 0 if only its tail has something
};

/// Keeps the dropped bytes beside the base file, durably, and logs that. @throws StorageError
void keep_torn_ends(FileSystem& files, const std::filesystem::path& snapshot,
                    const std::vector<TornEnd>& torn, LoadSink& sink);

/// Logs how many records the journals of a chain have restored.
void note_recovery(const std::vector<const FoundJournal*>& chain, LoadSink& sink);

/// The journals beside a base file; `chain` selects those that continue it.
///
/// Three names are in use. `.journal` continues the base file. While it is compacted into a new base file,
/// changes go to `.journal.next`, which follows it. After a failed write or sync they go to `.journal.new`,
/// which counts only once the new base file is in place.
struct JournalSet {
  FoundJournal main, next, fresh;
  /// Of the tail, read once the journals were looked for: a writer labels it for a journal that has a name.
  TailHead head;

  /// Opens the journals.
  JournalSet(FileSystem& files, const std::filesystem::path& snapshot);

  /// Surveys the contents. @throws CorruptionError, StorageError
  void survey(const JournalThreads& threads = {});

  /// Requires that the tail, if there is one, is that of a journal which is here, or of none. Call after
  /// `survey`. @throws StorageError, CorruptionError
  void check_tail() const;

  /// Closes the journals, since not every system can replace or remove an open file.
  void close();

  [[nodiscard]] static std::filesystem::path name(std::filesystem::path snapshot, const char* suffix);

  /// The journals to apply after the base file, in order; the last one is to be continued. Empty if there is
  /// none, or none with anything in it. @throws CorruptionError if the files do not belong together
  [[nodiscard]] std::vector<const FoundJournal*> chain(const BaseId& snapshot) const;

  /// The parts that are dropped if `chain` is continued. Journals that the base file has replaced do not
  /// count.
  [[nodiscard]] std::vector<TornEnd> torn(const std::vector<const FoundJournal*>& chain) const;

 private:
  JournalSet(FileSystem& files, const std::filesystem::path& snapshot, const std::shared_ptr<File>& tail);

  [[nodiscard]] static FoundJournal open(FileSystem& files, const std::filesystem::path& snapshot,
                                         const char* suffix, const std::shared_ptr<File>& tail);

  /// Whether `.next` follows a journal other than `main`. A journal begun after a failure follows none.
  [[nodiscard]] bool follows_another(const FoundJournal& found) const;
  /// Whether the journal dates from before a failure after which `main` was begun.
  [[nodiscard]] bool is_replaced(const FoundJournal& found) const;

  [[nodiscard]] std::vector<const FoundJournal*> main_and_next() const;

  /// Requires that `main` has no lines behind those that `.next` follows.
  void check_nothing_between() const;

  void check_strangers(const BaseId& snapshot) const;

  /// Throws for a journal that has steps. Without steps nothing is lost with it.
  static void check_stranger(const FoundJournal& found, const FoundJournal& other);
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/survey.ipp"
#endif
