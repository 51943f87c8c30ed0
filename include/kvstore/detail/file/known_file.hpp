// SPDX-License-Identifier: MIT
#pragma once

// Detects whether a file still is the one that was loaded or written: a person may edit it while a store has
// it open, and a save must not undo that.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/error.hpp"

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
  void remember(const FileStatus& status, std::optional<std::uint32_t> crc = {}) noexcept {
    seen_ = Seen{status, crc};
    expected_.reset();
  }

  /// Call before a rename that gives the remembered name to another file of ours: a rename may be reported as
  /// failed and yet have been carried out, so either file then counts as the same. `remember` ends this.
  void expect(const FileStatus& status, std::uint32_t crc) noexcept { expected_ = Seen{status, crc}; }

  [[nodiscard]] bool is_known() const noexcept { return seen_.has_value(); }
  /// The remembered status; that of a missing file if nothing was remembered.
  [[nodiscard]] FileStatus status() const noexcept { return seen_ ? seen_->status : FileStatus{}; }

  /// Examines `path`, and reads the file only if its contents must decide. If nothing was remembered, the
  /// file counts as the same. @throws StorageError if the file cannot be examined
  [[nodiscard]] FileState compare(FileSystem& files, const std::filesystem::path& path) {
    if (!seen_) return FileState::same;
    const auto now = uninterrupted([&] { return files.status(path); });
    check(path, now.error);
    if (now.value.kind == FileKind::missing)
      return seen_->status.kind == FileKind::missing ? FileState::same : FileState::missing;
    for (const auto& candidate : {expected_, seen_}) {
      if (!candidate || !is_file(candidate->status, now.value)) continue;
      remember(candidate->status, candidate->crc);
      return FileState::same;
    }
    return compare_contents(files, path, now.value.size);
  }

 private:
  struct Seen {
    FileStatus status;
    std::optional<std::uint32_t> crc;
  };
  static constexpr std::size_t kReadAtOnce = std::size_t{1} << 20;

  static void check(const std::filesystem::path& path, std::error_code error) {
    if (!error) return;
    throw StorageError{path, error,
                       "nothing was written: cannot tell whether another program has changed it"};
  }

  [[nodiscard]] static bool is_file(const FileStatus& seen, const FileStatus& now) noexcept {
    return seen.kind == now.kind && seen.device == now.device && seen.inode == now.inode &&
           seen.size == now.size && seen.modified == now.modified;
  }

  [[nodiscard]] static bool may_hold(const std::optional<Seen>& seen, std::uint64_t size) noexcept {
    return seen && seen->status.kind == FileKind::regular && seen->crc && seen->status.size == size;
  }

  [[nodiscard]] FileState compare_contents(FileSystem& files, const std::filesystem::path& path,
                                           std::uint64_t size) {
    if (!may_hold(expected_, size) && !may_hold(seen_, size)) return FileState::changed;
    const auto opened = open_file(files, path, OpenMode::read);
    if (opened.error == std::errc::permission_denied) return FileState::changed;  // ours could be read
    check(path, opened.error);
    const auto before = uninterrupted([&] { return opened.value->status(); });
    check(path, before.error);
    const std::uint32_t crc = crc_of(*opened.value, path, size);
    const auto after = uninterrupted([&] { return opened.value->status(); });
    check(path, after.error);
    for (const auto& candidate : {expected_, seen_}) {
      if (!may_hold(candidate, after.value.size) || *candidate->crc != crc) continue;
      if (!is_file(before.value, after.value)) return FileState::changed;  // just now
      remember(after.value, crc);
      return FileState::same;
    }
    return FileState::changed;
  }

  [[nodiscard]] static std::uint32_t crc_of(File& file, const std::filesystem::path& path,
                                            std::uint64_t size) {
    const auto block = std::make_unique_for_overwrite<char[]>(kReadAtOnce);
    std::uint32_t crc = 0;
    for (std::uint64_t at = 0; at < size;) {
      const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(kReadAtOnce, size - at));
      const auto got = read_full(file, at, {block.get(), bytes});
      check(path, got.error);
      if (got.value == 0) break;
      crc = crc32c({block.get(), got.value}, crc);
      at += got.value;
    }
    return crc;
  }

  std::optional<Seen> seen_;
  std::optional<Seen> expected_;  // the file that a rename with an unknown outcome may have put there
};

}}}  // namespace kvstore::v1::detail
