// SPDX-License-Identifier: MIT
#pragma once

// Detects whether a file still is the one that was loaded or written: a person may edit it while a store has
// it open, and a save must not undo that.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <system_error>

#include "kvstore/detail/file/file_system.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The state of a file compared with the remembered one.
enum class FileState {
  same,     ///< unchanged, or still missing
  missing,  ///< it was there, and is gone
  changed,  ///< edited, replaced, or newly made
};

/// Remembers a file as it was last loaded or written by this store. Permissions and owner do not count. If
/// only the time or the inode differs (`touch`, `cp -p` and back), the contents decide. Replacing and
/// rewriting the file by an editor are both noticed, except for a rewrite of equal length within the same
/// tick of the file system's clock (up to 10 ms before Linux 6.13).
///
/// *Thread safety*: none.
class KnownFile {
 public:
  /// Remembers `status` as the expected one (for a missing file: that there was none). Without `crc`, the
  /// CRC-32C of its contents, a file that was merely touched counts as changed.
  void remember(const FileStatus& status, std::optional<std::uint32_t> crc = {}) noexcept;

  /// Call before a rename that gives the remembered name to another file of ours: a rename may be reported as
  /// failed and yet have been carried out, so either file then counts as the same. `remember` ends this.
  void expect(const FileStatus& status, std::uint32_t crc) noexcept { expected_ = Seen{status, crc}; }

  [[nodiscard]] bool is_known() const noexcept { return seen_.has_value(); }
  /// The remembered status; that of a missing file if nothing was remembered.
  [[nodiscard]] FileStatus status() const noexcept { return seen_ ? seen_->status : FileStatus{}; }

  /// Examines `path`, and reads the file only if its contents must decide. If nothing was remembered, the
  /// file counts as the same. @throws StorageError if the file cannot be examined
  [[nodiscard]] FileState compare(FileSystem& files, const std::filesystem::path& path);

 private:
  struct Seen {
    FileStatus status;
    std::optional<std::uint32_t> crc;
  };
  static constexpr std::size_t kReadAtOnce = std::size_t{1} << 20;

  static void check(const std::filesystem::path& path, std::error_code error);

  [[nodiscard]] static bool is_file(const FileStatus& seen, const FileStatus& now) noexcept;

  [[nodiscard]] static bool may_hold(const std::optional<Seen>& seen, std::uint64_t size) noexcept;

  [[nodiscard]] FileState compare_contents(FileSystem& files, const std::filesystem::path& path,
                                           std::uint64_t size);

  [[nodiscard]] static std::uint32_t crc_of(File& file, const std::filesystem::path& path,
                                            std::uint64_t size);

  std::optional<Seen> seen_;
  std::optional<Seen> expected_;  // the file that a rename with an unknown outcome may have put there
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/file/known_file.ipp"
#endif
