// SPDX-License-Identifier: MIT
#pragma once

// The last resort of a store that has lost something and can report the loss to nobody: a line on standard
// error.

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#ifdef _WIN32
#include <cstdio>
#else
#include <unistd.h>

#include <cerrno>
#endif

#include "kvstore/detail/base/sigpipe_guard.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// One line of text in bounded memory: a store that has lost something may have no memory left.
class ComplaintLine {
 public:
  /// Adds `text`, with spaces for its control characters. A line that becomes too long is cut and ends in
  /// "...".
  ComplaintLine& add(std::string_view text) noexcept {
    for (const char byte : text) {
      if (used_ == kMaxBytes) return cut();
      const auto value = static_cast<unsigned char>(byte);
      text_[used_++] = value < 0x20 || value == 0x7F ? ' ' : byte;
    }
    return *this;
  }

  /// The whole line.
  [[nodiscard]] std::string_view end() noexcept {
    text_[used_] = '\n';
    return {text_.data(), used_ + 1};
  }

 private:
  static constexpr std::size_t kMaxBytes = 4000;  // less than a pipe takes in one piece

  ComplaintLine& cut() noexcept {
    std::fill_n(text_.end() - 4, 3, '.');
    return *this;
  }

  std::array<char, kMaxBytes + 1> text_{};
  std::size_t used_ = 0;
};

/// Writes one line to standard error in a single piece; does nothing if standard error is closed. A reader
/// that has gone away does no harm.
inline void write_to_standard_error(std::string_view line) noexcept {
#ifdef _WIN32
  std::fwrite(line.data(), 1, line.size(), stderr);
#else
  const int before = errno;
  const SigpipeGuard guard;
  while (::write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EINTR) {}
  errno = before;
#endif
}

/// Writes "kvstore: PATH: WHAT" to standard error. *Thread safety*: safe from any thread; lines stay whole.
inline void complain(std::string_view path, std::string_view what) noexcept {
  ComplaintLine line;
  write_to_standard_error(line.add("kvstore: ").add(path).add(": ").add(what).end());
}

}}}  // namespace kvstore::v1::detail
