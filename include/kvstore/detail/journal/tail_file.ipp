// SPDX-License-Identifier: MIT
#pragma once

// The definitions of tail_file.hpp.

#include <algorithm>
#include <array>
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
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/contract/line_mask.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/rights.hpp"
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
  return id.size() == 16 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
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

KVSTORE_INLINE bool TailFile::map(FunctionRef<bool()> may_make) noexcept {
  constexpr unsigned kCalls = 1024;
  if (mapping_) return true;
  if (calls_until_next_ != 0 && --calls_until_next_ != 0) return false;
  calls_until_next_ = kCalls;
  try {
    if (may_make()) make();
  } catch (...) {  // no memory
  }
  return mapping_ != nullptr;
}

KVSTORE_INLINE void TailFile::make() {
  may_exist_ = true;
  auto made = make_file(files_, name_, side_rights(store_rights(files_, store_)));
  if (made.error == std::errc::file_exists) may_exist_ = false;  // somebody else's
  if (made.error) return;
  // Where space cannot be reserved, a store through the mapping might meet a full disk, and a signal.
  if (!uninterrupted([&] { return made.value->allocate(0, bytes_); }))
    mapping_ = made.value->map(0, bytes_).value;
  if (!mapping_) {
    made.value.reset();
    return static_cast<void>(files_.remove(name_));
  }
  std::copy_n(kTailMark.data(), kTailMark.size(), mapping_->bytes().data());
  const std::scoped_lock lock{exchanging_};
  file_ = std::move(made.value);
}

KVSTORE_INLINE std::shared_ptr<File> TailFile::file() const {
  const std::scoped_lock lock{exchanging_};
  return file_;
}

KVSTORE_INLINE void TailFile::unmap() noexcept {
  mapping_.reset();
  calls_until_next_ = 0;
  const std::scoped_lock lock{exchanging_};
  file_.reset();
}

KVSTORE_INLINE bool TailFile::has_name() const {
  const auto file = this->file();
  if (!file) return true;
  const auto mine = uninterrupted([&] { return file->status(); });
  const auto named = uninterrupted([&] { return files_.status(name_); });
  return !mine.error && !named.error && mine.value.inode == named.value.inode &&
         mine.value.device == named.value.device;
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

KVSTORE_INLINE bool is_tail(File& file, const std::filesystem::path& path) {
  const auto status = uninterrupted([&] { return file.status(); });
  if (status.error) throw StorageError{path, status.error, "cannot look at it"};
  if (status.value.size > kMaxTail) return false;
  std::array<char, kTailMark.size()> head{};
  const auto got = read_full(file, 0, head);
  if (got.error) throw StorageError{path, got.error, "cannot read"};
  // Of sectors that had not arrived, zeros are left.
  return std::equal(head.begin(), head.begin() + static_cast<std::ptrdiff_t>(got.value), kTailMark.begin(),
                    [](char found, char written) { return found == written || found == '\0'; });
}

}}}  // namespace kvstore::v1::detail
