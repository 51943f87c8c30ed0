// SPDX-License-Identifier: MIT
#pragma once

// The place for a store's entries if another program has changed their file: `<file>.ours`, beside it.

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/known_file.hpp"

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
  [[noreturn]] void put(AtomicFile& sealed, std::uint32_t crc);

  /// Removes the file put aside, once the store's own file holds newer entries, unless another program has
  /// changed it. A file that cannot be removed stays.
  void drop() noexcept;

 private:
  static constexpr int kMaxNames = 100;  // names to try

  [[nodiscard]] std::filesystem::path free_name();

  [[noreturn]] void fail(std::error_code error, const std::string& what) const;

  FileSystem& files_;
  std::filesystem::path file_;
  std::filesystem::path name_;  // of the file put aside; empty if there is none
  KnownFile known_;             // that file
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/file/set_aside.ipp"
#endif
