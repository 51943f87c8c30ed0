// SPDX-License-Identifier: MIT
#pragma once

// Reads the lines of a journal with several threads. The lines that count, their order, and the error of a
// journal that is refused are those of a `JournalReader`.
//
// Every line ends with a line feed and has no other, so a journal can be cut anywhere: a line belongs to the
// stretch in which it begins. Each thread takes a stretch and passes its lines on. A stretch counts only if
// every line that begins in it is good, and if the stretches before it count and end where it begins.
// Otherwise all that came from it is forgotten, and a `JournalReader` continues with its first line. So
// whatever is not a good line (the end, a torn end, damage, a mark that does not fit) is left to that reader.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/line.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/journal_format.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// How many threads read a journal, and in which pieces.
struct JournalThreads {
  std::size_t count = 1;                               ///< with the caller's
  std::size_t stretch_bytes = std::size_t{64} << 10;   ///< so small that the last ones end at the same time
  std::uint64_t worth_bytes = std::uint64_t{4} << 20;  ///< a shorter rest is not worth starting a thread for
};

/// Takes the lines of a journal from several threads.
class StretchTarget {
 public:
  StretchTarget() = default;
  StretchTarget(const StretchTarget&) = delete;
  StretchTarget& operator=(const StretchTarget&) = delete;

  /// Makes slots.
  virtual void reserve(std::size_t slots) = 0;
  /// Empties a slot, and returns the handler of the lines of one stretch. *Thread safety*: different slots
  /// are independent.
  [[nodiscard]] virtual JournalHandler& begin(std::size_t slot) = 0;
  /// Takes what the first `count` slots hold, in order. The lines in all other slots do not count.
  virtual void take(std::size_t count) = 0;

 protected:
  ~StretchTarget() = default;
};

/// The lines that begin in one stretch.
struct StretchLines {
  bool good = false;             ///< all of them are
  std::uint64_t from = 0;        ///< the start of the first one
  std::uint64_t end = 0;         ///< the end of the last one; 0 if no line begins in the stretch
  std::uint64_t first_mark = 0;  ///< the least number of bytes that a mark records as synced; 0 = no mark
  std::uint64_t last_mark = 0;   ///< the greatest one
};

/// Reads one stretch.
class StretchReader {
 public:
  /// The lines that begin from offset `begin` on, before `end`. `buffer` is memory to be reused. Both
  /// references outlive this object.
  StretchReader(File& file, std::uint64_t begin, std::uint64_t end, std::vector<char>& buffer) noexcept
      : file_{file}, begin_{begin}, end_{end}, buffer_{buffer} {}

  /// Passes the lines to `handler`. `at_line`: a line begins at the start of the stretch. Nothing is good if
  /// anything is thrown, by `handler` or by this.
  [[nodiscard]] StretchLines read(bool at_line, JournalHandler& handler) noexcept;

 private:
  /// A longer line is left to the `JournalReader`.
  static constexpr std::size_t kMaxStretches = 16;
  static constexpr std::size_t kUsualRest = 4096;  // of the last line, beyond the stretch

  [[nodiscard]] bool read_lines(bool at_line, JournalHandler& handler);
  /// The start of the first line; `end_` if none begins here.
  [[nodiscard]] std::uint64_t first_line(bool at_line);
  /// The line at `offset`, without its line feed. False at the end of the file, or if the line is too long.
  [[nodiscard]] bool find_line(std::uint64_t offset, std::string_view& line);
  [[nodiscard]] bool fits(const JournalLine& line, std::uint64_t offset);
  [[nodiscard]] bool line_ends_at(std::uint64_t offset);
  [[nodiscard]] bool fetch(std::size_t bytes);
  [[nodiscard]] std::string_view text_from(std::uint64_t offset) const noexcept;

  File& file_;
  std::uint64_t begin_;
  std::uint64_t end_;
  std::vector<char>& buffer_;  // the text of the file from `base_` on
  std::uint64_t base_ = 0;
  StretchLines found_;
  std::string key_;
};

/// Reads on from the line of `reader`, as far as all lines are good and enough of them are left, and moves
/// `reader` behind these lines. Extra memory: for each thread about a stretch, or its longest line, and what
/// `target` keeps of 32 stretches. @returns the offset from which on it is worth to try again
std::uint64_t read_stretches(JournalReader& reader, StretchTarget& target, const JournalThreads& threads);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/stretch.ipp"
#endif
