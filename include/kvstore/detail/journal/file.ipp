// SPDX-License-Identifier: MIT
#pragma once

// The definitions of file.hpp.

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/contract/line_mask.hpp"
#include "kvstore/detail/contract/line_window.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE JournalFile::JournalFile(std::unique_ptr<File> file, std::string id, std::uint64_t end,
                                        std::uint64_t synced, const JournalSpace& space,
                                        std::shared_ptr<TailFile> tail)
    : file_{std::move(file)},
      space_{space},
      tail_{std::move(tail)},
      id_{std::move(id)},
      end_{end},
      synced_{synced} {}

KVSTORE_INLINE JournalFile::~JournalFile() {
  if (home_.is_foreign_by_id()) return;
  settle_window();
  file_->unlock();
}

KVSTORE_INLINE void JournalFile::add_lines(std::string_view lines) {
  const std::size_t before = lines_.size();
  try {
    body_.clear();
    write_separator(body_, claim_vouching());
    if (body_.size() > 1) {  // the first line vouches
      const std::string_view first = lines.substr(kCrcDigits + 1, lines.find('\n') - kCrcDigits - 1);
      const auto digits = crc_digits(crc32c(first, crc32c(body_.text())));
      lines_.raw({digits.data(), digits.size()});
      lines_.raw(body_.text());
      lines.remove_prefix(kCrcDigits + 1);
    }
    lines_.raw(lines);
  } catch (...) {
    lines_.truncate(before);
    throw;
  }
}

KVSTORE_INLINE std::uint64_t JournalFile::claim_vouching() noexcept {
  const std::uint64_t synced = this->synced();
  std::uint64_t vouched = vouched_.load(std::memory_order_relaxed);
  // Offsets must grow from line to line. The thread that syncs and the one that adds may both come here.
  const bool mine =
      synced > vouched && vouched_.compare_exchange_strong(vouched, synced, std::memory_order_relaxed);
  return mine ? synced : 0;
}

KVSTORE_INLINE void JournalFile::write_separator(JsonWriter& out, std::uint64_t vouched) {
  if (vouched != 0) {
    out.raw('|');
    out.integer(vouched);
  }
  out.raw(' ');
}

KVSTORE_INLINE bool JournalFile::prepare_window(FunctionRef<bool()> may_make) noexcept {
  try {
    const std::uint64_t end = this->end();
    if (window_ != nullptr) return false;  // lines are still coming, though it may be closed by now
    if (!is_worth_staging(end) || allocate(end, tail_->round())) return false;
    // Lines that have no place in the file would be acknowledged, and then lost to all but the tail's reader.
    if (end + tail_->round() > reserved_.load(std::memory_order_acquire)) return false;
    if (!settled_text_) settled_text_ = std::make_unique_for_overwrite<char[]>(tail_->round());
    return prepared_ = tail_->map(id_, may_make);
  } catch (...) {  // no memory
    return false;
  }
}

KVSTORE_INLINE bool JournalFile::open_window(LineWindow& window, std::string_view lines,
                                             std::uint64_t operations) noexcept {
  if (!std::exchange(prepared_, false)) return false;
  settled_ = end();
  const auto begin = static_cast<std::size_t>(settled_ % tail_->round());
  if (lines.size() > tail_->round() - begin) return false;
  round_at_ = settled_ - begin;
  const LineMask mask{number_of_id(id_), round_at_};
  // Before any thread can reserve: these operations are older than all that come through the window.
  copy_masked(lines, tail_->memory(), mask, begin);
  window_ = &window;
  last_operation_ = window.number() - static_cast<std::uint32_t>(operations);
  window.open(tail_->memory(), begin + lines.size(), mask);
  return true;
}

KVSTORE_INLINE void JournalFile::settle_window() noexcept {
  if (window_ == nullptr) return;
  const bool closed = !window_->is_open();  // asked first: lines may come until it is closed
  const LineWindow::Lines lines = window_->settled();
  operations_ += lines.last - std::exchange(last_operation_, lines.last);  // modulo 2^32
  settled_ = round_at_ + lines.bytes;
  if (closed) window_ = nullptr;
}

KVSTORE_INLINE std::error_code JournalFile::write_settled() {
  const std::uint64_t end = this->end();
  if (settled_ <= end) return {};
  const auto bytes = static_cast<std::size_t>(settled_ - end);
  const std::uint64_t at = end - round_at_;
  const LineMask mask{number_of_id(id_), round_at_};
  copy_unmasked({tail_->memory() + at, bytes}, settled_text_.get(), mask, at);
  if (const auto error = write_all(*file_, end, {settled_text_.get(), bytes})) return error;
  end_.store(settled_, std::memory_order_release);
  return {};
}

