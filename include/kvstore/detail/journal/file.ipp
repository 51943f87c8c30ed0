// SPDX-License-Identifier: MIT
#pragma once

// The definitions of file.hpp.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE JournalFile::JournalFile(std::unique_ptr<File> file, std::string id, std::uint64_t end,
                                        std::uint64_t synced, const JournalSpace& space)
    : file_{std::move(file)}, space_{space}, id_{std::move(id)}, end_{end}, synced_{synced} {}

KVSTORE_INLINE JournalFile::~JournalFile() {
  if (!home_.is_foreign_by_id()) file_->unlock();
}

KVSTORE_INLINE std::error_code JournalFile::flush() {
  if (lines_.size() == 0) return {};
  const std::uint64_t end = this->end();
  if (const auto error = allocate(end, lines_.size())) return error;
  if (!store_mapped(end, lines_.text())) {
    if (const auto error = write_all(*file_, end, lines_.text())) return error;
  }
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
  const std::scoped_lock lock{extending_};
  mapping_.reset();
  if (!std::exchange(trimmed_, true)) static_cast<void>(file_->truncate(end()));
}

KVSTORE_INLINE void JournalFile::extend(std::uint64_t end) {
  if (end < space_.zero_from || last_batch_.load(std::memory_order_relaxed) >= space_.zero_batch) return;
  const std::scoped_lock lock{extending_};
  if (trimmed_) return;
  const std::uint64_t from = std::max(allocated_.load(std::memory_order_relaxed), end);
  const std::uint64_t step = std::clamp(end, space_.step, space_.zero_at_most);
  if (from - end > step / 2) return;
  const std::uint64_t target = round_up(end + step);
  if (uninterrupted([&] { return file_->allocate(from, target - from); })) return;
  // Page by page: zeros written in one piece would be kept in large folios of the page cache, and a sync
  // writes a folio whole even if only a single line was stored in it through a mapping.
  static constexpr std::array<char, 4096> kZeros{};
  for (std::uint64_t at = from; at < target;) {
    const std::uint64_t bytes = std::min(target - at, space_.page - at % space_.page);
    if (write_all(*file_, at, {kZeros.data(), static_cast<std::size_t>(bytes)})) return;
    at += bytes;
  }
  allocated_.store(target, std::memory_order_release);
}

KVSTORE_INLINE std::uint64_t JournalFile::round_up(std::uint64_t bytes) const noexcept {
  return (bytes + space_.step - 1) / space_.step * space_.step;
}

KVSTORE_INLINE std::error_code JournalFile::allocate(std::uint64_t end, std::uint64_t bytes) {
  if (end + bytes <= allocated_.load(std::memory_order_acquire)) return {};
  const std::scoped_lock lock{extending_};
  if (end + bytes <= allocated_.load(std::memory_order_relaxed)) return {};
  const std::uint64_t step = std::clamp(end, space_.step, space_.allocate_at_most);
  const std::uint64_t target = round_up(end + std::max(bytes, step));
  const auto error = uninterrupted([&] { return file_->allocate(end, target - end); });
  mappable_ = mappable_ && !error;  // storing into what is not allocated could meet a full disk, and a signal
  // Near a full disk, a quota or a limit, the line itself may still fit.
  if (error && !only_reserving_failed(error)) return error;
  allocated_.store(error ? end + bytes : target, std::memory_order_release);
  return {};
}

KVSTORE_INLINE bool JournalFile::store_mapped(std::uint64_t end, std::string_view text) {
  const std::uint64_t batch = std::max(last_batch_.load(std::memory_order_relaxed), end - synced());
  if (!mappable_ || batch < space_.map_from) return false;
  const std::uint64_t window = end - end % space_.step;
  if (end + text.size() > window + space_.step ||
      window + space_.step > allocated_.load(std::memory_order_relaxed))
    return false;
  if (!mapping_ || mapped_at_ != window) {
    mapping_.reset();
    auto mapped = file_->map(window, static_cast<std::size_t>(space_.step));
    mappable_ = !mapped.error;
    if (mapped.error) return false;
    mapping_ = std::move(mapped.value);
    mapped_at_ = window;
  }
  std::memcpy(mapping_->bytes().data() + (end - window), text.data(), text.size());
  return true;
}

}}}  // namespace kvstore::v1::detail
