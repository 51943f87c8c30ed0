// SPDX-License-Identifier: MIT
#pragma once

// The names of open files. A folder can be exchanged, or a file replaced or removed, while handles and locks
// still refer to the old one.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Remembers the files that names refer to. While each is open, no other file can have its identity.
class StandingFiles {
 public:
  explicit StandingFiles(FileSystem& files) noexcept : files_{files} {}

  /// Does nothing if the name is known already. @throws StorageError if the file cannot be examined
  void remember(std::filesystem::path name) {
    for (const Remembered& file : remembered_) {
      if (file.name == name) return;
    }
    const FileStatus now = status(name);
    remembered_.push_back({std::move(name), now.device, now.inode});
  }
  void forget() noexcept { remembered_.clear(); }

  /// The first name that now refers to another file, or to none.
  [[nodiscard]] std::optional<std::filesystem::path> first_exchanged() const {
    for (const Remembered& file : remembered_) {
      const FileStatus now = status(file.name);
      const bool exists = now.kind != FileKind::missing;
      if (!exists || now.device != file.device || now.inode != file.inode) return file.name;
    }
    return std::nullopt;
  }

 private:
  struct Remembered {
    std::filesystem::path name;
    std::uint64_t device;
    std::uint64_t inode;
  };

  [[nodiscard]] FileStatus status(const std::filesystem::path& name) const {
    const auto found = uninterrupted([&] { return files_.status(name); });
    if (found.error) throw StorageError{name, found.error, "cannot look at it"};
    return found.value;
  }

  FileSystem& files_;
  std::vector<Remembered> remembered_;
};

}}}  // namespace kvstore::v1::detail
