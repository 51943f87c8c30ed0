// SPDX-License-Identifier: MIT
#pragma once

// One journal file that is being written: lines go into a buffer, from there into the operating system's
// hands, and a sync makes them durable. The file is allocated ahead, so that a sync need not record a new
// size.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/file_system.hpp"
#include "kvstore/detail/journal_format.hpp"
#include "kvstore/detail/json_writer.hpp"

namespace kvstore::inline v0::detail {

/// *Thread safety*: none, but for `file().sync()`, which may run beside everything.
class JournalFile {
 public:
  /// Goes on at `end` of an open file, of which the first `synced` bytes are durable.
  JournalFile(std::unique_ptr<File> file, std::string id, std::uint64_t end, std::uint64_t synced)
      : file_{std::move(file)}, id_{std::move(id)}, end_{end}, synced_{synced} {}

  /// Adds a line whose body `write(JsonWriter&)` writes. Strong: if that throws, nothing was added.
  template <class Write>
  void add(const Write& write) {
    body_.clear();
    if (synced_ > marked_) {
      body_.raw('|');
      body_.integer(synced_);
    }
    body_.raw(' ');
    write(body_);
    const auto digits = crc_digits(crc32c(body_.text()));
    body_.raw('\n');
    lines_.reserve(lines_.size() + digits.size() + body_.size());
    lines_.raw({digits.data(), digits.size()});
    lines_.raw(body_.text());
    marked_ = synced_;
  }

  /// Puts what was added into the operating system's hands. After an error the file is of no use.
  std::error_code flush() {
    if (lines_.size() == 0) return {};
    if (const auto error = allocate(lines_.size())) return error;
    if (!store_mapped(lines_.text())) {
      if (const auto error = write_all(*file_, end_, lines_.text())) return error;
    }
    end_ += lines_.size();
    lines_.clear();
    return {};
  }

  /// Where the next flush writes.
  [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
  [[nodiscard]] std::uint64_t synced() const noexcept { return synced_; }
  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] File& file() noexcept { return *file_; }

  /// Notes that a sync has covered the first `bytes`; the next line says so.
  void note_synced(std::uint64_t bytes) noexcept {
    if (bytes <= synced_) return;
    last_batch_ = bytes - synced_;
    synced_ = bytes;
  }

 private:
  static constexpr std::uint64_t kFirstAllocation = std::uint64_t{256} << 10;
  static constexpr std::uint64_t kLargestAllocation = std::uint64_t{32} << 20;

  /// Reserves space in growing steps. Where the file system cannot, files simply grow.
  std::error_code allocate(std::uint64_t bytes) {
    if (end_ + bytes <= allocated_) return {};
    const std::uint64_t step = std::clamp(end_, kFirstAllocation, kLargestAllocation);
    const std::uint64_t wanted = end_ + std::max(bytes, step);
    const std::uint64_t target = (wanted + kWindow - 1) / kWindow * kWindow;
    const auto error = uninterrupted([&] { return file_->allocate(end_, target - end_); });
    mappable_ =
        mappable_ && !error;  // storing into what is not allocated could meet a full disk, and a signal
    const bool unsupported = error == std::errc::operation_not_supported ||
                             error == std::errc::not_supported || error == std::errc::invalid_argument;
    if (error && !unsupported && error != std::errc::no_space_on_device) return error;
    allocated_ = error ? end_ + bytes : target;  // near a full disk the line itself may still fit
    return {};
  }

  /// Stores `text` at the end through a mapping. @returns false, having done nothing, if it is to be written.
  bool store_mapped(std::string_view text) {
    if (!mappable_ || std::max(last_batch_, end_ - synced_) < kMapFrom) return false;
    const std::uint64_t window = end_ - end_ % kWindow;
    if (end_ + text.size() > window + kWindow || window + kWindow > allocated_) return false;
    if (!mapping_ || mapped_at_ != window) {
      mapping_.reset();
      auto mapped = file_->map(window, kWindow);
      mappable_ = !mapped.error;
      if (mapped.error) return false;
      mapping_ = std::move(mapped.value);
      mapped_at_ = window;
    }
    std::memcpy(mapping_->bytes().data() + (end_ - window), text.data(), text.size());
    return true;
  }

  static constexpr std::uint64_t kMapFrom = std::uint64_t{32} << 10;  // bytes between two syncs
  static constexpr std::uint64_t kWindow = std::uint64_t{256} << 10;  // bytes mapped at a time

  std::unique_ptr<File> file_;
  std::unique_ptr<Mapping> mapping_;  // of kWindow bytes from mapped_at_
  std::uint64_t mapped_at_ = 0;
  bool mappable_ = true;
  std::uint64_t last_batch_ = 0;  // bytes that the last sync covered
  std::string id_;
  std::uint64_t end_;
  std::uint64_t synced_;
  std::uint64_t marked_ = 0;  // the last offset that a line has said to be synced
  std::uint64_t allocated_ = 0;
  JsonWriter body_;
  JsonWriter lines_;
};

}  // namespace kvstore::inline v0::detail
