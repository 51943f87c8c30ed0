// SPDX-License-Identifier: MIT
#pragma once

// Keeps the bytes that opening drops from a journal as torn. After a crash, nothing in a torn end had been
// promised. But damage to the lines synced last looks the same, so the bytes are kept for a person to
// inspect, until that person removes the file.
//
// For each stretch, `<file>.journal.torn` grows by a line for a person, the bytes, and a line feed:
//
//   # 212 bytes from byte 812 of data.json.journal on, which were dropped as torn

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/file/file_system.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Bytes of a file from `begin` up to, but without, `end`.
struct FileStretch {
  std::uint64_t begin;
  std::uint64_t end;
};

/// *Thread safety*: none.
class TornKeeper {
 public:
  /// `files` outlives this object. `snapshot` is the path of the store's JSON file.
  TornKeeper(FileSystem& files, const std::filesystem::path& snapshot)
      : files_{files}, snapshot_{snapshot}, folder_{snapshot.parent_path()}, path_{path_for(snapshot)} {}

  [[nodiscard]] static std::filesystem::path path_for(std::filesystem::path snapshot);

  /// Adds the bytes of a journal from `from` on, except for blocks of zeros, unless they were added before.
  /// They are durable when this returns. @returns whether all of them are kept: a full file takes nothing
  /// more @throws StorageError: the journal is unchanged
  [[nodiscard]] bool keep(File& journal, const std::filesystem::path& name, std::uint64_t from);
  /// The same for a text that belongs behind byte `from` of the journal, and was found in its `tail`.
  [[nodiscard]] bool keep(std::string_view text, File& tail, const std::filesystem::path& name,
                          std::uint64_t from);

 private:
  /// From this size on nothing is added: repeated crashes must not fill a disk. The oldest bytes are kept,
  /// since nobody has inspected them yet.
  static constexpr std::uint64_t kFull = std::uint64_t{16} << 20;
  static constexpr int kMostHits = 16;        // of one title: a file made to delay the store is full of them
  static constexpr std::size_t kPage = 4096;  // zeros of that length are not worth keeping

  [[nodiscard]] std::vector<FileStretch> find_stretches(File& journal, std::uint64_t from) const;

  static void note_page(std::vector<FileStretch>& found, std::uint64_t at, std::string_view page);

  [[nodiscard]] static std::string title_of(const FileStretch& stretch, const std::filesystem::path& name);

  /// Makes a new file with the rights of the journal.
  void open(File& journal);

  /// Whether the file has that title, and behind it, at a place for which `is_copied` holds, what belongs to
  /// it.
  [[nodiscard]] bool has(std::string_view title, FunctionRef<bool(std::uint64_t)> is_copied) const;

  [[nodiscard]] bool is_copied(File& journal, const FileStretch& stretch, std::uint64_t to) const;
  [[nodiscard]] bool is_copied(std::string_view text, std::uint64_t to) const;

  void sync();

  void add(std::string_view title, File& journal, const FileStretch& stretch);

  void append(std::string_view text);

  // At most `most` bytes, a number that may exceed the address space of a 32-bit processor.
  [[nodiscard]] std::string_view read(File& file, std::uint64_t at, std::vector<char>& block,
                                      std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) const;

  [[nodiscard]] FileStatus status_of(File& file) const;

  void check(std::error_code error, std::string_view call) const;

  FileSystem& files_;
  std::filesystem::path snapshot_;
  std::filesystem::path folder_;
  std::filesystem::path path_;
  std::unique_ptr<File> file_;
  std::uint64_t end_ = 0;  // of the file
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/torn_keeper.ipp"
#endif
