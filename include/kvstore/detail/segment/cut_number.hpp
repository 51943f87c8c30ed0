// SPDX-License-Identifier: MIT
#pragma once

// The number that names a point in time of a store, and says what writers have to do for it.

#include <cstdint>

namespace kvstore { inline namespace v1 { namespace detail {

/// The entries that a cut is to read.
enum class CutKind : std::uint8_t {
  none,        ///< no snapshot is being taken
  copy,        ///< every entry; marks stay
  everything,  ///< every entry, to be saved: marks up to the cut are done with
  changes,     ///< the marked ones, to be saved
};

/// The number of the current cut. Its lowest bits are the kind, and whether the store keeps marks.
using CutNumber = std::uint64_t;
inline constexpr CutNumber kCutKinds = 3;
inline constexpr CutNumber kKeepsMarks = 4;
inline constexpr CutNumber kNextCut = 8;
[[nodiscard]] constexpr CutKind kind_of(CutNumber cut) noexcept {
  return static_cast<CutKind>(cut & kCutKinds);
}
/// Whether a snapshot is being taken.
[[nodiscard]] constexpr bool is_open(CutNumber cut) noexcept { return (cut & kCutKinds) != 0; }
[[nodiscard]] constexpr bool keeps_marks(CutNumber cut) noexcept { return (cut & kKeepsMarks) != 0; }
/// Whether writers must tell the segment's cut of their changes.
[[nodiscard]] constexpr bool is_told(CutNumber cut) noexcept {
  return (cut & (kCutKinds | kKeepsMarks)) != 0;
}

}}}  // namespace kvstore::v1::detail
