// SPDX-License-Identifier: MIT
#pragma once

// Cuts a file that is one JSON object into ranges that threads can read independently. The start of an entry
// cannot be found for certain without reading all text before it. So this guesses, by the text between
// earlier entries: ",\n" in a file of ours, ",\n  " in a file laid out by a person. The reader of a range
// sees whether it ended between two entries; only then was the guess for the next range right.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kvstore/detail/file/file_system.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Text of a file that begins, by the guess, after a comma between two entries, and ends after another such
/// comma.
class LineRange {
 public:
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }  ///< in the file
  [[nodiscard]] std::string_view text() const noexcept { return {buffer_.get(), size_}; }

 private:
  friend class LineRanges;

  void begin(std::uint64_t offset, std::string_view text);
  void make_room(std::size_t bytes);

  std::uint64_t offset_ = 0;
  std::unique_ptr<char[]> buffer_;  // reused for the next range
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

class LineRanges {
 public:
  /// `offset` is the end of an entry, and `follows` the text from there on. A range has about `bytes`.
  LineRanges(File& file, std::uint64_t offset, std::string_view follows, std::size_t bytes)
      : file_{file}, mark_{follows.substr(0, mark_size(follows))}, offset_{offset + comma()}, bytes_{bytes} {}

  /// Whether there was enough text to learn the separator of entries.
  [[nodiscard]] bool can_cut() const noexcept { return !mark_.empty(); }

  /// The start of the next range.
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

  /// Reads the next range; false if the rest must be read in another way: at the end of the file, at an entry
  /// that is much larger than a range, or after a read error.
  bool next(LineRange& range);

 private:
  static constexpr std::size_t kMaxRanges = 16;

  /// The size of a comma with white space around it and the quote that follows; 0 if other text comes.
  [[nodiscard]] static std::size_t mark_size(std::string_view text) noexcept;
  /// The offset in the mark at which the next range begins.
  [[nodiscard]] std::size_t comma() const noexcept { return mark_.find(',') + 1; }

  /// Extends the range to the wanted size. False at the end of the file, or if it cannot be read.
  [[nodiscard]] bool read_on(LineRange& range, std::size_t wanted);

  File& file_;
  std::string mark_;      // the text between two entries, and a quote
  std::uint64_t offset_;  // of the next range
  std::size_t bytes_;
  std::string rest_;  // read already: the beginning of the next range
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/json_file/line_ranges.ipp"
#endif
