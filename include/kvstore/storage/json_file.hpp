// SPDX-License-Identifier: MIT
#pragma once

// The default storage: one JSON object in one file, one entry a line.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <cstddef>
#include <filesystem>
#include <optional>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/followed_path.hpp"
#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/detail/file/set_aside.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 {

/// Keeps a store in one JSON file that a person can read and edit, and rewrites the file in each save.
///
/// Any file that is one valid JSON object loads, hand-edited or minified. A save writes `<file>.tmp` beside
/// the file, syncs it, renames it and syncs the folder. The file is therefore always the last saved state or
/// the one before, in full. Permissions are kept, and so are owner and group if the operating system allows.
/// Symbolic links are followed and stay links; hard links to the file keep the old contents. While the store
/// is open, `<file>.lock` exists beside the file and keeps other stores out.
///
/// Other programs do not ask for a lock. If a save finds that another program has changed the file, the save
/// leaves the file alone and writes `<file>.ours` instead (see `ConflictError`). A file that has disappeared
/// is written anew.
///
/// *Thread safety*: none, as documented for `Storage`. *Complexity*: a save takes time and disk writes
/// proportional to the size of the whole store, and about a mebibyte of memory.
///
/// ```cpp
/// kvstore::BatchPersistentKeyValueStore<std::string, int> store{
///     std::make_unique<kvstore::JsonFile>("data.json"), {.batch_size = 100}};
/// ```
class JsonFile : public Storage {
 public:
  /// Names the file, which need not exist; its folder must exist. @throws StorageError if the folder is
  /// missing or `path` is not a file
  explicit JsonFile(const std::filesystem::path& path,
                    detail::FileSystem& files = detail::system_file_system(),
                    std::size_t block_bytes = detail::kBlockBytes);

  /// Passes on every entry. An exclusive load takes the file's lock first; a missing file is then an empty
  /// store. A reader follows links anew in each load. @throws LockedError if another store has the lock;
  /// CorruptionError with the offset at which the file stops making sense; StorageError if the file cannot be
  /// read, the folder is not writable, or the journal of a `JsonJournal` is beside the file; also (ENOENT) if
  /// there is no file and the load is not exclusive. The file is only read.
  KVSTORE_INLINE void load(const LoadRequest& request, LoadSink& sink) override;

  /// Nothing has changed if the path still refers to the file that was loaded, with the same status.
  KVSTORE_INLINE bool load_changes(LoadSink&) override;

  [[nodiscard]] SaveScope scope() const noexcept override { return SaveScope::everything; }
  [[nodiscard]] bool takes_changes() const noexcept override { return false; }

  /// Replaces the file. If this throws, the previous file is intact, unless the message says that the new
  /// contents are in place but not safe from power loss. @throws ConflictError if another program has changed
  /// the file since it was loaded or saved; StorageError, also if the lock file was removed or its folder
  /// exchanged, since another store may then own the current file
  KVSTORE_INLINE void save(ChangeSource& source) override;

  /// An edit by another program is not a loss, but a missing file is.
  [[nodiscard]] KVSTORE_INLINE bool is_intact() override;

  void make_like(const std::filesystem::path& source) override { like_ = source; }

  KVSTORE_INLINE bool take_over(const LoadRequest& request, LoadSink& sink) override;

  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }

  /// For tools: checks whether `<file>.tmp` allows a store of `file` to be opened for writing. @throws
  /// StorageError if that file holds anything but the remains of an interrupted save, which the store would
  /// remove
  static void check_leftover(const std::filesystem::path& file);

  /// The absolute path of the file itself, after following links.
  [[nodiscard]] std::filesystem::path path() const override { return path_.target(); }

 private:
  void load_exclusive(const LoadRequest& request, LoadSink& sink);

  [[nodiscard]] detail::FileStatus status_of(detail::File& file) const;

  void know_what_is_there();

  void acquire();

  /// A save that was killed between its rename and its last sync leaves a file whose name a power loss could
  /// still take back. No reader may see entries that could disappear again, so the name is made durable
  /// first.
  void settle_name();

  /// A journal holds changes that this class would neither read nor preserve.
  void check_no_journal() const;

  detail::FileSystem& files_;
  detail::FollowedPath path_;
  std::size_t block_bytes_;
  std::optional<detail::FileLock> lock_;   // none before the file is locked
  detail::SeenFile seen_;                  // the file that a reader loaded
  detail::KnownFile known_;                // as its owner last loaded or saved it
  detail::FileRights rights_;              // of that file, to restore them
  std::filesystem::path like_;             // a new file gets the rights of this one
  std::optional<detail::SetAside> aside_;  // set once the file is locked
};

}}  // namespace kvstore::v1

#ifndef KVSTORE_COMPILED
#include "kvstore/storage/json_file.ipp"
#endif
