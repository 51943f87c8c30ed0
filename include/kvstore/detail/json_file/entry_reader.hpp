// SPDX-License-Identifier: MIT
#pragma once

// Reads a file that is one JSON object, in any valid layout, entry by entry. Needs the memory of one block,
// or of the largest entry.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/json/object_cursor.hpp"
#include "kvstore/detail/json_file/parallel_load.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Reads the entries of a file in order, as `JsonCursor` finds them. *Thread safety*: none.
class JsonEntryReader {
 public:
  /// `path` is for messages. `block_bytes` are read at a time, and more only if one entry is larger.
  JsonEntryReader(File& file, std::filesystem::path path, std::size_t block_bytes = kBlockBytes);

  /// Fetches the next entry, whose views live until the next call; false after the object's end.
  /// @throws CorruptionError, StorageError
  bool next(JsonEntry& entry);

  /// `key`: of the entry concerned, as its text; empty if unknown.
  [[noreturn]] void fail(std::uint64_t offset, const std::string& message, std::string_view key = {}) const;

  /// The current position, and the text that is in memory from there on.
  [[nodiscard]] JsonPosition position() const noexcept;
  [[nodiscard]] std::string_view unread() const noexcept;

  /// Continues at another position.
  void go_to(const JsonPosition& position);

 private:
  /// Reads more, and drops the text that the cursor no longer needs.
  void refill();

  void make_room();

  File& file_;
  std::filesystem::path path_;
  std::size_t capacity_;
  std::unique_ptr<char[]> block_;
  std::uint64_t base_ = 0;  // the file's offset of the block's first byte
  std::size_t end_ = 0;     // bytes in the block
  JsonCursor cursor_;       // over the block
  bool file_ended_ = false;
};

/// A file of at least this many blocks is worth starting a thread for.
inline constexpr std::uint64_t kBlocksForThreads = 4;

/// The value of `kSchemaVersionKey`. @throws ParseError
[[nodiscard]] std::uint32_t read_schema_version(const JsonEntry& entry);

/// Has several threads read on from the position of `reader`, and moves `reader` past the entries that they
/// have read. False if not enough of the following text is in memory.
bool read_in_parallel(JsonEntryReader& reader, File& file, const std::filesystem::path& path,
                      std::size_t threads, LoadSink& sink, std::size_t range_bytes);

/// Passes every entry of `file`, of about `file_bytes`, to `sink`, but does not finish `sink`.
/// @throws CorruptionError, StorageError
void read_json_entries(File& file, const std::filesystem::path& path, std::size_t threads, LoadSink& sink,
                       std::uint64_t file_bytes, std::size_t block_bytes = kBlockBytes);

/// The offset of the second entry with `key`, or of the last one if there is only one.
std::uint64_t find_second(File& file, const std::filesystem::path& path, std::string_view key,
                          std::size_t block_bytes = kBlockBytes);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/json_file/entry_reader.ipp"
#endif
