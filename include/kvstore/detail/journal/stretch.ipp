// SPDX-License-Identifier: MIT
#pragma once

// The definitions of stretch.hpp.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/line.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/journal/stretch.hpp"
#include "kvstore/journal_format.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE StretchLines StretchReader::read(bool at_line, JournalHandler& handler) noexcept {
  try {
    found_.good = read_lines(at_line, handler);
  } catch (...) { found_.good = false; }  // the JournalReader meets the same, and knows how to tell it
  return found_;
}

KVSTORE_INLINE bool StretchReader::read_lines(bool at_line, JournalHandler& handler) {
  base_ = at_line ? begin_ : begin_ - 1;
  buffer_.clear();
  if (!fetch(static_cast<std::size_t>(end_ - base_) + kUsualRest)) return false;
  found_.from = first_line(at_line);
  for (std::uint64_t offset = found_.from; offset < end_; offset = found_.end) {
    std::string_view text;
    if (!find_line(offset, text)) return false;
    const JournalLine line = parse_line(text);
    if (line.outcome != JournalLine::Outcome::good || !fits(line, offset)) return false;
    read_body(line.body, handler, key_);
    found_.end = offset + line.bytes;
  }
  return true;
}

KVSTORE_INLINE std::uint64_t StretchReader::first_line(bool at_line) {
  if (at_line) return begin_;
  const std::size_t feed = text_from(base_).substr(0, static_cast<std::size_t>(end_ - base_)).find('\n');
  return feed == std::string_view::npos ? end_ : base_ + feed + 1;
}

KVSTORE_INLINE bool StretchReader::find_line(std::uint64_t offset, std::string_view& line) {
  std::size_t searched = 0;
  while (true) {
    const std::string_view text = text_from(offset);
    const std::size_t feed = text.find('\n', searched);
    if (feed != std::string_view::npos) {
      line = text.substr(0, feed);
      return true;
    }
    searched = text.size();
    if (buffer_.size() > kMaxStretches * (end_ - begin_) || !fetch(buffer_.size())) return false;
  }
}

KVSTORE_INLINE bool StretchReader::fits(const JournalLine& line, std::uint64_t offset) {
  if (line.synced == 0) return true;
  if (line.synced > offset || line.synced <= found_.last_mark || !line_ends_at(line.synced)) return false;
  if (found_.first_mark == 0) found_.first_mark = line.synced;
  found_.last_mark = line.synced;
  return true;
}

KVSTORE_INLINE bool StretchReader::line_ends_at(std::uint64_t offset) {
  if (offset > base_) return text_from(offset - 1).front() == '\n';
  char last = '\0';
  const auto got = read_full(file_, offset - 1, {&last, 1});
  return !got.error && last == '\n';
}

KVSTORE_INLINE bool StretchReader::fetch(std::size_t bytes) {
  const std::size_t had = buffer_.size();
  buffer_.resize(had + bytes);
  const auto got = read_full(file_, base_ + had, {buffer_.data() + had, bytes});
  buffer_.resize(had + got.value);
  return !got.error && got.value != 0;
}

KVSTORE_INLINE std::string_view StretchReader::text_from(std::uint64_t offset) const noexcept {
  return std::string_view{buffer_.data(), buffer_.size()}.substr(static_cast<std::size_t>(offset - base_));
}

/// Reads `lines.size()` stretches from offset `begin` on, each into its slot.
KVSTORE_INLINE void read_slots(File& file, std::uint64_t begin, StretchTarget& target,
                               std::vector<StretchLines>& lines, const JournalThreads& threads) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::vector<char>> buffers(threads.count);
  for_each_index(threads.count, threads.count, [&](std::size_t thread) {
    for (std::size_t slot = 0; (slot = next.fetch_add(1, std::memory_order_relaxed)) < lines.size();) {
      JournalHandler& handler = target.begin(slot);
      const std::uint64_t from = begin + slot * threads.stretch_bytes;
      StretchReader reader{file, from, from + threads.stretch_bytes, buffers[thread]};
      lines[slot] = reader.read(slot == 0, handler);
    }
  });
}

/// The number of stretches that count, of those that follow the lines before `end`, whose marks record up to
/// `vouched` bytes as synced. Moves both behind them.
KVSTORE_INLINE std::size_t count_good(const std::vector<StretchLines>& all, std::uint64_t& end,
                                      std::uint64_t& vouched) {
  std::size_t count = 0;
  for (const StretchLines& lines : all) {
    if (!lines.good || (lines.end != 0 && lines.from != end)) break;
    if (lines.first_mark != 0 && lines.first_mark <= vouched) break;
    if (lines.end != 0) end = lines.end;
    vouched = std::max(vouched, lines.last_mark);
    ++count;
  }
  return count;
}

KVSTORE_INLINE std::uint64_t read_stretches(JournalReader& reader, StretchTarget& target,
                                            const JournalThreads& threads) {
  constexpr std::size_t kSlotsPerThread = 32;
  constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t bytes = uninterrupted([&] { return reader.file().status(); }).value.size;
  const std::size_t most = kSlotsPerThread * threads.count;
  std::uint64_t end = reader.position();
  std::uint64_t vouched = reader.vouched();
  const auto left = [&] { return bytes - std::min(bytes, end); };
  if (left() < threads.worth_bytes) return kNever;
  while (left() >= threads.stretch_bytes) {
    const std::uint64_t slots = std::min<std::uint64_t>(left() / threads.stretch_bytes, most);
    std::vector<StretchLines> lines(static_cast<std::size_t>(slots));
    target.reserve(lines.size());
    read_slots(reader.file(), end, target, lines, threads);
    const std::size_t good = count_good(lines, end, vouched);
    target.take(good);
    reader.go_on(end, vouched);
    if (good != lines.size()) return end + most * threads.stretch_bytes;
  }
  return kNever;
}

}}}  // namespace kvstore::v1::detail
