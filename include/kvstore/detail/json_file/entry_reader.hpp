// SPDX-License-Identifier: MIT
#pragma once

// Reads a file that is one JSON object, in any valid layout, entry by entry. Needs the memory of one block,
// or of the largest entry.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/json/object_cursor.hpp"
#include "kvstore/detail/json_file/line_ranges.hpp"
#include "kvstore/detail/json_file/parallel_load.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Reads the entries of a file in order, as `JsonCursor` finds them. *Thread safety*: none.
class JsonEntryReader {
 public:
  /// `path` is for messages. `block_bytes` are read at a time, and more only if one entry is larger.
  JsonEntryReader(File& file, std::filesystem::path path, std::size_t block_bytes = kBlockBytes)
      : file_{file},
        path_{std::move(path)},
        capacity_{block_bytes},
        block_{std::make_unique_for_overwrite<char[]>(block_bytes)} {}

  /// Fetches the next entry, whose views live until the next call; false after the object's end.
  /// @throws CorruptionError, StorageError
  bool next(JsonEntry& entry) {
    try {
      JsonCursor::Step step;
      while ((step = cursor_.next({block_.get(), end_}, file_ended_, entry)) == JsonCursor::Step::more) {
        refill();
      }
      entry.key_offset += base_;
      entry.value_offset += base_;
      return step == JsonCursor::Step::entry;
    } catch (const ParseError& error) { fail(base_ + error.offset(), error.what()); }
  }

  [[noreturn]] void fail(std::uint64_t offset, const std::string& message) const {
    throw CorruptionError{path_, offset, message};
  }

  /// The current position, and the text that is in memory from there on.
  [[nodiscard]] JsonPosition position() const noexcept {
    return {base_ + cursor_.position(), cursor_.place()};
  }
  [[nodiscard]] std::string_view unread() const noexcept {
    return {block_.get() + cursor_.position(), end_ - cursor_.position()};
  }

  /// Continues at another position.
  void go_to(const JsonPosition& position) {
    base_ = position.offset;
    end_ = 0;
    cursor_ = JsonCursor{position.place};
    file_ended_ = false;
  }

 private:
  /// Reads more, and drops the text that the cursor no longer needs.
  void refill() {
    make_room();
    const auto got = read_full(file_, base_ + end_, {block_.get() + end_, capacity_ - end_});
    if (got.error) throw StorageError{path_, got.error, "cannot read"};
    file_ended_ = got.value < capacity_ - end_;
    end_ += got.value;
  }

  void make_room() {
    const std::size_t from = cursor_.position();
    const std::size_t size = end_ - from;
    if (size == capacity_) {  // one entry fills the block: from == 0
      auto larger = std::make_unique_for_overwrite<char[]>(capacity_ * 2);
      std::memcpy(larger.get(), block_.get(), size);
      block_ = std::move(larger);
      capacity_ *= 2;
      return;
    }
    std::memmove(block_.get(), block_.get() + from, size);
    cursor_.rewind();
    base_ += from;
    end_ = size;
  }

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
[[nodiscard]] inline std::uint32_t read_schema_version(const JsonEntry& entry) {
  JsonReader reader{entry.value};
  const auto version = reader.integer<std::uint32_t>();
  reader.finish();
  return version;
}

/// Has several threads read on from the position of `reader`, and moves `reader` past the entries that they
/// have read. False if not enough of the following text is in memory.
inline bool read_in_parallel(JsonEntryReader& reader, File& file, const std::filesystem::path& path,
                             std::size_t threads, LoadSink& sink, std::size_t range_bytes) {
  LineRanges ranges{file, reader.position().offset, reader.unread(), range_bytes};
  if (!ranges.can_cut()) return false;
  reader.go_to(ParallelLoad{ranges, path, threads, sink}.run());
  return true;
}

/// Passes every entry of `file`, of about `file_bytes`, to `sink`, but does not finish `sink`.
/// @throws CorruptionError, StorageError
inline void read_json_entries(File& file, const std::filesystem::path& path, std::size_t threads,
                              LoadSink& sink, std::uint64_t file_bytes,
                              std::size_t block_bytes = kBlockBytes) {
  JsonEntryReader reader{file, path, block_bytes};
  JsonEntry entry;
  bool more = reader.next(entry);
  if (more && entry.key == kSchemaVersionKey) {
    try {
      sink.schema_version(read_schema_version(entry));
    } catch (const ParseError& error) { reader.fail(entry.value_offset + error.offset(), error.what()); }
    more = reader.next(entry);
  }
  const std::size_t range_bytes = std::max<std::size_t>(block_bytes / 4, 1);
  bool alone = threads < 2 || file_bytes / kBlocksForThreads < block_bytes || !sink.stage();
  for (; more; more = reader.next(entry)) {
    put_entry(reader, entry, sink);
    if (!alone && reader.position().offset >= range_bytes)
      alone = read_in_parallel(reader, file, path, threads, sink, range_bytes);
  }
}

/// The offset of the second entry with `key`, or of the last one if there is only one.
inline std::uint64_t find_second(File& file, const std::filesystem::path& path, std::string_view key,
                                 std::size_t block_bytes = kBlockBytes) {
  JsonEntryReader reader{file, path, block_bytes};
  std::uint64_t offset = 0;
  int seen = 0;
  for (JsonEntry entry; seen < 2 && reader.next(entry);) {
    if (entry.key != key) continue;
    offset = entry.key_offset;
    ++seen;
  }
  return offset;
}

}}}  // namespace kvstore::v1::detail
