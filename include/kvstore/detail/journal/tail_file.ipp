// SPDX-License-Identifier: MIT
#pragma once

// The definitions of tail_file.hpp.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/hex.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/contract/line_mask.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/detail/file/side_file.hpp"
#include "kvstore/detail/journal/line.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE std::uint64_t number_of_id(std::string_view id) noexcept {
  std::uint64_t number = 0;
  std::from_chars(id.data(), id.data() + id.size(), number, 16);
  return number;
}

KVSTORE_INLINE bool is_tail_id(std::string_view id) noexcept {
  return id.size() == 16 && id.find_first_not_of(kHexDigits) == std::string_view::npos;
}

/// The end of the line with which `lines` begin, masked or not: its digits may look like a line feed.
KVSTORE_INLINE std::size_t end_of_line(std::string_view lines) noexcept {
  return lines.find('\n', kCrcDigits) + 1;
}

KVSTORE_INLINE void copy_masked(std::string_view lines, char* memory, const LineMask& mask,
                                std::uint64_t position) noexcept {
  copy_unmasked(lines, memory + position, mask, position);  // the same numbers mask and unmask
}

KVSTORE_INLINE void copy_unmasked(std::string_view masked, char* lines, const LineMask& mask,
                                  std::uint64_t position) noexcept {
  std::copy_n(masked.data(), masked.size(), lines);
  while (const std::size_t bytes = end_of_line(masked)) {
    mask.turn(lines, position);
    masked.remove_prefix(bytes);
    lines += bytes;
    position += bytes;
  }
}

KVSTORE_INLINE bool TailFile::map(std::string_view id, FunctionRef<bool()> may_make) noexcept {
  constexpr unsigned kCalls = 1024;
  const std::unique_lock lock{held_, std::try_to_lock};
  if (!lock) return false;
  if (mapping_ && label_ == number_of_id(id)) return true;
  if (calls_until_next_ != 0 && --calls_until_next_ != 0) return false;
  calls_until_next_ = kCalls;
  try {
    if (!mapping_ && may_make()) make();
    return mapping_ && !write_label(id);
  } catch (...) {  // no memory
    return false;
  }
}

KVSTORE_INLINE void TailFile::make() {
  const bool may_be_ours = std::exchange(may_exist_, true);
  auto made = make_file(files_, name_, side_rights(store_rights(files_, store_)));
  if (made.error == std::errc::file_exists) may_exist_ = may_be_ours;  // a removal may have failed
  if (made.error) return;
  // Where space cannot be reserved, a store through the mapping might meet a full disk, and a signal.
  if (!uninterrupted([&] { return made.value->allocate(0, bytes_); }))
    mapping_ = made.value->map(0, bytes_).value;
  if (!mapping_) {
    made.value.reset();
    return static_cast<void>(files_.remove(name_));
  }
  const std::scoped_lock lock{exchanging_};
  file_ = std::move(made.value);
}

KVSTORE_INLINE std::error_code TailFile::write_label(std::string_view id) {
  const auto file = this->file();
  label_.reset();
  if (const auto error = write_all(*file, 0, tail_head(id, round()))) return error;
  if (const auto error = uninterrupted([&] { return file->sync(); })) return error;
  label_ = number_of_id(id);
  calls_until_next_ = 0;
  return {};
}

KVSTORE_INLINE std::shared_ptr<File> TailFile::file() const {
  const std::scoped_lock lock{exchanging_};
  return file_;
}

KVSTORE_INLINE void TailFile::unmap() noexcept {
  mapping_.reset();
  label_.reset();
  calls_until_next_ = 0;
  const std::scoped_lock lock{exchanging_};
  file_.reset();
}

KVSTORE_INLINE bool TailFile::has_name() const {
  const auto file = this->file();
  if (!file) return true;
  const auto mine = uninterrupted([&] { return file->identity(); });
  const auto named = uninterrupted([&] { return files_.identity(name_); });
  for (const auto& status : {mine, named}) {
    if (status.error) throw StorageError{name_, status.error, "cannot look at it"};
  }
  return mine.value.inode == named.value.inode && mine.value.device == named.value.device;
}

KVSTORE_INLINE void TailFile::renew_rights() const {
  const auto file = this->file();
  if (file) static_cast<void>(give_rights(*file, side_rights(store_rights(files_, store_))));
}

KVSTORE_INLINE std::string read_tail(File& tail, const std::filesystem::path& path, std::string_view id,
                                     std::uint64_t from) {
  const auto status = uninterrupted([&] { return tail.status(); });
  if (status.error) throw StorageError{path, status.error, "cannot look at it"};
  if (status.value.size <= kTailHead || status.value.size > kMaxTail) return {};
  const std::uint64_t round = status.value.size - kTailHead;
  const std::uint64_t begin = from % round;
  const LineMask mask{number_of_id(id), from - begin};
  std::string lines;
  std::size_t end = 0;  // of the good ones
  for (std::size_t block = 512;; block *= 2) {
    const std::size_t had = lines.size();
    lines.resize(static_cast<std::size_t>(std::min<std::uint64_t>(round - begin, had + block)));
    const auto got = read_full(tail, kTailHead + begin + had, {lines.data() + had, lines.size() - had});
    if (got.error) throw StorageError{path, got.error, "cannot read"};
    lines.resize(had + got.value);
    while (const std::size_t bytes = end_of_line(std::string_view{lines}.substr(end))) {
      mask.turn(lines.data() + end, begin + end);
      const auto line = parse_line(std::string_view{lines}.substr(end, bytes - 1));
      if (line.outcome != JournalLine::Outcome::good) return lines.substr(0, end);
      end += bytes;
    }
    if (got.value == 0) return lines.substr(0, end);
  }
}

