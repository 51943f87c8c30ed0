// SPDX-License-Identifier: MIT
#pragma once

// One line of a journal: its checksum, its mark and its body.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kvstore { inline namespace v1 { namespace detail {

struct JournalLine {
  enum class Outcome {
    good,
    unreadable,  ///< its checksum fits, and its mark is no number
    bad,
    zeros,
    nothing,
  };
  Outcome outcome = Outcome::nothing;
  std::size_t bytes = 0;     ///< with the line feed, or up to the point where the search gave up
  std::uint64_t synced = 0;  ///< the offset that its mark records as synced; 0 = no mark
  std::size_t body_at = 0;   ///< offset of the body in the line
  std::string_view body;
  std::string_view text = {};  ///< of a bad line, as far as it was read
};

/// The parts of `line`, which has no line feed.
[[nodiscard]] JournalLine parse_line(std::string_view line);

/// More bytes than checksum and separator have.
inline constexpr std::size_t kRoomForFrame = 64;

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/line.ipp"
#endif
