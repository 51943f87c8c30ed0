// SPDX-License-Identifier: MIT
#pragma once

// The journal files of one base file: making, reopening and removing them.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/base/random_bits.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: none. Every function throws StorageError if the operating system refuses.
class JournalDirectory {
 public:
  /// `files` outlives this object. `path` is that of the base file.
  JournalDirectory(FileSystem& files, std::filesystem::path path, const JournalSpace& space)
      : files_{files}, path_{std::move(path)}, space_{space} {}

  /// A journal is locked while it is open for writing. @throws LockedError if another store has one of these
  /// open: its lock file was removed, so the lock file did not keep it out, and it would overwrite lines
  /// added here
  void check_held(const JournalSet& found) const {
    for (const FoundJournal* journal : {&found.main, &found.next, &found.fresh}) {
      if (!journal->file) continue;
      take_lock(*journal->file, journal->path);
      journal->file->unlock();
    }
  }

  /// Makes a new journal, in place of any journal with that name.
  [[nodiscard]] std::shared_ptr<JournalFile> make(const std::filesystem::path& name) const {
    remove(name);
    auto opened = open_file(files_, name, OpenMode::exclusive);
    check(opened.error, "cannot make " + path_text(name));
    try {
      sync();
    } catch (...) {
      static_cast<void>(
          files_.remove(name));  // an empty one would look like changes that JsonFile cannot read
      throw;
    }
    take_lock(*opened.value, name);
    return std::make_shared<JournalFile>(std::move(opened.value), random_id(), 0, 0, space_);
  }

  /// Opens a journal to continue it, without its torn end, and synced.
  [[nodiscard]] std::shared_ptr<JournalFile> reopen(const FoundJournal& found) const {
    auto opened = open_file(files_, found.path, OpenMode::update);
    check(opened.error, "cannot open for writing");
    auto file = std::move(opened.value);
    take_lock(*file, found.path);
    if (found.torn_bytes != 0)
      check(uninterrupted([&] { return file->truncate(found.end); }), "cannot drop the torn end");
    rewrite(*file, found.vouched, found.end);
    // Lines left by a killed process may not be on disk yet. Until they are, nothing that relies on them may
    // be added.
    check(uninterrupted([&] { return file->sync(); }), "cannot sync");
    return std::make_shared<JournalFile>(std::move(file), found.header.id, found.end, found.end, space_);
  }

  /// Whether one of our names belongs to the open journal. A compaction may rename the journal meanwhile to
  /// the plain name, which is therefore checked both first and last. @throws StorageError
  [[nodiscard]] bool has_name(JournalFile& journal) const {
    for (const char* suffix : {"", ".next", ".new", ""}) {
      if (is_at(JournalSet::name(path_, suffix), journal)) return true;
    }
    return false;
  }

  /// Whether `name` belongs to the open journal. @throws StorageError
  [[nodiscard]] bool is_at(const std::filesystem::path& name, JournalFile& journal) const {
    const auto mine = uninterrupted([&] { return journal.file().status(); });
    check(mine.error, "cannot look at it");
    const auto named = uninterrupted([&] { return files_.status(name); });
    if (named.error || named.value.inode != mine.value.inode) return false;
    // Windows may not report the volume of a file that was renamed while it was open.
    return named.value.device == mine.value.device || mine.value.device == 0;
  }

  /// Removes the journal, unless the name belongs to another file by now.
  void remove_own(const std::filesystem::path& name, JournalFile& journal) const {
    if (is_at(name, journal)) remove(name);
  }

  /// Throws if the file of that name is neither a journal nor the remains of one after a crash.
  void check_other(const std::filesystem::path& name) const {
    constexpr const char* kWhy =
        "is where the store beside it keeps its changes, and holds something else; move it away";
    const auto link = uninterrupted([&] { return files_.read_link(name); });
    if (link.error == std::errc::no_such_file_or_directory) return;
    if (!link.error) throw StorageError{name, {}, kWhy};
    const auto file = open_if_exists(files_, name);
    if (!file) return;
    if (!is_journal(*file, name) && !is_torn_start(*file, name)) throw StorageError{name, {}, kWhy};
  }

  /// @throws StorageError also if the file is not a journal: it stays
  void remove(const std::filesystem::path& name) const {
    check_other(name);
    auto error = uninterrupted([&] { return files_.remove(name); });
    if (error == std::errc::no_such_file_or_directory) {
      if (!unsure_) return;
      const auto made = open_file(files_, name, OpenMode::exclusive);  // it may still be on the disk
      check(made.error, "cannot make " + path_text(name));
      error = uninterrupted([&] { return files_.remove(name); });
    }
    check(error, "cannot remove " + path_text(name));
  }

  /// Makes names durable.
  void sync() const {
    const auto error = uninterrupted([&] { return files_.sync_folder(path_.parent_path()); });
    unsure_ = unsure_ || error;
    check(error, "cannot sync its folder");
  }

  /// Whether a sync has failed. From then on the names on disk may differ from those that the system shows,
  /// and later syncs need not repair that: every step that must be durable has to be repeated.
  [[nodiscard]] bool is_unsure() const noexcept { return unsure_; }

  /// Throws for the journal if there is an error.
  void check(std::error_code error, const std::string& what) const {
    if (error) throw StorageError{JournalSet::name(path_, ""), error, what};
  }

 private:
  /// Judges a file by its first line, as opening does. @throws StorageError for a journal of another version
  [[nodiscard]] static bool is_journal(File& file, const std::filesystem::path& name) {
    FoundJournal found;
    found.path = name;
    JournalSurvey survey{found};
    try {
      JournalReader reader{file, name};
      std::string key;
      if (std::string_view body; reader.next(body)) read_body(body, survey, key);
    } catch (const CorruptionError&) { return false; } catch (const ParseError&) {
      return false;
    }
    return found.counts;
  }

  /// If files cannot be locked, or not through this handle, the lock file must suffice.
  void take_lock(File& journal, const std::filesystem::path& name) const {
    const auto error = uninterrupted([&] { return journal.try_lock(); });
    if (error != std::errc::operation_would_block) return;
    throw LockedError{path_, "by a store whose lock file was removed, and which still adds to " +
                                 path_text(name.filename())};
  }

  /// Writes again all bytes that no sync vouches for. If a sync of them failed once, the operating system may
  /// consider them clean, and the next sync would succeed without writing them.
  void rewrite(File& file, std::uint64_t from, std::uint64_t to) const {
    std::vector<char> block(static_cast<std::size_t>(std::min<std::uint64_t>(to - from, kBlockBytes)));
    while (from < to) {
      const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(to - from, block.size()));
      const auto got = read_full(file, from, {block.data(), bytes});
      check(got.error, "cannot read");
      if (got.value != bytes) throw StorageError{path_, {}, "its journal became shorter while it was opened"};
      check(write_all(file, from, {block.data(), bytes}), "cannot write");
      from += bytes;
    }
  }

  [[nodiscard]] static std::string random_id() {
    const std::uint64_t bits = random_bits();
    const auto high = crc_digits(static_cast<std::uint32_t>(bits >> 32U));
    const auto low = crc_digits(static_cast<std::uint32_t>(bits));
    return std::string{high.data(), high.size()}.append(low.data(), low.size());
  }

  FileSystem& files_;
  std::filesystem::path path_;
  JournalSpace space_;
  mutable bool unsure_ = false;
};

}}}  // namespace kvstore::v1::detail
