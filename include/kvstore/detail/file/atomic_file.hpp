// SPDX-License-Identifier: MIT
#pragma once

// Replaces a file in one step: after any crash its name refers to the old contents or the new ones, in full.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/rights.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Writes `<target>.tmp` and, on `commit`, gives it the target's name, permissions and place.
///
/// The temporary name is fixed, so the caller must be the only writer (see `FileLock`) and `target` must not
/// be a symbolic link (see `resolve`). If the temporary name is already taken, its file stays, and opening
/// fails. Extended attributes other than the access control list are not copied. *Thread safety*: none.
class AtomicFile {
 public:
  /// `last`: the rights to restore if the target is missing by now. @throws StorageError, as
  /// every member; until `commit` has renamed, the target is unchanged.
  AtomicFile(FileSystem& files, std::filesystem::path target, std::size_t block_bytes = kBlockBytes,
             const FileRights& last = {});

  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Leaves nothing behind unless `commit` was called. If a folder was exchanged, the temporary name may
  /// belong to another program's file by now, which is not removed.
  ~AtomicFile();

  [[nodiscard]] static std::filesystem::path temporary_path(std::filesystem::path target);

  void append(std::string_view text);

  /// Bytes appended so far.
  [[nodiscard]] std::uint64_t size() const noexcept { return written_ + used_; }

  /// Makes the new contents durable under the target's name. If only the last step fails (syncing the
  /// folder), the target already has them. That is still an error: a power loss may take them back.
  void commit();

  // The steps of `commit`, for callers that must act between them.

  /// Makes the new contents durable under the temporary name.
  void seal();

  /// The new file as `seal` left it, which a rename does not change.
  [[nodiscard]] const FileStatus& sealed() const noexcept { return sealed_; }

  /// The rights that the file has, as far as this process could give them.
  [[nodiscard]] const FileRights& rights() const noexcept { return rights_; }

  /// Chooses another target in the same folder.
  void aim_at(std::filesystem::path target) noexcept { target_ = std::move(target); }

  void rename();

  void sync_folder();

 private:
  void open_temporary();

  [[nodiscard]] bool has_temporary_name();

  void append_across(std::string_view text);

  void flush();

  void write(std::string_view text);

  FileRights target_rights();

  void copy_rights();

  void check(std::error_code error, std::string_view call) const;

  FileSystem& files_;
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  std::filesystem::path folder_;  // made at the start: once the file is renamed, no step may allocate
  std::unique_ptr<File> file_;
  FileRights rights_;
  FileStatus sealed_;
  std::size_t block_bytes_;
  std::unique_ptr<char[]> block_;
  std::size_t used_ = 0;
  std::uint64_t written_ = 0;
  bool renamed_ = false;
  ForkGuard home_;
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/file/atomic_file.ipp"
#endif
