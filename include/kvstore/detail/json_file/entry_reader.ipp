// SPDX-License-Identifier: MIT
#pragma once

// The definitions of entry_reader.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/json/object_cursor.hpp"
#include "kvstore/detail/json_file/entry_reader.hpp"
#include "kvstore/detail/json_file/line_ranges.hpp"
#include "kvstore/detail/json_file/parallel_load.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE JsonEntryReader::JsonEntryReader(File& file, std::filesystem::path path,
                                                std::size_t block_bytes)
    : file_{file},
      path_{std::move(path)},
      capacity_{block_bytes},
      block_{std::make_unique_for_overwrite<char[]>(block_bytes)} {}

KVSTORE_INLINE bool JsonEntryReader::next(JsonEntry& entry) {
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

KVSTORE_INLINE void JsonEntryReader::fail(std::uint64_t offset, const std::string& message,
                                          std::string_view key) const {
  throw_corrupt_entry(path_, offset, message, key);
}

KVSTORE_INLINE JsonPosition JsonEntryReader::position() const noexcept {
  return {base_ + cursor_.position(), cursor_.place()};
}

KVSTORE_INLINE std::string_view JsonEntryReader::unread() const noexcept {
  return {block_.get() + cursor_.position(), end_ - cursor_.position()};
}

KVSTORE_INLINE void JsonEntryReader::go_to(const JsonPosition& position) {
  base_ = position.offset;
  end_ = 0;
  cursor_ = JsonCursor{position.place};
  file_ended_ = false;
}

KVSTORE_INLINE void JsonEntryReader::refill() {
  make_room();
  const auto got = read_full(file_, base_ + end_, {block_.get() + end_, capacity_ - end_});
  if (got.error) throw StorageError{path_, got.error, "cannot read"};
  file_ended_ = got.value < capacity_ - end_;
  end_ += got.value;
}

KVSTORE_INLINE void JsonEntryReader::make_room() {
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

KVSTORE_INLINE std::uint32_t read_schema_version(const JsonEntry& entry) {
  JsonReader reader{entry.value};
  const auto version = reader.integer<std::uint32_t>();
  reader.finish();
  return version;
}

KVSTORE_INLINE bool read_in_parallel(JsonEntryReader& reader, File& file, const std::filesystem::path& path,
                                     std::size_t threads, LoadSink& sink, std::size_t range_bytes) {
  LineRanges ranges{file, reader.position().offset, reader.unread(), range_bytes};
  if (!ranges.can_cut()) return false;
  reader.go_to(ParallelLoad{ranges, path, threads, sink}.run());
  return true;
}

KVSTORE_INLINE void read_json_entries(File& file, const std::filesystem::path& path, std::size_t threads,
                                      LoadSink& sink, std::uint64_t file_bytes, std::size_t block_bytes) {
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

KVSTORE_INLINE std::uint64_t find_second(File& file, const std::filesystem::path& path, std::string_view key,
                                         std::size_t block_bytes) {
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
