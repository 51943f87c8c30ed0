// SPDX-License-Identifier: MIT
#pragma once

// The journal files of one base file: making, reopening and removing them.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/detail/journal/tail_file.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: none. Every function throws StorageError if the operating system refuses.
class JournalDirectory {
 public:
  /// `files` outlives this object. `path` is that of the base file.
  JournalDirectory(FileSystem& files, std::filesystem::path path, const JournalSpace& space)
      : files_{files},
        path_{std::move(path)},
        space_{space},
        tail_{std::make_shared<TailFile>(files_, path_, space.tail)} {}

  /// The first journal of a new store gets the rights of that store.
  void make_like(const std::filesystem::path& source) { like_ = source; }

  /// A journal is locked while it is open for writing. @throws LockedError if another store has one of these
  /// open: its lock file was removed, so the lock file did not keep it out, and it would overwrite lines
  /// added here
  void check_held(const JournalSet& found) const;

  /// Makes a new journal, in place of any journal with that name. It does not use the tail yet.
  [[nodiscard]] std::shared_ptr<JournalFile> make(const std::filesystem::path& name) const;

  /// Opens a journal to continue it, without its torn end, with its lines that were in the tail, and synced.
  [[nodiscard]] std::shared_ptr<JournalFile> reopen(const FoundJournal& found) const;

  /// Whether one of our names belongs to the open journal. A compaction may rename the journal meanwhile to
  /// the plain name, which is therefore checked both first and last. @throws StorageError
  [[nodiscard]] bool has_name(JournalFile& journal) const;

  /// Whether the open journal still has all that was added to it. @throws StorageError
  [[nodiscard]] bool is_whole(JournalFile& journal) const;

  /// Whether `name` belongs to the open journal. @throws StorageError
  [[nodiscard]] bool is_at(const std::filesystem::path& name, JournalFile& journal) const;

  /// Removes a tail that was found, durably, before anything is added: no line of it may come back behind new
  /// ones. Its lines are on disk in their journals. @throws StorageError
  void remove_tail() const;

  /// Whether the tail that is mapped, if any, still has its name.
  [[nodiscard]] bool tail_has_name() const { return tail_->has_name(); }
  /// Lets a journal use the tail, before another journal loses its name whose lines the tail may have. One
  /// that replaces a failed one gets a tail of its own: readers may still need the lines that only the old
  /// one has. No window may be open on the lines of another journal. @throws StorageError
  void give_tail(JournalFile& journal) const;

  /// Removes our own tail, durably, unless it is in use for the journal `but_of`. No other journal may need
  /// its lines any more. @throws StorageError
  void drop_tail(std::string_view but_of = {}) const;

  /// Removes the journal, unless the name belongs to another file by now.
  void remove_own(const std::filesystem::path& name, JournalFile& journal) const;

  /// Throws if the file of that name is neither a journal nor the remains of one after a crash.
  void check_other(const std::filesystem::path& name) const;

  /// @throws StorageError also if the file is not a journal: it stays
  void remove(const std::filesystem::path& name) const;

  /// Makes names durable.
  void sync() const;

  /// Whether a sync has failed. From then on the names on disk may differ from those that the system shows,
  /// and later syncs need not repair that: every step that must be durable has to be repeated.
  [[nodiscard]] bool is_unsure() const noexcept { return unsure_; }

  /// Throws for the journal if there is an error.
  void check(std::error_code error, const std::string& what) const;

 private:
  /// Judges a file by its first line, as opening does. @throws StorageError for a journal of another version
  [[nodiscard]] static bool is_journal(File& file, const std::filesystem::path& name);

  /// Requires that the journal is the one that was read. It was closed meanwhile, and its folder may have
  /// been exchanged: another store's journal would be cut to the length of this one.
  void check_same(File& journal, const FoundJournal& found) const;

  /// Gives a journal the rights of the base file, which may have changed since the journal was made.
  void narrow(File& journal) const;

  /// If files cannot be locked, or not through this handle, the lock file must suffice.
  void take_lock(File& journal, const std::filesystem::path& name) const;
  [[noreturn]] void throw_written(const std::filesystem::path& name) const;

  /// Writes again all bytes that no sync vouches for. If a sync of them failed once, the operating system may
  /// consider them clean, and the next sync would succeed without writing them.
  void rewrite(File& file, std::uint64_t from, std::uint64_t to) const;

  [[nodiscard]] static std::string random_id();

  /// Whether somebody has replaced the tail by a copy of itself, as editors do, or of an earlier state. It
  /// was labelled for the journal that we had, so without that it would be refused.
  [[nodiscard]] bool is_copy(std::optional<std::uint64_t> label) const;

  /// @returns whether there may have been one on the disk
  bool remove_found_tail() const;
  void remove_name(const std::filesystem::path& name) const;

  FileSystem& files_;
  std::filesystem::path path_;
  JournalSpace space_;
  std::shared_ptr<TailFile> tail_;
  std::filesystem::path like_;
  mutable bool unsure_ = false;
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/directory.ipp"
#endif
