// SPDX-License-Identifier: MIT
#pragma once

// A JSON file as the storages handle it: where it may be, how it is loaded, how it is written.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/atomic_file.hpp"
#include "kvstore/detail/crc32c.hpp"
#include "kvstore/detail/file_system.hpp"
#include "kvstore/detail/json_entries.hpp"
#include "kvstore/detail/path_text.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

/// Throws for `path` if the operating system refused.
inline void check_usable(const std::filesystem::path& path, std::error_code error, const std::string& what) {
  if (error) throw StorageError{path, error, what};
}

inline FileStatus status_of_name(FileSystem& files, const std::filesystem::path& path,
                                 const std::filesystem::path& name) {
  const auto status = uninterrupted([&] { return files.status(name); });
  check_usable(path, status.error, "cannot look at " + path_text(name));
  return status.value;
}

/// Throws for `path` if entries cannot be kept in what was found there: a folder, or what gives its bytes
/// once and may never end.
inline void check_kind(const std::filesystem::path& path, FileKind kind) {
  if (kind == FileKind::folder) {
    check_usable(path, std::make_error_code(std::errc::is_a_directory), "name a file, not a folder");
  }
  if (kind == FileKind::other) {
    throw StorageError{path,
                       {},
                       "is neither a regular file nor missing, but a pipe, a socket or a device; copy what "
                       "it gives into a file, and name that"};
  }
}

inline void check_folder(FileSystem& files, const std::filesystem::path& path,
                         const std::filesystem::path& folder) {
  if (status_of_name(files, path, folder).kind == FileKind::missing) {
    const auto missing = std::make_error_code(std::errc::no_such_file_or_directory);
    check_usable(path, missing, "make folder " + path_text(folder) + " first");
  }
}

/// Saving the file `path` takes other files beside it, and a sync of their folder. @throws StorageError
inline void check_writable_folder(FileSystem& files, const std::filesystem::path& path) {
  const auto folder = path.parent_path();
  check_usable(path, uninterrupted([&] { return files.check_writable(folder); }),
               "saving makes files in folder " + path_text(folder) + ", which is not writable");
  check_usable(path, uninterrupted([&] { return files.check_syncable(folder); }),
               "saving syncs folder " + path_text(folder) +
                   ", which must be readable for that: give this user the permission to read it");
}

/// What a store adds to the name of its file for files that it writes and removes. Not so `.ours`, whose file
/// is as good as a store's own.
inline constexpr std::string_view kSideSuffixes[] = {
    ".tmp", ".lock", ".journal", ".journal.next", ".journal.new", ".journal.torn", "-wal", "-shm"};

/// Throws for `path` if `target`, where it leads, is a name that the store of the file beside it writes to
/// and removes.
inline void refuse_side_name(FileSystem& files, const std::filesystem::path& path,
                             const std::filesystem::path& target) {
  const std::string name = path_text(target.filename());
  for (const std::string_view suffix : kSideSuffixes) {
    if (name.size() <= suffix.size() || !name.ends_with(suffix)) continue;
    const auto text = target.native();  // where the suffix, being ASCII, has as many units
    const std::filesystem::path owner{text.substr(0, text.size() - suffix.size())};
    auto lock = owner;
    lock += ".lock";
    for (const auto& sign : {owner, lock}) {
      if (status_of_name(files, path, sign).kind != FileKind::regular) continue;
      throw StorageError{
          path,
          {},
          "has a name that the store " + path_text(owner) + " keeps for its own files; name another file"};
    }
  }
}

/// The file that `path` stands for, once it is clear that entries may be kept there. @throws StorageError
inline std::filesystem::path usable_path(FileSystem& files, const std::filesystem::path& path) {
  if (path.empty()) throw StorageError{path, {}, "an empty path names no file"};
  constexpr int kAttempts = 10;  // a link may be switched, or a file replaced, between two looks
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    // The kernel's own links, as /dev/stdin and /dev/fd/3 are, lead to what may have no name; the text of
    // such a link names a file that is missing, or even another one. So what opening would find is asked
    // first.
    const FileStatus found = status_of_name(files, path, path);
    check_kind(path, found.kind);
    auto target = resolve(files, path);
    check_usable(path, target.error, "cannot follow the path");
    refuse_side_name(files, path, target.value);
    if (found.kind == FileKind::missing) check_folder(files, path, target.value.parent_path());
    const bool is_link = !uninterrupted([&] { return files.read_link(path); }).error;
    if (found.kind == FileKind::missing || !is_link) return std::move(target.value);
    const FileStatus named = status_of_name(files, path, target.value);
    if (found.inode == named.inode && found.device == named.device) return std::move(target.value);
  }
  throw StorageError{
      path, {}, "is an open file that has no name any more, since it was removed or replaced; name a file"};
}

