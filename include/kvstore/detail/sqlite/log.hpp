// SPDX-License-Identifier: MIT
#pragma once

// Detects damage in SQLite's write-ahead log. SQLite takes the first frame with a wrong checksum for the end
// of the log, as it must after a crash. Later frames are forgotten, although they may have been committed.
//
// *Source*: https://www.sqlite.org/fileformat2.html#the_write_ahead_log

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

[[nodiscard]] inline std::uint32_t big_endian(std::string_view bytes) noexcept {
  std::uint32_t number = 0;
  for (const char byte : bytes.substr(0, 4)) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

/// A log, read frame by frame.
class SqliteLog {
 public:
  /// `file` outlives this object; `path` is for messages. @throws StorageError, as every member
  SqliteLog(File& file, const std::filesystem::path& path) : file_{file}, path_{path} {}

  /// The offset of the first damage that no crash explains; none if there is no such damage.
  [[nodiscard]] std::optional<std::uint64_t> find_damage() {
    std::array<char, kHeaderBytes> header{};
    if (read(0, header) < header.size()) return std::nullopt;  // created, but not written yet
    const std::string_view text{header.data(), header.size()};
    if (text.find_first_not_of('\0') == std::string_view::npos) return std::nullopt;  // the same
    if (!take_header(text)) return 0;
    return find_damaged_frame();
  }

 private:
  static constexpr std::size_t kHeaderBytes = 32;
  static constexpr std::size_t kFrameHeaderBytes = 24;

  struct Sum {
    std::uint32_t first = 0;
    std::uint32_t second = 0;
    bool operator==(const Sum&) const = default;
  };

  /// False if this is not the header that SQLite writes, in one piece, before any frame.
  bool take_header(std::string_view header) {
    const std::uint32_t magic = big_endian(header);
    const std::uint32_t page = big_endian(header.substr(8));
    if ((magic & ~1U) != 0x377F0682U || page < 512 || page > 65536 || (page & (page - 1)) != 0) return false;
    big_endian_sums_ = (magic & 1U) != 0;
    frame_.resize(kFrameHeaderBytes + page);
    salt_ = header.substr(16, 8);
    last_ = stored_sum(header.substr(24));
    return sum(header.substr(0, 24), {}) == last_;
  }

  /// A transaction begins only when the previous one is on disk. So if a commit is followed by a frame that
  /// continues it, everything up to that commit was on disk once, whatever the file contains now.
  std::optional<std::uint64_t> find_damaged_frame() {
    std::optional<std::uint64_t> bad;
    bool was_commit = false;
    std::uint64_t at = kHeaderBytes;
    for (; read(at, frame_) == frame_.size(); at += frame_.size()) {
      const std::string_view frame{frame_.data(), frame_.size()};
      const bool continues = this->continues(frame);
      if (!bad && !continues) bad = at;
      if (bad && continues && was_commit) return bad;
      was_commit = bad && big_endian(frame.substr(4)) != 0 && frame.substr(8, 8) == salt_;
      last_ = stored_sum(frame.substr(16));
    }
    return std::nullopt;
  }

  /// Whether the frame belongs to this log and was written after the previous one.
  [[nodiscard]] bool continues(std::string_view frame) const noexcept {
    if (frame.substr(8, 8) != salt_) return false;
    return sum(frame.substr(kFrameHeaderBytes), sum(frame.substr(0, 8), last_)) ==
           stored_sum(frame.substr(16));
  }

  [[nodiscard]] static Sum stored_sum(std::string_view bytes) noexcept {
    return {big_endian(bytes), big_endian(bytes.substr(4))};
  }

  [[nodiscard]] Sum sum(std::string_view bytes, Sum sum) const noexcept {
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
      sum.first += word(bytes.substr(i)) + sum.second;
      sum.second += word(bytes.substr(i + 4)) + sum.first;
    }
    return sum;
  }
  [[nodiscard]] std::uint32_t word(std::string_view bytes) const noexcept {
    const std::uint32_t number = big_endian(bytes);
    if (big_endian_sums_) return number;
    return number >> 24 | (number >> 8 & 0xFF00U) | (number << 8 & 0xFF0000U) | number << 24;
  }

  std::size_t read(std::uint64_t at, std::span<char> out) {
    const auto got = read_full(file_, at, out);
    if (got.error) throw StorageError{path_, got.error, "cannot read"};
    return got.value;
  }

  File& file_;
  const std::filesystem::path& path_;
  bool big_endian_sums_ = false;
  std::string salt_;         // of every frame except those left over from an older log
  Sum last_;                 // as stored in the previous header or frame
  std::vector<char> frame_;  // the current one
};

}}}  // namespace kvstore::v1::detail