inline constexpr std::size_t kMostBytesTried = std::size_t{64} << 20;

/// Takes the mask from the line at `at` of a round's `text`, which begins at `begin`, if that makes it a good
/// one.
KVSTORE_INLINE JournalLine unmasked_line(std::string& text, std::size_t at, const LineMask& mask,
                                         std::uint64_t begin) {
  const std::size_t bytes = end_of_line(std::string_view{text}.substr(at));
  if (bytes == 0) return {JournalLine::Outcome::bad, 0, 0, 0, {}};
  mask.turn(text.data() + at, begin + at);
  auto line = parse_line(std::string_view{text}.substr(at, bytes - 1));
  line.bytes = bytes;
  if (line.outcome != JournalLine::Outcome::good) mask.turn(text.data() + at, begin + at);
  return line;
}

/// The next place from `at` on where a line may begin: its digits are followed by what follows them in every
/// line. A line feed need not stand before it, since that may be what was damaged.
KVSTORE_INLINE std::size_t next_start(std::string_view text, std::size_t at) noexcept {
  for (; at + kCrcDigits + 1 < text.size(); ++at) {
    const char separator = text[at + kCrcDigits];
    const char next = text[at + kCrcDigits + 1];
    if ((separator == ' ' && next == '[') || (separator == '|' && next >= '0' && next <= '9')) return at;
  }
  return text.size();
}

KVSTORE_INLINE StagedLines stray_lines(File& tail, const std::filesystem::path& path, std::string_view id,
                                       std::uint64_t from) {
  const auto status = uninterrupted([&] { return tail.status(); });
  if (status.error) throw StorageError{path, status.error, "cannot look at it"};
  if (status.value.size <= kTailHead || status.value.size > kMaxTail) return {};
  const std::uint64_t round = status.value.size - kTailHead;
  const std::uint64_t begin = from % round;
  const LineMask mask{number_of_id(id), from - begin};
  std::string text(static_cast<std::size_t>(round - begin), '\0');
  const auto got = read_full(tail, kTailHead + begin, text);
  if (got.error) throw StorageError{path, got.error, "cannot read"};
  text.resize(got.value);
  std::uint64_t synced = 0;
  std::size_t end = 0;                     // of the last good line
  std::size_t patience = kMostBytesTried;  // for text made to delay the store
  for (std::size_t at = 0; at < text.size() && patience != 0;) {
    const auto line = unmasked_line(text, at, mask, begin);
    if (line.outcome == JournalLine::Outcome::good) {
      synced = std::max(synced, line.synced);
      end = at += line.bytes;
    } else {
      patience -= std::min(patience, line.bytes + 1);
      at = next_start(text, at + 1);
    }
  }
  text.resize(end);
  return {from, std::move(text), synced};
}

KVSTORE_INLINE std::unique_ptr<File> open_tail(FileSystem& files, const std::filesystem::path& store) {
  const auto name = TailFile::path_for(store);
  const auto kind = uninterrupted([&] { return files.status(name); }).value.kind;
  if (kind != FileKind::regular && kind != FileKind::missing) throw StorageError{name, {}, kNotOurs};
  return open_side_file(files, store, name);
}

KVSTORE_INLINE std::string tail_head(std::string_view id, std::uint64_t round) {
  std::string number = std::to_string(round);
  number.insert(0, 16 - number.size(), '0');
  std::string head{kTailMark};
  head.append(id).append(", a round of ").append(number).append(" bytes");
  head.resize(kTailHead - 1, ' ');
  return head += '\n';
}

KVSTORE_INLINE TailHead read_tail_head(File& file, const std::filesystem::path& path) {
  constexpr std::size_t kIdBytes = 16;  // at a multiple of the smallest sector: it is old or new, as a whole
  const auto status = uninterrupted([&] { return file.status(); });
  if (status.error) throw StorageError{path, status.error, "cannot look at it"};
  const std::uint64_t size = status.value.size;
  if (size > kMaxTail) return {TailHead::Kind::other};
  std::string found(kTailHead, '\0');
  const auto got = read_full(file, 0, found);
  if (got.error) throw StorageError{path, got.error, "cannot read"};
  const std::string zeros = tail_head(std::string(kIdBytes, '0'), 0);
  for (std::size_t i = 0; i < kTailHead; ++i) {
    const bool fits =
        zeros[i] == '0' ? kHexDigits.find(found[i]) != std::string_view::npos : found[i] == zeros[i];
    if (!fits && found[i] != '\0') return {TailHead::Kind::other};
  }
  if (found.find('\0') != std::string::npos) return {TailHead::Kind::blank};
  std::string id = found.substr(kTailMark.size(), kIdBytes);
  const bool is_whole = size > kTailHead && found == tail_head(id, size - kTailHead);
  return {TailHead::Kind::labelled, std::move(id), is_whole, size};
}

}}}  // namespace kvstore::v1::detail
