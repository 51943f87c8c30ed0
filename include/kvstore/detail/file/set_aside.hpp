// SPDX-License-Identifier: MIT
#pragma once

// The place for a store's entries if another program has changed their file: `<file>.ours`, beside it.

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Keeps a store's entries in `<file>.ours`, or in `<file>.ours.1` and so on if another program's file
/// already has that name. Only a file written by this object is ever overwritten or removed.
///
/// *Thread safety*: none.
class SetAside {
 public:
  /// `files` outlives this object. `file` is the one that the entries should have replaced.
  SetAside(FileSystem& files, std::filesystem::path file) : files_{files}, file_{std::move(file)} {}

  /// Gives a file that was written and sealed to replace `file` a name beside it instead, durably. `crc` is
  /// the CRC-32C of the contents. @throws ConflictError; StorageError if that name cannot be given
  [[noreturn]] void put(AtomicFile& sealed, std::uint32_t crc) {
    auto name = free_name();
    sealed.aim_at(name);
    name_ = std::move(name);
    known_.remember(sealed.sealed(), crc);
    sealed.rename();
    sealed.sync_folder();
    throw ConflictError{file_, name_};
  }

  /// Removes the file put aside, once the store's own file holds newer entries, unless another program has
  /// changed it. A file that cannot be removed stays.
  void drop() noexcept {
    if (name_.empty()) return;
    try {
      if (known_.compare(files_, name_) == FileState::same) static_cast<void>(files_.remove(name_));
      name_.clear();
    } catch (...) {  // NOLINT(bugprone-empty-catch): one file too many does no harm
    }
  }

 private:
  static constexpr int kMaxNames = 100;  // names to try

  [[nodiscard]] std::filesystem::path free_name() {
    for (int number = 0; number < kMaxNames; ++number) {
      auto name = file_;
      name += number == 0 ? ".ours" : ".ours." + std::to_string(number);
      if (name == name_ && known_.compare(files_, name) != FileState::changed) return name;
      const auto status = uninterrupted([&] { return files_.status(name); });
      if (status.error) fail(status.error, "cannot look at " + path_text(name));
      if (status.value.kind == FileKind::missing) return name;
    }
    fail({}, "every name from .ours to .ours." + std::to_string(kMaxNames - 1) + " is taken");
  }

  [[noreturn]] void fail(std::error_code error, const std::string& what) const {
    throw StorageError{
        file_, error,
        "another program has changed it, and the store's entries could not be saved beside it: " + what};
  }

  FileSystem& files_;
  std::filesystem::path file_;
  std::filesystem::path name_;  // of the file put aside; empty if there is none
  KnownFile known_;             // that file
};

}}}  // namespace kvstore::v1::detail
