// SPDX-License-Identifier: MIT
#pragma once

// The definitions of reader.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/line.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The id in the first line of a journal; empty if that is no header, or of a version without a tail.
KVSTORE_INLINE std::string id_in_header(std::string_view body) {
  class Header final : public JournalHandler {
   public:
    void on_header(const JournalHeader& header) override {
      if (header.may_have_tail()) id = header.id;
    }
    void on_base(const BaseId&) override {}
    void on_change(const Change&) override {}
    void on_clear() override {}
    std::string id;
  };
  Header header;
  std::string key;
  try {
    read_body(body, header, key);
  } catch (const ParseError&) { return {}; }  // the handler of the lines meets the same
  return std::move(header.id);
}

KVSTORE_INLINE JournalReader::JournalReader(File& file, std::filesystem::path path, std::uint64_t from,
                                            JournalEnd tail, std::size_t block_bytes)
    : file_{file}, path_{std::move(path)}, tail_{tail}, block_bytes_{block_bytes}, base_{from}, next_{from} {}

KVSTORE_INLINE void JournalReader::go_on(std::uint64_t offset, std::uint64_t vouched) {
  next_ = offset;
  position_ = offset;
  base_ = offset;
  buffer_.clear();
  vouched_ = vouched;
  in_tail_ = false;
}

KVSTORE_INLINE void JournalReader::use_tail(File& tail, std::filesystem::path path, std::string id) {
  tail_file_ = &tail;
  tail_path_ = std::move(path);
  id_ = std::move(id);
}

KVSTORE_INLINE bool JournalReader::next(std::string_view& body) {
  position_ = next_;
  // A writer may move lines from the tail to the file, and put others in their place, between two looks. So
  // the end is where the file has no line although the tail was looked at before.
  for (bool had_tail = tail_file_ == nullptr;; had_tail = true) {
    const Line line = read_line();
    if (line.outcome == Line::Outcome::good || line.outcome == Line::Outcome::unreadable) {
      accept(line, body);
      return true;
    }
    if (in_tail_) {
      go_to_file();
      continue;
    }
    if (line.outcome != Line::Outcome::nothing) check_damage(line);
    if (had_tail) {
      find_stray();
      return false;
    }
    if (!go_to_tail()) go_to_file();
  }
}

KVSTORE_INLINE void JournalReader::accept(const Line& line, std::string_view& body) {
  if (checks_marks_) check_mark(line);
  body = line.body;
  body_offset_ = position_ + line.body_at;
  next_ = position_ + line.bytes;
  vouched_ = std::max(vouched_, line.synced);
  if (position_ == 0 && tail_file_ != nullptr) id_ = id_in_header(body);
}

KVSTORE_INLINE bool JournalReader::go_to_tail() {
  if (id_.empty()) return false;
  std::string text = read_tail(*tail_file_, tail_path_, id_, position_);
  if (text.empty()) return false;
  base_ = position_;
  buffer_.assign(text.begin(), text.end());
  staged_.push_back({position_, std::move(text)});
  return in_tail_ = true;
}

KVSTORE_INLINE void JournalReader::find_stray() {
  if (tail_ == JournalEnd::growing || tail_file_ == nullptr || id_.empty()) return;
  stray_ = stray_lines(*tail_file_, tail_path_, id_, position_);
  if (stray_.synced <= position_ || !checks_marks_) return;
  throw CorruptionError{path_, position_,
                        "expected more lines, which were synced once; the journal's tail has later ones"};
}

KVSTORE_INLINE void JournalReader::go_to_file() noexcept {
  in_tail_ = false;
  base_ = position_;
  buffer_.clear();
  torn_bytes_ = 0;
}

KVSTORE_INLINE void JournalReader::check_mark(const Line& line) {
  const auto refuse = [this](const std::string& expected) {
    throw CorruptionError{path_, position_, expected};
  };
  const auto refuse_mark = [&](const char* reason) {
    refuse("expected no mark of " + std::to_string(line.synced) + " synced bytes here, since " + reason);
  };
  if (line.outcome == Line::Outcome::unreadable)
    refuse("expected a number of synced bytes; the checksum fits, so another program has written this line");
  if (line.synced == 0) return;
  if (line.synced > position_) refuse_mark("fewer stand before it; lines were removed or moved");
  if (line.synced <= vouched_)
    refuse_mark("an earlier line has a mark of as many; lines were doubled or moved");
  if (!line_ends_at(line.synced)) refuse_mark("no line ends there; lines were removed, doubled or moved");
}

KVSTORE_INLINE bool JournalReader::line_ends_at(std::uint64_t offset) const {
  if (offset == position_) return true;
  char last = '\0';
  if (offset > base_) {
    last = buffer_[static_cast<std::size_t>(offset - base_) - 1];
  } else {
    const auto got = read_full(file_, offset - 1, {&last, 1});
    if (got.error) throw StorageError{path_, got.error, "cannot read"};
  }
  return last == '\n';
}

