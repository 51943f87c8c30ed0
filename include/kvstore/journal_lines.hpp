// SPDX-License-Identifier: MIT
#pragma once

// Reads a journal line by line, for tools that verify one or save what a damaged one still holds.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"

namespace kvstore { inline namespace v1 {

/// The lines of one journal that no store has open for writing. The file is only read.
///
/// *Thread safety*: none; one thread at a time.
///
/// ```cpp
/// kvstore::JournalLines lines{"data.json.journal"};
/// while (lines.next()) lines.read(handler);
/// ```
class JournalLines {
 public:
  /// Opens a journal. One that does not exist has no lines. @throws StorageError
  explicit JournalLines(const std::filesystem::path& file)
      : path_{file}, file_{detail::open_if_exists(detail::system_file_system(), file)} {
    if (file_) reader_.emplace(*file_, path_);
  }

  /// Whether the file exists.
  [[nodiscard]] bool exists() const noexcept { return file_ != nullptr; }

  /// Goes to the next line whose checksum is right; false where the lines end, which is the end of the file
  /// or what a crash has torn. @throws CorruptionError for damage before that end; StorageError
  bool next() {
    try {
      return reader_ && reader_->next(body_);
    } catch (const CorruptionError& error) {
      damage_ = error.offset();
      throw;
    }
  }

  /// After `next` has thrown CorruptionError: goes on behind the damaged line. @returns where that is
  std::uint64_t pass_damage() {
    damage_ = behind_line_feed(damage_);
    reader_.emplace(*file_, path_, damage_);
    return damage_;
  }

  /// Hands what the line says to `handler`. @throws ParseError with an offset behind `offset`
  void read(JournalHandler& handler) { detail::read_body(body_, handler, key_); }

  /// Where in the file the JSON of the line begins.
  [[nodiscard]] std::uint64_t offset() const noexcept { return reader_ ? reader_->body_offset() : 0; }
  /// Once `next` has returned false: where the lines end.
  [[nodiscard]] std::uint64_t end() const noexcept { return reader_ ? reader_->end() : 0; }
  /// How many bytes a crash has torn behind that end. A store drops them when it opens.
  [[nodiscard]] std::uint64_t torn_bytes() const noexcept { return reader_ ? reader_->torn_bytes() : 0; }

 private:
  [[nodiscard]] std::uint64_t behind_line_feed(std::uint64_t offset) const {
    std::vector<char> block(detail::kBlockBytes);
    while (true) {
      const auto got = detail::read_full(*file_, offset, block);
      const std::size_t feed = std::string_view{block.data(), got.value}.find('\n');
      if (feed != std::string_view::npos) return offset + feed + 1;
      offset += got.value;
      if (got.error || got.value == 0) return offset;
    }
  }

  std::filesystem::path path_;
  std::shared_ptr<detail::File> file_;
  std::optional<detail::JournalReader> reader_;
  std::string_view body_;
  std::string key_;
  std::uint64_t damage_ = 0;  // where `next` found it
};

}}  // namespace kvstore::v1
