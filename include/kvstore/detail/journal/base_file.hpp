// SPDX-License-Identifier: MIT
#pragma once

// The JSON file that a journal continues, and the file that is to replace it.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/detail/file/set_aside.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: `state`, `serves` and `bytes` may be called at any time; all other members by one thread
/// at a time.
class JournalBase {
 public:
  /// `files` outlives this object. `path` is the base file's.
  JournalBase(FileSystem& files, std::filesystem::path path)
      : files_{files}, path_{std::move(path)}, aside_{files_, path_} {}

  /// Remembers the loaded file as the one that belongs there; `status` is of a missing file if there was
  /// none.
  void remember(const FileStatus& status, const BaseId& id);

  /// Size of the current base file, in bytes.
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

  /// Compares the status of the file with the one that was last loaded or written. Needs two system calls
  /// fewer than a full comparison, but a file that was merely touched looks changed. @throws StorageError
  [[nodiscard]] FileState state() const;

  /// Whether the file can be the base of a journal. An edited file can, if the journal holds no `changes` to
  /// the earlier contents. A file that has disappeared cannot. @throws StorageError
  [[nodiscard]] bool serves(bool changes) const;

  /// Writes the next base file under a temporary name, durably. @throws StorageError also if that name
  /// belongs to a file that is not the remains of a save: that file stays
  void write(ChangeSource& everything);

  /// The identity of the next base file.
  [[nodiscard]] const BaseId& next_id() const noexcept { return next_id_; }

  /// Renames the next base file to the current one. @throws ConflictError if another program has changed the
  /// current one: it stays, and the next one is put aside
  void replace();

  /// Call once the new name is durable as well.
  void settle() noexcept { aside_.drop(); }

  /// Drops the next base file.
  void give_up() noexcept { next_.reset(); }

 private:
  /// Hashes a status into one word, which can be read while another thread changes it.
  [[nodiscard]] static std::uint64_t mark_of(const FileStatus& status) noexcept;

  FileSystem& files_;
  std::filesystem::path path_;
  KnownFile known_;
  SetAside aside_;
  std::unique_ptr<AtomicFile> next_;
  BaseId next_id_;
  std::atomic<std::uint64_t> mark_ = 0;
  std::atomic<std::uint64_t> next_mark_ = 0;  // of the file that a rename is about to put there
  std::atomic<std::uint64_t> bytes_ = 0;
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/base_file.ipp"
#endif
