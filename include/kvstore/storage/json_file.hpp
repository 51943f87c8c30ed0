// SPDX-License-Identifier: MIT
#pragma once

// The default storage: one JSON object in one file, one entry a line.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/atomic_file.hpp"
#include "kvstore/detail/file_lock.hpp"
#include "kvstore/detail/file_system.hpp"
#include "kvstore/detail/json_entries.hpp"
#include "kvstore/detail/posix_file_system.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0 {

namespace detail {

/// Throws for `path` if the operating system refused.
inline void check_usable(const std::filesystem::path& path, std::error_code error, const std::string& what) {
  if (error) throw StorageError{path, error, what};
}

inline FileKind kind_of(FileSystem& files, const std::filesystem::path& path,
                        const std::filesystem::path& name) {
  const auto status = uninterrupted([&] { return files.status(name); });
  check_usable(path, status.error, "cannot look at " + name.string());
  return status.value.kind;
}

inline void check_folder(FileSystem& files, const std::filesystem::path& path,
                         const std::filesystem::path& folder) {
  if (kind_of(files, path, folder) == FileKind::missing) {
    const auto missing = std::make_error_code(std::errc::no_such_file_or_directory);
    check_usable(path, missing, "make folder " + folder.string() + " first");
  }
  check_usable(path, uninterrupted([&] { return files.check_writable(folder); }),
               "saving makes files in folder " + folder.string() + ", which is not writable");
}

/// The file that `path` stands for, once it is clear that a storage can keep its entries there.
/// @throws StorageError
inline std::filesystem::path usable_path(FileSystem& files, const std::filesystem::path& path) {
  if (path.empty()) throw StorageError{path, {}, "an empty path names no file"};
  auto target = resolve(files, path);
  check_usable(path, target.error, "cannot follow the path");
  check_folder(files, path, target.value.parent_path());
  const auto kind = kind_of(files, path, target.value);
  if (kind == FileKind::folder) {
    check_usable(path, std::make_error_code(std::errc::is_a_directory), "name a file, not a folder");
  }
  if (kind == FileKind::other) throw StorageError{path, {}, "is neither a regular file nor missing"};
  return std::move(target.value);
}

/// Replaces the file at `path`, which is no link, by the entries of `source`, durably, or leaves it as it is.
/// The caller is its only writer. Extra memory: one block, however many entries there are.
/// @throws StorageError, and whatever `source` throws
inline void write_json_file(const std::filesystem::path& path, ChangeSource& source,
                            FileSystem& files = system_file_system(), std::size_t block_bytes = kBlockBytes) {
  AtomicFile file{files, path, block_bytes};
  write_json_entries(file, source);
  file.commit();
}

}  // namespace detail

/// Keeps a store in one JSON file that a person can open, and writes it anew in each save.
///
/// Any file that is one valid JSON object loads, hand-edited or minified. A save writes `<file>.tmp` beside
/// it, syncs it, renames it and syncs the folder, so the file is always the last state that was saved or the
/// one before, in full. Permissions are kept, and owner and group where the operating system allows; symbolic
/// links are followed and stay links; hard links to the file keep the old contents. While it is open,
/// `<file>.lock` stands beside it and keeps other stores out.
///
/// *Thread safety*: none, as `Storage` says. *Complexity*: a save costs time and disk writes in the size of
/// the whole store, and about a mebibyte of memory.
///
/// ```cpp
/// kvstore::BatchPersistentKeyValueStore<std::string, int> store{
///     std::make_unique<kvstore::JsonFile>("data.json"), {.batch_size = 100}};
/// ```
class JsonFile : public Storage {
 public:
  /// Takes the file, which need not exist, in a folder, which must.
  /// @throws LockedError if another store has it; StorageError if its folder is missing or not writable or
  ///         `path` is something other than a file.
  explicit JsonFile(const std::filesystem::path& path,
                    detail::FileSystem& files = detail::system_file_system(),
                    std::size_t block_bytes = detail::kBlockBytes)
      : files_{files},
        path_{detail::usable_path(files, path)},
        lock_{files, path_},
        block_bytes_{block_bytes} {
    remove_leftover();
  }

  /// Hands over every entry; none if the file does not exist.
  /// @throws CorruptionError with the offset at which the file stops making sense; StorageError if it cannot
  ///         be read. The file is only read.
  void load(LoadSink& sink) override {
    const auto file = open_existing();
    if (file) read(*file, sink);
    if (!file) sink.finish();
  }

  [[nodiscard]] SaveScope scope() const noexcept override { return SaveScope::everything; }

  /// Replaces the file. When this throws, the previous file is intact, unless the message says that the new
  /// contents are in place without being safe from power loss.
  void save(ChangeSource& source) override { detail::write_json_file(path_, source, files_, block_bytes_); }

  /// The absolute path of the file itself, where links were followed.
  [[nodiscard]] std::filesystem::path path() const override { return path_; }

 private:
  void remove_leftover() {
    const auto name = detail::AtomicFile::temporary_path(path_);
    const auto error = detail::uninterrupted([&] { return files_.remove(name); });
    if (!error || error == std::errc::no_such_file_or_directory) return;
    throw StorageError{path_, error, "cannot remove the leftover " + name.string()};
  }

  /// None if there is no such file.
  [[nodiscard]] std::unique_ptr<detail::File> open_existing() {
    auto opened = detail::open_file(files_, path_, detail::OpenMode::read);
    if (opened.error == std::errc::no_such_file_or_directory) return nullptr;
    if (opened.error) throw StorageError{path_, opened.error, "cannot open"};
    return std::move(opened.value);
  }

  void read(detail::File& file, LoadSink& sink) const {
    const auto status = detail::uninterrupted([&] { return file.status(); });
    if (status.error) throw StorageError{path_, status.error, "cannot read its size"};
    sink.expect(status.value.size);
    detail::read_json_entries(file, path_, sink, block_bytes_);
    try {
      sink.finish();
    } catch (const DuplicateEntryError& error) {
      const std::uint64_t offset = detail::find_second(file, path_, error.key(), block_bytes_);
      throw CorruptionError{path_, offset, "expected each key once, found a " + std::string{error.what()}};
    }
  }

  detail::FileSystem& files_;
  std::filesystem::path path_;
  detail::FileLock lock_;
  std::size_t block_bytes_;
};

}  // namespace kvstore::inline v0
