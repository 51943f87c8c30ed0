// SPDX-License-Identifier: MIT
#pragma once

// The journal files of one snapshot: made, opened again, and removed.

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

/// *Thread safety*: none. Every function throws StorageError for what the operating system refuses.
class JournalDirectory {
 public:
  /// `files` outlives it. `path` is that of the snapshot.
  JournalDirectory(FileSystem& files, std::filesystem::path path, const JournalSpace& space)
      : files_{files}, path_{std::move(path)}, space_{space} {}

  /// A journal is locked for as long as it is open for writing. @throws LockedError if a store that is not
  /// kept out by the lock file, since that was removed, has one of these open: it would write over what is
  /// added
  void check_held(const JournalSet& found) const {
    for (const FoundJournal* journal : {&found.main, &found.next, &found.fresh}) {
      if (!journal->file) continue;
      take_lock(*journal->file, journal->path);
      journal->file->unlock();
    }
  }

  /// A new journal in place of whatever has that name.
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

  /// A journal to go on with: without its torn end, and synced.
  [[nodiscard]] std::shared_ptr<JournalFile> reopen(const FoundJournal& found) const {
    auto opened = open_file(files_, found.path, OpenMode::update);
    check(opened.error, "cannot open for writing");
    auto file = std::move(opened.value);
    take_lock(*file, found.path);
    if (found.torn_bytes != 0)
      check(uninterrupted([&] { return file->truncate(found.end); }), "cannot drop the torn end");
    rewrite(*file, found.vouched, found.end);
    // What a killed process left may not be on disk yet. Until it is, nothing can be added that relies on it.
    check(uninterrupted([&] { return file->sync(); }), "cannot sync");
    return std::make_shared<JournalFile>(std::move(file), found.header.id, found.end, found.end, space_);
  }

  /// Whether a name of ours stands for the journal that is open. A compaction may be about to rename it to
  /// the one that is looked at first and last. @throws StorageError
  [[nodiscard]] bool has_name(JournalFile& journal) const {
    for (const char* suffix : {"", ".next", ".new", ""}) {
      if (is_at(JournalSet::name(path_, suffix), journal)) return true;
    }
    return false;
  }

  /// Whether `name` stands for the journal that is open. @throws StorageError
  [[nodiscard]] bool is_at(const std::filesystem::path& name, JournalFile& journal) const {
    const auto mine = uninterrupted([&] { return journal.file().status(); });
    check(mine.error, "cannot look at it");
    const auto named = uninterrupted([&] { return files_.status(name); });
    if (named.error || named.value.inode != mine.value.inode) return false;
    // Windows may not tell the volume of a file that was renamed while it was open.
    return named.value.device == mine.value.device || mine.value.device == 0;
  }

  /// Unless the name stands for something else by now.
  void remove_own(const std::filesystem::path& name, JournalFile& journal) const {
    if (is_at(name, journal)) remove(name);
  }

  /// Throws if something has the name that neither is a journal nor what a crash has left of one.
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

  /// @throws StorageError also for what is no journal: it stays
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

  /// Whether a sync has failed. After that the disk may have other names than the system shows, and later
  /// syncs need not change that: what is to be durable is to be done again.
  [[nodiscard]] bool is_unsure() const noexcept { return unsure_; }

  /// Throws for the journal if there is an error.
  void check(std::error_code error, const std::string& what) const {
    if (error) throw StorageError{JournalSet::name(path_, ""), error, what};
  }

 private:
  /// By its first line, as opening judges it. @throws StorageError for one of another version
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

  /// Where files cannot be locked, or not through this handle, the lock file has to do.
  void take_lock(File& journal, const std::filesystem::path& name) const {
    const auto error = uninterrupted([&] { return journal.try_lock(); });
    if (error != std::errc::operation_would_block) return;
    throw LockedError{path_, "by a store whose lock file was removed, and which still adds to " +
                                 path_text(name.filename())};
  }

  /// Writes again what no sync vouches for. If a sync of it failed once, the operating system may hold it for
  /// clean, and the next sync would succeed without writing it.
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
