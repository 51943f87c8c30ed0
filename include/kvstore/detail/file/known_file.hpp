// SPDX-License-Identifier: MIT
#pragma once

// Whether a file still is what was loaded from it or written to it: a person may edit it while a store has it
// open, and a save must not undo that.

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

/// How a file stands to what is remembered of it.
enum class FileState {
  same,     ///< as it was, or there is none now as before
  missing,  ///< it was there, and is gone
  changed,  ///< edited, replaced, or made where there was none
};

/// Remembers a file as it was last loaded or written by this store. Permissions and owner do not count. Where
/// only the time or the inode differs (`touch`, `cp -p` and back), the contents decide. An editor that
/// replaces the file and one that rewrites it are both noticed, but for a rewrite of equal length within the
/// same tick of the file system's clock (up to 10 ms before Linux 6.13).
///
/// *Thread safety*: none.
class KnownFile {
 public:
  /// Takes `status` (of a missing file: that there was none) for what belongs there. Without `crc`, the
  /// CRC-32C of its contents, a file that was merely touched counts as changed.
  void remember(const FileStatus& status, std::optional<std::uint32_t> crc = {}) noexcept {
    seen_ = Seen{status, crc};
    expected_.reset();
  }

  /// Comes before a rename that gives its name to another file of ours: should that be reported as failed and
  /// have been carried out, either is the same. `remember` ends it.
  void expect(const FileStatus& status, std::uint32_t crc) noexcept { expected_ = Seen{status, crc}; }

  [[nodiscard]] bool is_known() const noexcept { return seen_.has_value(); }
  /// As it was remembered; of a missing file if nothing was.
  [[nodiscard]] FileStatus status() const noexcept { return seen_ ? seen_->status : FileStatus{}; }

  /// Looks at `path`, and reads the file only if its contents have to decide. What was never remembered is
  /// the same. @throws StorageError if that cannot be told
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
  std::optional<Seen> expected_;  // what a rename whose outcome is not known has put there, if it did
};

}}}  // namespace kvstore::v1::detail
