// SPDX-License-Identifier: MIT
#pragma once

// The last resort of a store that has lost something and can report the loss to nobody: a line on standard
// error.

#include <array>
#include <cstddef>
#include <string_view>

#ifdef _WIN32
#include <cstdio>
#else

#include <cerrno>
#endif

namespace kvstore { inline namespace v1 { namespace detail {

/// One line of text in bounded memory: a store that has lost something may have no memory left.
class ComplaintLine {
 public:
  /// Adds `text`, with spaces for its control characters. A line that becomes too long is cut and ends in
  /// "...".
  ComplaintLine& add(std::string_view text) noexcept;

  /// The whole line.
  [[nodiscard]] std::string_view end() noexcept;

 private:
  static constexpr std::size_t kMaxBytes = 4000;  // less than a pipe takes in one piece

  ComplaintLine& cut() noexcept;

  std::array<char, kMaxBytes + 1> text_{};
  std::size_t used_ = 0;
};

/// Writes one line to standard error in a single piece; does nothing if standard error is closed. A reader
/// that has gone away does no harm.
void write_to_standard_error(std::string_view line) noexcept;

/// Writes "kvstore: PATH: WHAT" to standard error. *Thread safety*: safe from any thread; lines stay whole.
void complain(std::string_view path, std::string_view what) noexcept;

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/base/complaint.ipp"
#endif
