// SPDX-License-Identifier: MIT
#pragma once

// A file that is one JSON object, entry by entry: written one a line, read in any shape that is valid JSON.
// Neither needs more memory than a block or the largest entry.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/codec.hpp"
#include "kvstore/detail/atomic_file.hpp"
#include "kvstore/detail/file_system.hpp"
#include "kvstore/detail/json_reader.hpp"
#include "kvstore/detail/json_scan.hpp"
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

/// One entry where it stands in its file.
struct JsonEntry {
  std::string_view key;          ///< unescaped
  std::string_view value;        ///< JSON text, not checked yet
  std::uint64_t key_offset = 0;  ///< in the file, of the opening quote
  std::uint64_t value_offset = 0;
};

/// Reads the entries of a file in order. Strict, but for what is inside the values: that is its caller's to
/// check. *Thread safety*: none.
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
    if (ended_) return false;
    if (!started_) start();
    if (!reach_key()) return finish();
    kept_ = position_;
    keeping_ = true;
    const bool plain = skip<string_end>("a key's closing quote");
    const std::size_t key_size = position_ - kept_;
    take(':', "':' after the key");
    skip_space();
    const std::size_t value_start = position_ - kept_;
    skip<value_end>("the end of a value");
    entry.key_offset = base_ + kept_;
    entry.value_offset = entry.key_offset + value_start;
    entry.key = key_text({block_.get() + kept_, key_size}, plain);
    entry.value = {block_.get() + kept_ + value_start, position_ - kept_ - value_start};
    keeping_ = false;
    return true;
  }

  [[noreturn]] void fail(std::uint64_t offset, const std::string& words) const {
    throw CorruptionError{path_, offset, words};
  }

 private:
  static constexpr int kEnd = -1;

  void start() {
    started_ = true;
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    while (end_ < kByteOrderMark.size() && refill()) {}
    if (unread().starts_with(kByteOrderMark)) position_ += kByteOrderMark.size();
    take('{', "'{' at the start of an object");
  }

  /// Stands at the next entry's opening quote, or returns false at the object's closing bracket.
  bool reach_key() {
    const bool first = std::exchange(first_, false);
    int byte = skip_space();
    if (byte == '}') return false;
    if (!first) {
      if (byte != ',') fail_here("',' or '}' after an entry");
      ++position_;
      byte = skip_space();
    }
    if (byte != '"') fail_here(first ? "a key in double quotes, or '}'" : "a key in double quotes");
    return true;
  }

  bool finish() {
    ++position_;
    if (skip_space() != kEnd) fail_here("nothing after the object's '}'");
    ended_ = true;
    return false;
  }

  /// Skips white space; returns the byte that follows it, unread, or `kEnd`.
  int skip_space() {
    while (true) {
      for (; position_ < end_; ++position_) {
        const char byte = block_[position_];
        if (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t') {
          return static_cast<unsigned char>(byte);
        }
      }
      if (!refill()) return kEnd;
    }
  }

  void take(char wanted, const char* words) {
    if (skip_space() != static_cast<unsigned char>(wanted)) fail_here(words);
    ++position_;
  }

  /// Moves past what `FindEnd` finds the end of, reading on until it does; returns its `plain`.
  template <JsonEnd (*FindEnd)(std::string_view, std::size_t)>
  bool skip(const char* words) {
    while (true) {
      const JsonEnd end = FindEnd({block_.get(), end_}, position_);
      if (end.outcome == JsonEnd::Outcome::malformed) {
        position_ = end.position;
        fail_here(end.expected);
      }
      if (end.outcome == JsonEnd::Outcome::complete) {
        position_ = end.position;
        return end.plain;
      }
      if (refill()) continue;
      position_ = end_;
      fail_here(words);
    }
  }

  /// `quoted` is the key as it stands in the file.
  std::string_view key_text(std::string_view quoted, bool plain) {
    if (plain) return quoted.substr(1, quoted.size() - 2);
    try {
      JsonReader reader{quoted};
      key_ = reader.string();
      return key_;
    } catch (const ParseError& error) { fail(base_ + kept_ + error.offset(), error.what()); }
  }

  [[nodiscard]] std::string_view unread() const { return {block_.get() + position_, end_ - position_}; }

  [[noreturn]] void fail_here(const std::string& expected) const {
    std::string words = "expected " + expected;
    if (position_ == end_) {
      words += ", found the end of the file";
    } else if (const char byte = block_[position_]; byte > ' ' && byte <= '~') {
      words += std::string{", found '"} + byte + "'";
    }
    fail(base_ + position_, words);
  }

  // ---- The window of the file that is in memory -------------------------------------------------------

  /// Reads on, dropping what is neither unread nor kept; false at the end of the file.
  bool refill() {
    if (file_ended_) return false;
    make_room();
    const auto got = read_full(file_, base_ + end_, {block_.get() + end_, capacity_ - end_});
    if (got.error) throw StorageError{path_, got.error, "cannot read"};
    file_ended_ = got.value < capacity_ - end_;
    end_ += got.value;
    return got.value != 0;
  }

  void make_room() {
    const std::size_t from = keeping_ ? kept_ : position_;
    const std::size_t size = end_ - from;
    if (size == capacity_) {  // one entry fills the block: from == 0
      auto larger = std::make_unique_for_overwrite<char[]>(capacity_ * 2);
      std::memcpy(larger.get(), block_.get(), size);
      block_ = std::move(larger);
      capacity_ *= 2;
      return;
    }
    std::memmove(block_.get(), block_.get() + from, size);
    base_ += from;
    position_ -= from;
    kept_ -= keeping_ ? from : kept_;
    end_ = size;
  }

  File& file_;
  std::filesystem::path path_;
  std::size_t capacity_;
  std::unique_ptr<char[]> block_;
  std::uint64_t base_ = 0;    // the file's offset of the block's first byte
  std::size_t end_ = 0;       // bytes in the block
  std::size_t position_ = 0;  // the next unread one
  std::size_t kept_ = 0;      // where the entry at hand begins
  bool keeping_ = false;      // whether there is one
  std::string key_;           // unescaped, where the file's text will not do
  bool started_ = false;
  bool first_ = true;
  bool ended_ = false;
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