/// Opens an existing file for reading; null if there is none. @throws StorageError also for what is no file
inline std::unique_ptr<File> open_if_exists(FileSystem& files, const std::filesystem::path& path) {
  auto opened = open_file(files, path, OpenMode::read);
  if (opened.error == std::errc::no_such_file_or_directory) return nullptr;
  if (opened.error) throw StorageError{path, opened.error, "cannot open"};
  const auto status = uninterrupted([&] { return opened.value->status(); });
  check_usable(path, status.error, "cannot look at it");
  check_kind(path, status.value.kind);
  return std::move(opened.value);
}

/// Whether a file that begins with `start` (its first bytes, or all) may be what a crash left of a save: it
/// begins as `write_json_entries` does, but for zeros where power was lost before something was on disk.
[[nodiscard]] inline bool begins_snapshot(std::string_view start) noexcept {
  const auto fits = [&](std::string_view whole) {
    return std::equal(start.begin(), start.begin() + std::ssize(start.substr(0, whole.size())), whole.begin(),
                      [](char found, char wanted) { return found == wanted || found == '\0'; });
  };
  constexpr std::string_view kEmpty = "{}\n";
  const bool ends = start.find_first_not_of('\0', kEmpty.size()) == std::string_view::npos;
  return fits("{\n\"") || (fits(kEmpty) && ends);
}

/// Throws if there is something at `name` that is not what a crash has left of a save.
inline void check_leftover(FileSystem& files, const std::filesystem::path& name) {
  constexpr const char* kWhy =
      "is where a save of the store beside it is written, and holds something else; move it away";
  const auto link = uninterrupted([&] { return files.read_link(name); });
  if (link.error == std::errc::no_such_file_or_directory) return;
  if (!link.error) throw StorageError{name, {}, kWhy};
  const auto file = open_if_exists(files, name);
  if (!file) return;
  std::array<char, 16> start{};
  const auto got = read_full(*file, 0, start);
  check_usable(name, got.error, "cannot read the leftover of a save; remove it");
  if (!begins_snapshot({start.data(), got.value})) throw StorageError{name, {}, kWhy};
}

/// Removes what a crash left of a save, and nothing else. @throws StorageError
inline void remove_leftover(FileSystem& files, const std::filesystem::path& path) {
  const auto name = AtomicFile::temporary_path(path);
  check_leftover(files, name);
  const auto error = uninterrupted([&] { return files.remove(name); });
  if (!error || error == std::errc::no_such_file_or_directory) return;
  throw StorageError{path, error, "cannot remove the leftover " + path_text(name)};
}

/// Hands every entry of `file` to `sink` and finishes it.
/// @throws CorruptionError with the offset at which the file stops making sense; StorageError
inline void load_json_snapshot(File& file, const std::filesystem::path& path, LoadSink& sink,
                               std::size_t block_bytes = kBlockBytes) {
  const auto status = uninterrupted([&] { return file.status(); });
  if (status.error) throw StorageError{path, status.error, "cannot read its size"};
  sink.expect(status.value.size);
  read_json_entries(file, path, sink, status.value.size, block_bytes);
  try {
    sink.finish();
  } catch (const DuplicateEntryError& error) {
    const std::uint64_t offset = find_second(file, path, error.key(), block_bytes);
    throw CorruptionError{path, offset, "expected each key once, found a " + std::string{error.what()}};
  }
}

/// Writes every entry of `source` to `file`, without committing it. Extra memory: one block, however many
/// entries there are. @returns the CRC-32C of what was written
inline std::uint32_t write_json_snapshot(AtomicFile& file, ChangeSource& source) {
  struct Output {
    AtomicFile& file;
    std::uint32_t crc = 0;
    void append(std::string_view text) {
      crc = crc32c(text, crc);
      file.append(text);
    }
  } output{file};
  write_json_entries(output, source);
  return output.crc;
}

}  // namespace kvstore::inline v0::detail
