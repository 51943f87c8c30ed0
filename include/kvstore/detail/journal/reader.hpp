// SPDX-License-Identifier: MIT
#pragma once

// Reads a journal line by line, and distinguishes a torn end from damage. A crash may tear the end: lines
// that no sync had covered may be missing, cut or overtaken by later ones. None of them was acknowledged as
// durable, so such an end is dropped. But if a later line records that a sync had covered the place, the
// place was damaged afterwards, and that is reported.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// How to treat the bytes after the last good line.
enum class JournalTail {
  judged,   ///< torn by a crash, or damaged: all of it is examined
  growing,  ///< the writer is at work: the reader stops at zeros or at an incomplete line
};

class JournalReader {
 public:
  /// Begins at the line at offset `from`. `path` is for messages. Reads `block_bytes` at first, then twice as
  /// many each time, up to a full block.
  JournalReader(File& file, std::filesystem::path path, std::uint64_t from = 0,
                JournalTail tail = JournalTail::judged, std::size_t block_bytes = kBlockBytes)
      : file_{file},
        path_{std::move(path)},
        tail_{tail},
        block_bytes_{block_bytes},
        base_{from},
        next_{from} {}

  /// Fetches the body of the next good line; false after the last one. Views live until the next call.
  /// @throws CorruptionError for damage before that end; StorageError
  bool next(std::string_view& body) {
    position_ = next_;
    const Line line = read_line();
    if (line.outcome == Line::Outcome::good) {
      body = line.body;
      body_offset_ = position_ + line.body_at;
      next_ = position_ + line.bytes;
      vouched_ = std::max(vouched_, line.synced);
      return true;
    }
    if (line.outcome != Line::Outcome::nothing) check_damage(line);
    return false;
  }

  /// The end of the good lines, once `next` has returned false.
  [[nodiscard]] std::uint64_t end() const noexcept { return position_; }
  /// The number of bytes after that end, except for blocks of zeros.
  [[nodiscard]] std::uint64_t torn_bytes() const noexcept { return torn_bytes_; }
  /// The number of bytes of the file that a line recorded as synced.
  [[nodiscard]] std::uint64_t vouched() const noexcept { return vouched_; }
  /// Offset in the file of the last body fetched.
  [[nodiscard]] std::uint64_t body_offset() const noexcept { return body_offset_; }

 private:
  struct Line {
    enum class Outcome { good, bad, zeros, nothing };
    Outcome outcome = Outcome::nothing;
    std::size_t bytes = 0;     // with the newline, or up to the point where the search gave up
    std::uint64_t synced = 0;  // the offset that its mark records as synced; 0 = no mark
    std::size_t body_at = 0;   // offset of the body in the line
    std::string_view body;
    std::string_view text = {};  // of a bad line, as far as it was read
  };

  /// The line at `position_`.
  Line read_line() {
    std::size_t searched = 0;
    while (true) {
      const std::string_view text = buffered();
      const bool at_zeros = !text.empty() && text.front() == '\0';
      if (at_zeros && tail_ == JournalTail::judged) return zeros();
      const std::size_t newline = text.find('\n', searched);
      if (tail_ == JournalTail::growing &&
          text.substr(0, newline).find('\0', searched) != std::string_view::npos)
        return {};
      if (newline != std::string_view::npos) return read_text(text.substr(0, newline));
      if (text.size() > kMaxLine + kRoomForFrame) return {Line::Outcome::bad, text.size(), 0, 0, {}};
      searched = text.size();
      if (!fetch()) break;
    }
    const std::size_t left = tail_ == JournalTail::growing ? 0 : buffered().size();
    return {left == 0 ? Line::Outcome::nothing : Line::Outcome::bad, left, 0, 0, {}};
  }

  /// Zeros are not a line: the file was allocated ahead. They are skipped block by block.
  Line zeros() {
    const std::string_view text = buffered();
    // Mostly all bytes are zeros, which memcmp finds out many bytes at a time.
    const bool all = std::memcmp(text.data(), text.data() + 1, text.size() - 1) == 0;
    const std::size_t count = all ? text.size() : text.find_first_not_of('\0');
    return {Line::Outcome::zeros, count, 0, 0, {}};
  }

  static Line read_text(std::string_view line) {
    Line result = parse(line);
    if (result.outcome == Line::Outcome::bad) result.text = line;
    return result;
  }

  static Line parse(std::string_view line) {
    Line result{Line::Outcome::bad, line.size() + 1, 0, 0, {}};
    if (line.size() <= kCrcDigits || line.size() > kMaxLine + kRoomForFrame) return result;
    const auto crc = parse_crc(line.substr(0, kCrcDigits));
    const std::string_view rest = line.substr(kCrcDigits);
    if (!crc || *crc != crc32c(rest)) return result;
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return result;
    if (space != 0) {
      const char* const end = rest.data() + space;
      const auto parsed = std::from_chars(rest.data() + 1, end, result.synced);
      if (rest.front() != '|' || parsed.ec != std::errc{} || parsed.ptr != end) return result;
    }
    result.outcome = Line::Outcome::good;
    result.body_at = kCrcDigits + space + 1;
    result.body = rest.substr(space + 1);
    return result;
  }

