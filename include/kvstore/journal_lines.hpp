// SPDX-License-Identifier: MIT
#pragma once

// Reads a journal line by line, for tools that verify a journal or rescue the contents of a damaged one.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/journal_format.hpp"

namespace kvstore { inline namespace v1 {

/// The lines of one journal, which no store may have open for writing, with those of its tail. The files are
/// only read.
///
/// *Thread safety*: none; one thread at a time.
///
/// ```cpp
/// kvstore::JournalLines lines{"data.json.journal"};
/// while (lines.next()) lines.read(handler);
/// ```
class JournalLines {
 public:
  /// Opens a journal. A journal that does not exist has no lines. @throws StorageError
  explicit JournalLines(const std::filesystem::path& file)
      : path_{file}, file_{detail::open_if_exists(detail::system_file_system(), file)} {
    if (!file_) return;
    reader_.emplace(*file_, path_);
    const auto tail = detail::TailFile::path_beside(path_);
    tail_ = detail::open_if_exists(detail::system_file_system(), tail);
    if (tail_) reader_->use_tail(*tail_, tail);
  }

  /// Whether the file exists.
  [[nodiscard]] bool exists() const noexcept { return file_ != nullptr; }

  /// Goes to the next line with a correct checksum; false at the end of the lines, which is the end of the
  /// file or the beginning of an end torn by a crash. @throws CorruptionError for damage before that end;
  /// StorageError
  bool next() { return reader_ && reader_->next(body_); }

  /// Call after `next` has thrown CorruptionError: continues after the damaged line. If that line can be read
  /// and only does not fit its place, continues with this line, and reports no other of that kind. @returns
  /// the offset of the next line
  std::uint64_t pass_damage() { return reader_->pass_damage(); }

  /// Passes the contents of the line to `handler`. @throws ParseError with an offset relative to `offset`
  void read(JournalHandler& handler) { detail::read_body(body_, handler, key_); }

  /// The offset in the file at which the JSON of the line begins; of a line of the tail, the one that it will
  /// have.
  [[nodiscard]] std::uint64_t offset() const noexcept { return reader_ ? reader_->body_offset() : 0; }
  /// The offset at which the lines end, once `next` has returned false.
  [[nodiscard]] std::uint64_t end() const noexcept { return reader_ ? reader_->end() : 0; }
  /// The number of bytes after that end, which a crash has torn. A store drops them when it opens.
  [[nodiscard]] std::uint64_t torn_bytes() const noexcept { return reader_ ? reader_->torn_bytes() : 0; }
  /// The number of bytes of the tail after that end, up to its last good line. Between them a line is missing
  /// or damaged, so a store drops them too.
  [[nodiscard]] std::uint64_t torn_tail_bytes() const noexcept {
    return reader_ ? reader_->stray().text.size() : 0;
  }

 private:
  std::filesystem::path path_;
  std::shared_ptr<detail::File> file_;
  std::shared_ptr<detail::File> tail_;
  std::optional<detail::JournalReader> reader_;
  std::string_view body_;
  std::string key_;
};

}}  // namespace kvstore::v1