KVSTORE_INLINE auto JournalReader::read_line() -> Line {
  std::size_t searched = 0;
  while (true) {
    const std::string_view text = buffered();
    const bool at_zeros = !text.empty() && text.front() == '\0';
    if (at_zeros && tail_ == JournalEnd::judged) return zeros();
    const std::size_t newline = text.find('\n', searched);
    if (tail_ == JournalEnd::growing &&
        text.substr(0, newline).find('\0', searched) != std::string_view::npos)
      return {};
    if (newline != std::string_view::npos) return read_text(text.substr(0, newline));
    if (text.size() > kMaxLine + kRoomForFrame) return {Line::Outcome::bad, text.size(), 0, 0, {}};
    searched = text.size();
    if (!fetch()) break;
  }
  const std::size_t left = tail_ == JournalEnd::growing ? 0 : buffered().size();
  return {left == 0 ? Line::Outcome::nothing : Line::Outcome::bad, left, 0, 0, {}};
}

KVSTORE_INLINE auto JournalReader::zeros() -> Line {
  const std::string_view text = buffered();
  // Mostly all bytes are zeros, which memcmp finds out many bytes at a time.
  const bool all = std::memcmp(text.data(), text.data() + 1, text.size() - 1) == 0;
  const std::size_t count = all ? text.size() : text.find_first_not_of('\0');
  return {Line::Outcome::zeros, count, 0, 0, {}};
}

KVSTORE_INLINE auto JournalReader::read_text(std::string_view line) -> Line {
  Line result = parse_line(line);
  if (result.outcome == Line::Outcome::bad) result.text = line;
  return result;
}

KVSTORE_INLINE void JournalReader::check_damage(Line line) {
  const std::uint64_t bad = position_;
  if (synced_ahead_ <= bad) survey(line);
  if (synced_ahead_ <= bad) return;
  torn_bytes_ = 0;
  is_damaged_ = true;
  throw CorruptionError{path_, bad, "expected a line with a matching checksum, which was there once"};
}

KVSTORE_INLINE void JournalReader::survey(Line line) {
  const std::uint64_t bad = position_;
  std::uint64_t end = bad;  // of the last line
  for (; line.outcome != Line::Outcome::nothing; line = read_line()) {
    synced_ahead_ = std::max(synced_ahead_, believable_mark(line));
    if (line.outcome != Line::Outcome::zeros) torn_bytes_ += line.bytes;
    position_ += line.bytes;
    if (line.outcome != Line::Outcome::zeros) end = position_;
  }
  survey_tail(end);
  position_ = bad;
  base_ = bad;
  buffer_.clear();
}

KVSTORE_INLINE void JournalReader::survey_tail(std::uint64_t end) {
  if (tail_file_ == nullptr || id_.empty()) return;
  const std::string lines = read_tail(*tail_file_, tail_path_, id_, end);
  for (std::string_view text = lines; !text.empty();) {
    const std::size_t feed = text.find('\n');
    const Line line = parse_line(text.substr(0, feed));
    if (line.synced <= end) synced_ahead_ = std::max(synced_ahead_, line.synced);
    end += feed + 1;
    text.remove_prefix(feed + 1);
  }
}

KVSTORE_INLINE std::uint64_t JournalReader::pass_damage() {
  if (is_damaged_) {
    skip_line();
    vouched_ = 0;
  } else {
    checks_marks_ = false;  // the line itself can be read
  }
  is_damaged_ = false;
  return next_ = position_;
}

KVSTORE_INLINE void JournalReader::skip_line() {
  bool ended = false;
  while (!ended) {
    const Line line = read_line();
    if (line.outcome == Line::Outcome::nothing) return;
    ended = buffered()[line.bytes - 1] == '\n';
    position_ += line.bytes;
  }
}

KVSTORE_INLINE std::uint64_t JournalReader::believable_mark(const Line& line) const {
  if (line.outcome == Line::Outcome::good) return line.synced <= position_ ? line.synced : 0;
  std::uint64_t most = 0;
  std::string_view text = line.text;
  for (std::uint64_t at = position_;;) {
    const std::size_t end = end_of_first(text);
    const Line joined = parse_line(text.substr(0, end));
    if (joined.outcome != Line::Outcome::good) return most;
    if (joined.synced <= at) most = std::max(most, joined.synced);
    if (end == text.size()) return most;
    text.remove_prefix(end + 1);
    at += end + 1;
  }
}

KVSTORE_INLINE std::size_t JournalReader::end_of_first(std::string_view text) {
  const std::size_t space = text.substr(0, kRoomForFrame).find(' ');
  if (space == std::string_view::npos) return 0;
  JsonReader body{text.substr(space + 1)};
  try {
    body.skip_value();
  } catch (const ParseError&) { return 0; }
  return space + 1 + body.position();
}

KVSTORE_INLINE std::string_view JournalReader::buffered() const noexcept {
  const std::size_t skipped =
      static_cast<std::size_t>(std::min<std::uint64_t>(position_ - base_, buffer_.size()));
  return std::string_view{buffer_.data(), buffer_.size()}.substr(skipped);
}

KVSTORE_INLINE bool JournalReader::fetch() {
  if (in_tail_) return false;
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

KVSTORE_INLINE std::size_t JournalReader::room_at(std::uint64_t offset, std::size_t most) {
  if (tail_ == JournalEnd::growing) return most;
  const auto status = uninterrupted([&] { return file_.status(); });
  if (status.error) return most;
  const std::uint64_t left = status.value.size - std::min(status.value.size, offset);
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(left, std::min(kMinRoom, most), most));
}

}}}  // namespace kvstore::v1::detail