  /// Searches after a bad line for one that records this place as synced.
  void check_damage(Line line) {
    const std::uint64_t bad = position_;
    for (; line.outcome != Line::Outcome::nothing; line = read_line()) {
      if (vouches(line, bad)) {
        throw CorruptionError{path_, bad, "expected a line with a matching checksum, which was there once"};
      }
      if (line.outcome != Line::Outcome::zeros) torn_bytes_ += line.bytes;
      position_ += line.bytes;
    }
    position_ = bad;
  }

  /// Whether the line at `position_` records that the byte at `offset` had been synced.
  [[nodiscard]] bool vouches(const Line& line, std::uint64_t offset) const {
    return line.outcome == Line::Outcome::good ? vouches(line.synced, position_, offset)
                                               : joined_vouch(line.text, offset);
  }
  /// A line at `at` cannot know about syncs of bytes after itself.
  static bool vouches(std::uint64_t synced, std::uint64_t at, std::uint64_t offset) {
    return synced > offset && synced <= at;
  }

  /// The same for a bad line, which may consist of good ones joined by damaged line feeds: a good line, one
  /// byte, a good line, and so on.
  ///
  /// The end of a line follows from its body, which is one JSON value: an array, an object or null. So there
  /// is only one way to split a text. Each byte is read once as JSON and once for its checksum, and the time
  /// is linear. A value cannot fake an inner line either: it is inside the array of its step, which ends
  /// where the line does.
  [[nodiscard]] bool joined_vouch(std::string_view text, std::uint64_t offset) const {
    for (std::uint64_t at = position_;;) {
      const std::size_t end = end_of_first(text);
      const Line line = parse(text.substr(0, end));
      if (line.outcome != Line::Outcome::good) return false;
      if (vouches(line.synced, at, offset)) return true;
      if (end == text.size()) return false;
      text.remove_prefix(end + 1);
      at += end + 1;
    }
  }

  /// The end of the body of the line with which `text` begins; 0 if there is none.
  [[nodiscard]] static std::size_t end_of_first(std::string_view text) {
    const std::size_t space = text.substr(0, kRoomForFrame).find(' ');
    if (space == std::string_view::npos) return 0;
    JsonReader body{text.substr(space + 1)};
    try {
      body.skip_value();
    } catch (const ParseError&) { return 0; }
    return space + 1 + body.position();
  }

  /// The text in memory from `position_` on.
  [[nodiscard]] std::string_view buffered() const noexcept {
    const std::size_t skipped =
        static_cast<std::size_t>(std::min<std::uint64_t>(position_ - base_, buffer_.size()));
    return std::string_view{buffer_.data(), buffer_.size()}.substr(skipped);
  }

  /// Reads one more block, and keeps the text from `position_` on; false at the end of the file.
  bool fetch() {
    const std::size_t kept = buffered().size();
    if (kept != 0) std::memmove(buffer_.data(), buffer_.data() + (buffer_.size() - kept), kept);
    const std::uint64_t offset = position_ + kept;
    base_ = position_;
    // Doubles the size, so that a long line is copied O(1) times.
    buffer_.resize(kept + room_at(offset, std::max(block_bytes_, kept)));
    const auto got = read_full(file_, offset, {buffer_.data() + kept, buffer_.size() - kept});
    buffer_.resize(kept + (got.error ? 0 : got.value));
    if (got.error) throw StorageError{path_, got.error, "cannot read"};
    block_bytes_ = std::max(block_bytes_, std::min(2 * block_bytes_, kBlockBytes));
    return got.value != 0;
  }

  /// The number of bytes to make room for: `most`, or the rest of the file if that is less, since room costs
  /// time in proportion.
  [[nodiscard]] std::size_t room_at(std::uint64_t offset, std::size_t most) {
    if (tail_ == JournalTail::growing) return most;
    const auto status = uninterrupted([&] { return file_.status(); });
    if (status.error) return most;
    const std::uint64_t left = status.value.size - std::min(status.value.size, offset);
    return static_cast<std::size_t>(std::clamp<std::uint64_t>(left, std::min(kMinRoom, most), most));
  }

  static constexpr std::size_t kMinRoom = 512;
  static constexpr std::size_t kRoomForFrame = 64;

  File& file_;
  std::filesystem::path path_;
  JournalTail tail_;
  std::size_t block_bytes_;
  std::vector<char> buffer_;
  std::uint64_t base_ = 0;      // offset in the file of the buffer's start
  std::uint64_t position_ = 0;  // of the current line
  std::uint64_t next_ = 0;      // of the next line
  std::uint64_t body_offset_ = 0;
  std::uint64_t torn_bytes_ = 0;
  std::uint64_t vouched_ = 0;
};

}}}  // namespace kvstore::v1::detail
