// SPDX-License-Identifier: MIT
#pragma once

// One journal file that is being written: lines go into a buffer, from there into the operating system's
// hands, and a sync makes them durable. The file is allocated ahead, so that a sync need not record a new
// size.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
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
    if (const auto error = write_all(*file_, end_, lines_.text())) return error;
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
  void note_synced(std::uint64_t bytes) noexcept { synced_ = std::max(synced_, bytes); }

 private:
  static constexpr std::uint64_t kFirstAllocation = std::uint64_t{256} << 10;
  static constexpr std::uint64_t kLargestAllocation = std::uint64_t{32} << 20;

  /// Reserves space in growing steps. Where the file system cannot, files simply grow.
  std::error_code allocate(std::uint64_t bytes) {
    if (end_ + bytes <= allocated_) return {};
    const std::uint64_t step = std::clamp(end_, kFirstAllocation, kLargestAllocation);
    const std::uint64_t target = end_ + std::max(bytes, step);
    const auto error = uninterrupted([&] { return file_->allocate(end_, target - end_); });
    const bool unsupported = error == std::errc::operation_not_supported ||
                             error == std::errc::not_supported || error == std::errc::invalid_argument;
    if (error && !unsupported && error != std::errc::no_space_on_device) return error;
    allocated_ = error ? end_ + bytes : target;  // near a full disk the line itself may still fit
    return {};
  }

  std::unique_ptr<File> file_;
  std::string id_;
  std::uint64_t end_;
  std::uint64_t synced_;
  std::uint64_t marked_ = 0;  // the last offset that a line has said to be synced
  std::uint64_t allocated_ = 0;
  JsonWriter body_;
  JsonWriter lines_;
};

}  // namespace kvstore::inline v0::detail
