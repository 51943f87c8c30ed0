// SPDX-License-Identifier: MIT
#pragma once

// Looks for damage in SQLite's write-ahead log. SQLite takes the first frame with a wrong checksum for the
// end of the log, as a crash leaves one, and what was saved behind it is gone without a word.
//
// *Source*: https://www.sqlite.org/fileformat2.html#the_write_ahead_log

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "regular_file.hpp"

namespace kvctl {

class SqliteLog {
 public:
  /// The offset of the first damage that no crash explains. A log that another process writes meanwhile may
  /// look damaged, but not twice at one place.
  [[nodiscard]] static std::optional<std::uint64_t> find_damage(const std::filesystem::path& log) {
    const auto found = SqliteLog{log}.scan();
    if (!found || SqliteLog{log}.scan() != found) return std::nullopt;
    return found;
  }

 private:
  static constexpr std::size_t kHeader = 32;
  static constexpr std::size_t kFrameHeader = 24;

  struct Sum {
    std::uint32_t first = 0;
    std::uint32_t second = 0;
    bool operator==(const Sum&) const = default;
  };

  explicit SqliteLog(const std::filesystem::path& log) : file_{log} {}

  /// A transaction begins when the one before it is on disk. So a commit that a sound frame continues was
  /// there once, whatever is there now.
  [[nodiscard]] std::optional<std::uint64_t> scan() {
    std::string text(kHeader, '\0');
    if (!fill(text) || text.find_first_not_of('\0') == std::string::npos) return std::nullopt;
    if (!take_header(text)) return 0;
    std::optional<std::uint64_t> bad;
    bool was_commit = false;
    text.resize(kFrameHeader + page_);
    for (std::uint64_t at = kHeader; fill(text); at += text.size()) {
      const bool sound = continues(text);
      if (!bad && !sound) bad = at;
      if (bad && sound && was_commit) return bad;
      was_commit = bad && number(text, 4) != 0 && std::string_view{text}.substr(8, 8) == salt_;
      last_ = stored(text, 16);
    }
    return std::nullopt;
  }

  [[nodiscard]] bool take_header(std::string_view header) {
    const std::uint32_t magic = number(header, 0);
    page_ = number(header, 8);
    if ((magic & ~1U) != 0x377F0682 || page_ < 512 || page_ > 65536 || (page_ & (page_ - 1)) != 0)
      return false;
    big_endian_ = (magic & 1U) != 0;
    salt_ = header.substr(16, 8);
    last_ = stored(header, 24);
    return sum(header.substr(0, 24), {}) == last_;
  }

  /// Whether a frame is of this log, and was written behind the one before it.
  [[nodiscard]] bool continues(std::string_view frame) const {
    return frame.substr(8, 8) == salt_ &&
           sum(frame.substr(kFrameHeader), sum(frame.substr(0, 8), last_)) == stored(frame, 16);
  }

  [[nodiscard]] Sum sum(std::string_view bytes, Sum sum) const {
    for (std::size_t at = 0; at < bytes.size(); at += 8) {
      sum.first += word(bytes, at) + sum.second;
      sum.second += word(bytes, at + 4) + sum.first;
    }
    return sum;
  }
  [[nodiscard]] std::uint32_t word(std::string_view bytes, std::size_t at) const {
    const std::uint32_t big = number(bytes, at);
    if (big_endian_) return big;
    return big >> 24 | (big >> 8 & 0xFF00U) | (big << 8 & 0xFF0000U) | big << 24;
  }
  [[nodiscard]] static Sum stored(std::string_view bytes, std::size_t at) {
    return {number(bytes, at), number(bytes, at + 4)};
  }
  [[nodiscard]] static std::uint32_t number(std::string_view bytes, std::size_t at) {
    std::uint32_t number = 0;
    for (const char byte : bytes.substr(at, 4)) number = number << 8 | static_cast<unsigned char>(byte);
    return number;
  }

  /// Whether there were as many bytes.
  [[nodiscard]] bool fill(std::string& out) {
    for (std::size_t used = 0; used < out.size();) {
      const std::size_t got = file_.read({out.data() + used, out.size() - used});
      if (got == 0) return false;
      used += got;
    }
    return true;
  }

  RegularFile file_;
  std::uint32_t page_ = 0;
  bool big_endian_ = false;
  std::string salt_;  // of every frame but those of an older log
  Sum last_;          // as the header or frame before says
};

}  // namespace kvctl
