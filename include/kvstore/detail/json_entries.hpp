// SPDX-License-Identifier: MIT
#pragma once

// A file that is one JSON object, entry by entry: written one a line, read in any shape that is valid JSON.
// Neither needs more memory than a block or the largest entry.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/codec.hpp"
#include "kvstore/detail/atomic_file.hpp"
#include "kvstore/detail/file_system.hpp"
#include "kvstore/detail/json_cursor.hpp"
#include "kvstore/detail/json_reader.hpp"
#include "kvstore/detail/json_writer.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

/// Writes every entry of `source` to `out`, which has `append(std::string_view)`.
template <class Output>
void write_json_entries(Output& out, ChangeSource& source) {
  JsonWriter start;
  std::string_view separator = "{\n";
  if (source.schema_version() != 0) {
    start.raw(separator);
    start.string(kSchemaVersionKey);
    start.raw(": ");
    start.integer(source.schema_version());
    out.append(start.text());
    separator = ",\n";
  }
  for (Change change; source.next(change);) {
    if (!change.value) continue;  // among everything that is there, nothing is removed
    start.clear();
    start.raw(separator);
    start.string(change.key);
    start.raw(": ");
    out.append(start.text());
    out.append(*change.value);
    separator = ",\n";
  }
  out.append(separator == ",\n" ? "\n}\n" : "{}\n");
}

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

  [[noreturn]] void fail(std::uint64_t offset, const std::string& words) const {
    throw CorruptionError{path_, offset, words};
  }

 private:
  /// Reads on, dropping what the cursor needs no more.
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

/// The value of `kSchemaVersionKey`. @throws ParseError
[[nodiscard]] inline std::uint32_t read_schema_version(const JsonEntry& entry) {
  JsonReader reader{entry.value};
  const auto version = Codec<std::uint32_t>::decode(reader);
  reader.finish();
  return version;
}

/// Hands every entry of `file` to `sink`, but does not finish it.
/// @throws CorruptionError, StorageError
inline void read_json_entries(File& file, const std::filesystem::path& path, LoadSink& sink,
                              std::size_t block_bytes = kBlockBytes) {
  JsonEntryReader reader{file, path, block_bytes};
  JsonEntry entry;
  try {
    bool more = reader.next(entry);
    if (more && entry.key == kSchemaVersionKey) {
      sink.schema_version(read_schema_version(entry));
      more = reader.next(entry);
    }
    for (; more; more = reader.next(entry)) {
      if (entry.key == kSchemaVersionKey)
        reader.fail(entry.key_offset, "expected this as the first member only");
      sink.put(entry.key, entry.value);
    }
  } catch (const ParseError& error) { reader.fail(entry.value_offset + error.offset(), error.what()); }
}

/// The offset of the second entry that has `key`, or of the last one if there is only one.
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

}  // namespace kvstore::inline v0::detail
