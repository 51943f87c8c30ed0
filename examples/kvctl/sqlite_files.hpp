// SPDX-License-Identifier: MIT
#pragma once

// The files that SQLite keeps beside a database. SQLite waits for a pipe at such a name, writes through a
// link, and deletes a journal that it has not written. So kvctl looks at each of them before SQLite does.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <kvstore/error.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "outcome.hpp"
#include "regular_file.hpp"
#include "sqlite_log.hpp"

namespace kvctl {

[[nodiscard]] inline std::filesystem::path sqlite_file(std::filesystem::path path, const char* suffix) {
  return path += suffix;
}

class SqliteFiles {
 public:
  explicit SqliteFiles(std::filesystem::path database) : database_{std::move(database)} {}

  /// Refuses all but plain files of this store's: links, pipes, folders, and files of strangers.
  /// @throws Failure
  void check_names() const {
    for (const char* suffix : {"-journal", "-wal", "-shm"}) check_name(sqlite_file(database_, suffix));
  }

  /// Refuses files that SQLite has not written, a damaged log, and those of a database that is gone. Call
  /// only while no connection of this process is open: closing the index would drop its locks.
  /// @throws Failure, kvstore::CorruptionError for a log
  void check() const {
    check_but_log();
    check_not_orphaned();
    if (const auto damage = log_damage()) throw *damage;
  }

  /// The same for who goes on without the log.
  void check_but_log() const {
    check_names();
    check_start("-journal", kJournalMagic, "a rollback journal");
    check_start("-shm", index_magic(), "the index of a write-ahead log");
  }

  /// Whether the log begins as SQLite begins it, or is empty.
  [[nodiscard]] bool has_log_start() const {
    return std::any_of(kLogMagics.begin(), kLogMagics.end(),
                       [&](std::string_view magic) { return starts_with("-wal", magic); });
  }

  /// Damage that SQLite would take for the end of the log, or overwrite; none if there is none.
  [[nodiscard]] std::optional<kvstore::CorruptionError> log_damage() const {
    const auto log = sqlite_file(database_, "-wal");
    if (!has_log_start()) {
      return kvstore::CorruptionError{
          log, 0, "expected the write-ahead log of SQLite; if another program wrote it, move it away"};
    }
    const auto offset = SqliteLog::find_damage(log);
    if (!offset) return std::nullopt;
    return kvstore::CorruptionError{log, *offset,
                                    "expected what was written there; SQLite would silently forget this and "
                                    "all that was saved after it"};
  }

 private:
  static constexpr std::string_view kJournalMagic{"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"};
  static constexpr std::array<std::string_view, 2> kLogMagics{"\x37\x7f\x06\x82", "\x37\x7f\x06\x83"};

  /// In the order of bytes of this machine.
  [[nodiscard]] static std::string index_magic() {
    constexpr std::uint32_t kVersion = 3007000;
    std::string bytes(sizeof kVersion, '\0');
    std::memcpy(bytes.data(), &kVersion, sizeof kVersion);
    return bytes;
  }

  void check_name(const std::filesystem::path& name) const {
    struct ::stat found{};
    if (::lstat(name.c_str(), &found) != 0) return;
    const auto refuse = [&](const std::string& why) { throw Failure{kFailed, name.string() + ": " + why}; };
    if (S_ISLNK(found.st_mode)) refuse("is a symbolic link, which SQLite cannot use; move it away");
    if (S_ISDIR(found.st_mode)) refuse("is a folder, which SQLite cannot use; move it away");
    if (!S_ISREG(found.st_mode))
      refuse("is a pipe, a socket or a device, which SQLite cannot use; move it away");
    if (found.st_nlink > 1) {
      refuse(
          "has another name as well (a hard link), and SQLite would change or remove it; it was not touched: "
          "move it away");
    }
    if (is_strangers(found)) {
      refuse(
          "belongs to another user, number " + std::to_string(found.st_uid) +
          ", in a folder where everyone may make files; it was not touched: remove it if the store is yours");
    }
  }

  /// Whether a stranger may have put a file there: in a sticky folder, it is neither this user's, nor of the
  /// owner of the database or of the folder.
  [[nodiscard]] bool is_strangers(const struct ::stat& found) const {
    if (found.st_uid == ::geteuid()) return false;
    const std::filesystem::path parent = database_.parent_path();
    struct ::stat folder{};
    if (::stat(parent.empty() ? "." : parent.c_str(), &folder) != 0) return false;
    if ((folder.st_mode & S_ISVTX) == 0 || found.st_uid == folder.st_uid) return false;
    struct ::stat own{};
    return ::stat(database_.c_str(), &own) != 0 || found.st_uid != own.st_uid;
  }

  /// SQLite fills a start with zeros before it writes it, and once what follows does not count any more.
  [[nodiscard]] bool starts_with(const char* suffix, std::string_view magic) const {
    const std::string start = start_of(sqlite_file(database_, suffix), magic.size());
    return magic.starts_with(start) || start.find_first_not_of('\0') == std::string::npos;
  }

  void check_start(const char* suffix, std::string_view magic, const char* what) const {
    if (starts_with(suffix, magic)) return;
    throw Failure{kFailed,
                  sqlite_file(database_, suffix).string() + ": byte 0: expected " + what +
                      " of SQLite, which would remove or overwrite this file; if another program wrote "
                      "it, move it away"};
  }

  /// SQLite would delete the files of a database that is gone, or take them for those of a new one.
  void check_not_orphaned() const {
    if (!start_of(database_, 1).empty()) return;
    for (const char* suffix : {"-journal", "-wal"}) {
      const auto name = sqlite_file(database_, suffix);
      const bool counts =
          std::string_view{suffix} == "-wal" ? !start_of(name, 1).empty() : is_journal_of_entries(name);
      if (!counts) continue;
      throw Failure{kFailed,
                    database_.string() + ": is missing or empty, and " + name.string() +
                        " has changes of it; put the database back beside it, or move that file away"};
    }
  }

  /// Whether it takes back a transaction on a database that had pages before, other than the one that made
  /// it.
  [[nodiscard]] static bool is_journal_of_entries(const std::filesystem::path& name) {
    constexpr std::size_t kPages = 16;  // where the header says how many there were
    const std::string header = start_of(name, kPages + 4);
    return header.size() == kPages + 4 && header.starts_with(kJournalMagic) &&
           header.find_first_not_of('\0', kPages) != std::string::npos;
  }

  std::filesystem::path database_;
};

}  // namespace kvctl
