// SPDX-License-Identifier: MIT
#pragma once

// Reads a journal line by line, and distinguishes a torn end from damage. A crash may tear the end: lines
// that no sync had covered may be missing, cut or overtaken by later ones. None of them was acknowledged as
// durable, so such an end is dropped. But if a later line records that a sync had covered the place, the
// place was damaged afterwards, and that is reported.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/line.hpp"
#include "kvstore/detail/journal/tail_file.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// How to treat the bytes after the last good line.
enum class JournalEnd {
  judged,   ///< torn by a crash, or damaged: all of it is examined
  growing,  ///< the writer is at work: the reader stops at zeros or at an incomplete line
};

class JournalReader {
 public:
  /// Begins at the line at offset `from`. `path` is for messages. Reads `block_bytes` at first, then twice as
  /// many each time, up to a full block.
  JournalReader(File& file, std::filesystem::path path, std::uint64_t from = 0,
                JournalEnd tail = JournalEnd::judged, std::size_t block_bytes = kBlockBytes);

  /// Fetches the body of the next good line; false after the last one. Views live until the next call.
  /// @throws CorruptionError for damage before that end, and for a good line whose mark does not fit its
  /// place; StorageError
  bool next(std::string_view& body);

  /// Reads lines that are missing in the file from `tail` as well, which outlives this object. `id` is the
  /// journal's; empty if the first line is still to be read.
  void use_tail(File& tail, std::filesystem::path path, std::string id = {});

  /// Continues with the line at `offset`. The lines before it were read in another way; the last one of their
  /// marks records `vouched` bytes as synced.
  void go_on(std::uint64_t offset, std::uint64_t vouched);

  /// Call after `next` has thrown CorruptionError, for a tool that saves what it can: goes on behind the
  /// damaged line. If only its mark does not fit, goes on with this line, and takes all such lines as good
  /// from now on.
  /// @returns the offset of the next line
  std::uint64_t pass_damage();

  /// The file that is read.
  [[nodiscard]] File& file() const noexcept { return file_; }
  /// Its path.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// The offset of the line that `next` reads.
  [[nodiscard]] std::uint64_t position() const noexcept { return next_; }
  /// The end of the good lines, once `next` has returned false.
  [[nodiscard]] std::uint64_t end() const noexcept { return position_; }
  /// The lines before that end which only the tail has.
  [[nodiscard]] std::vector<StagedLines>& staged() noexcept { return staged_; }
  /// What the tail has behind that end: dropped with the torn end, as a line before it is missing.
  [[nodiscard]] const StagedLines& stray() const noexcept { return stray_; }
  /// The number of bytes after that end, except for blocks of zeros.
  [[nodiscard]] std::uint64_t torn_bytes() const noexcept { return torn_bytes_; }
  /// The number of bytes of the file that a line recorded as synced.
  [[nodiscard]] std::uint64_t vouched() const noexcept { return vouched_; }
  /// Offset in the file of the last body fetched.
  [[nodiscard]] std::uint64_t body_offset() const noexcept { return body_offset_; }

 private:
  using Line = JournalLine;

  /// The line at `position_`.
  Line read_line();
  /// Passes on a good line.
  void accept(const Line& line, std::string_view& body);

  /// Goes on with the tail's lines from `position_` on; false if there are none.
  bool go_to_tail();
  /// Reads from the file again, from `position_` on.
  void go_to_file() noexcept;
  void find_stray();

  /// Zeros are not a line: the file was allocated ahead. They are skipped block by block.
  Line zeros();

  static Line read_text(std::string_view line);

  /// Requires that the mark of the good line at `position_` is one that a writer can have made there: of more
  /// bytes than any mark before it, which end a line, and stand before this one.
  void check_mark(const Line& line);
  /// Whether a line ends at `offset`, which is at most `position_`.
  [[nodiscard]] bool line_ends_at(std::uint64_t offset) const;

  /// Distinguishes damage from a torn end, which begins with this bad line. @throws CorruptionError
  void check_damage(Line line);
  /// Reads from a bad line to the end of the file, once for all damage behind it: finds `synced_ahead_`, and
  /// adds up the torn bytes.
  void survey(Line line);
  /// The same for the lines of the tail that belong behind those of the file, which end at `end`.
  void survey_tail(std::uint64_t end);

  /// Goes behind the next line feed.
  void skip_line();

  /// The most bytes that the line at `position_` records as synced; 0 for a mark of bytes after itself, about
  /// which it cannot know.
  ///
  /// A bad line may consist of good ones joined by damaged line feeds: a good line, one byte, a good line,
  /// and so on. The end of a line follows from its body, which is one JSON value: an array, an object or
  /// null. So there is only one way to split a text. Each byte is read once as JSON and once for its
  /// checksum, and the time is linear. A value cannot fake an inner line either: it is inside the array of
  /// its step, which ends where the line does.
  [[nodiscard]] std::uint64_t believable_mark(const Line& line) const;

  /// The end of the body of the line with which `text` begins; 0 if there is none.
  [[nodiscard]] static std::size_t end_of_first(std::string_view text);

  /// The text in memory from `position_` on.
  [[nodiscard]] std::string_view buffered() const noexcept;

  /// Reads one more block, and keeps the text from `position_` on; false at the end of the file.
  bool fetch();

  /// The number of bytes to make room for: `most`, or the rest of the file if that is less, since room costs
  /// time in proportion.
  [[nodiscard]] std::size_t room_at(std::uint64_t offset, std::size_t most);

  static constexpr std::size_t kMinRoom = 512;

  File& file_;
  std::filesystem::path path_;
  JournalEnd tail_;
  std::size_t block_bytes_;
  std::vector<char> buffer_;
  std::uint64_t base_ = 0;      // offset in the file of the buffer's start
  std::uint64_t position_ = 0;  // of the current line
  std::uint64_t next_ = 0;      // of the next line
  std::uint64_t body_offset_ = 0;
  std::uint64_t torn_bytes_ = 0;
  std::uint64_t vouched_ = 0;
  std::uint64_t synced_ahead_ = 0;  // the most bytes that a line behind the first bad one records as synced
  File* tail_file_ = nullptr;
  std::filesystem::path tail_path_;
  std::string id_;
  std::vector<StagedLines> staged_;
  StagedLines stray_;
  bool in_tail_ = false;  // the buffer has lines of the tail
  bool checks_marks_ = true;
  bool is_damaged_ = false;  // `next` has thrown for a line that cannot be read
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/reader.ipp"
#endif