KVSTORE_INLINE void JournalFile::vouch(LineWindow& window) noexcept {
  if (!window.is_open()) return;  // a later line will
  const std::uint64_t before = vouched_.load(std::memory_order_relaxed);
  const std::uint64_t offset = claim_vouching();
  if (offset == 0) return;
  std::array<char, 32> line{'|'};  // without memory of its own, since the sync has succeeded
  char* const end = std::to_chars(line.data() + 1, line.data() + line.size(), offset).ptr;
  constexpr std::string_view kRest = " null\n";
  std::memcpy(end, kRest.data(), kRest.size());
  const std::string_view text{line.data(), static_cast<std::size_t>(end - line.data()) + kRest.size()};
  std::uint32_t last = 0;
  if (!window.put(SealedLine{text}.pieces(), 0, last)) vouched_.store(before, std::memory_order_relaxed);
}

KVSTORE_INLINE std::error_code JournalFile::flush() {
  settle_window();
  if (const auto error = write_settled()) return error;
  if (lines_.size() == 0) return {};
  prepared_ = false;
  const std::uint64_t end = this->end();
  if (const auto error = allocate(end, lines_.size())) return error;
  if (const auto error = write_all(*file_, end, lines_.text())) return error;
  end_.store(end + lines_.size(), std::memory_order_release);
  lines_.clear();
  for (JsonWriter* const buffer : {&body_, &lines_}) buffer->shrink(kKept);
  return {};
}

KVSTORE_INLINE std::error_code JournalFile::sync() {
  const std::uint64_t end = this->end();
  if (synced() >= end) return {};
  extend(end);
  if (const auto error = uninterrupted([&] { return file_->sync(); })) return error;
  last_batch_.store(end - synced(), std::memory_order_relaxed);
  synced_.store(end, std::memory_order_release);  // and the next line records it
  return {};
}

KVSTORE_INLINE void JournalFile::trim() {
  settle_window();
  const std::scoped_lock lock{extending_};
  prepared_ = false;
  if (!std::exchange(trimmed_, true)) static_cast<void>(file_->truncate(end()));
}

KVSTORE_INLINE void JournalFile::extend(std::uint64_t end) {
  if (end < space_.zero_from || last_batch_.load(std::memory_order_relaxed) >= space_.zero_batch) return;
  const std::scoped_lock lock{extending_};
  if (trimmed_) return;
  // Not below what lines may have been written to without space: zeros would overwrite them.
  const std::uint64_t from = std::max(asked_.load(std::memory_order_relaxed), end);
  const std::uint64_t step = std::clamp(end, space_.step, space_.zero_at_most);
  if (from - end > step / 2) return;
  const std::uint64_t target = round_up(end + step);
  if (uninterrupted([&] { return file_->allocate(from, target - from); })) return;
  // Page by page: zeros written in one piece would be kept in large folios of the page cache, and a sync
  // writes a folio whole even if only a single line was written to it.
  static constexpr std::array<char, 4096> kZeros{};
  for (std::uint64_t at = from; at < target;) {
    const std::uint64_t bytes = std::min(target - at, space_.page - at % space_.page);
    if (write_all(*file_, at, {kZeros.data(), static_cast<std::size_t>(bytes)})) return;
    at += bytes;
  }
  note_reserved(target);
}

KVSTORE_INLINE void JournalFile::note_reserved(std::uint64_t to) noexcept {
  reserved_.store(to, std::memory_order_release);
  asked_.store(std::max(to, asked_.load(std::memory_order_relaxed)), std::memory_order_release);
}

KVSTORE_INLINE std::uint64_t JournalFile::round_up(std::uint64_t bytes) const noexcept {
  return (bytes + space_.step - 1) / space_.step * space_.step;
}

KVSTORE_INLINE std::error_code JournalFile::allocate(std::uint64_t end, std::uint64_t bytes) {
  if (end + bytes <= asked_.load(std::memory_order_acquire)) return {};
  const std::scoped_lock lock{extending_};
  if (end + bytes <= asked_.load(std::memory_order_relaxed)) return {};
  const std::uint64_t step = std::clamp(end, space_.step, space_.allocate_at_most);
  const std::uint64_t target = round_up(end + std::max(bytes, step));
  const auto error = uninterrupted([&] { return file_->allocate(end, target - end); });
  if (!error) {
    note_reserved(target);
    return {};
  }
  // Near a full disk, a quota or a limit, the line itself may still fit.
  if (!only_reserving_failed(error)) return error;
  asked_.store(end + bytes, std::memory_order_release);
  return {};
}

KVSTORE_INLINE bool JournalFile::is_worth_staging(std::uint64_t end) const noexcept {
  // Before the header is on disk, a tail of this journal would be one without a journal after a power loss.
  const std::uint64_t synced = this->synced();
  const std::uint64_t batch = std::max(last_batch_.load(std::memory_order_relaxed), end - synced);
  return has_tail() && synced != 0 && batch >= space_.stage_from;
}

}}}  // namespace kvstore::v1::detail
