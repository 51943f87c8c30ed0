// SPDX-License-Identifier: MIT
#pragma once

// The interface of a journal whose lines are written by the operations themselves, in their final form and
// from any thread. It is `Journal`'s fast path: see tests/format/JOURNAL.md for the lines.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kvstore/detail/base/hex.hpp"
#include "kvstore/detail/contract/line_window.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr std::size_t kCrcDigits = 8;
/// A longer line is not a valid line. A step that would need one is saved by a new base file instead.
inline constexpr std::size_t kMaxLine = std::size_t{64} << 20;

/// Thrown by a save of marked changes that need a longer line. Nothing was saved.
class TooLongForLine final : public StorageError {
  using StorageError::StorageError;
};

[[nodiscard]] inline std::array<char, kCrcDigits> crc_digits(std::uint32_t crc) noexcept {
  std::array<char, kCrcDigits> digits{};
  for (std::size_t i = kCrcDigits; i-- > 0; crc >>= 4) digits[i] = kHexDigits[crc & 0xF];
  return digits;
}

/// A line whose rest, from the separator to the line feed, is written. The text outlives it.
class SealedLine {
 public:
  explicit SealedLine(std::string_view rest) noexcept
      : digits_{crc_digits(crc32c(rest.substr(0, rest.size() - 1)))}, rest_{rest} {}

  [[nodiscard]] LinePieces pieces() const noexcept { return {{digits_.data(), digits_.size()}, rest_}; }

 private:
  std::array<char, kCrcDigits> digits_;
  std::string_view rest_;
};

/// *Thread safety*: that of `Journal::append` and `flush`, which these functions belong to.
class LineJournal {
 public:
  LineJournal() = default;
  LineJournal(const LineJournal&) = delete;
  LineJournal& operator=(const LineJournal&) = delete;

  /// Call once, before the first operation: they will put their lines into `window`, which outlives this
  /// object. Whoever calls closes it before `Journal::rotate` and `join`, and before the journal ends.
  virtual void use(LineWindow& window) noexcept = 0;

  /// Takes the lines of these many operations, which have found the window closed. `Journal::flush` writes
  /// them.
  virtual void append_lines(std::string_view lines, std::uint64_t operations) = 0;

  /// Makes ready a stretch of the file, behind all that was flushed, whose bytes are in the kernel's hands
  /// once they are stored. False if lines are better written by a call, or the window was open in the last
  /// `Journal::flush`.
  [[nodiscard]] virtual bool prepare_window() noexcept = 0;
  /// Opens the window on that stretch, if nothing was flushed since. `lines`, of the last `operations` that
  /// it has numbered, come first there. False if it stays closed: then they have no place yet. Performs no
  /// input or output.
  [[nodiscard]] virtual bool open_window(std::string_view lines, std::uint64_t operations) noexcept = 0;

 protected:
  ~LineJournal() = default;
};

}}}  // namespace kvstore::v1::detail
