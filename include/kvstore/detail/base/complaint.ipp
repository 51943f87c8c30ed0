// SPDX-License-Identifier: MIT
#pragma once

// The definitions of complaint.hpp.

#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>

#include "kvstore/detail/base/complaint.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/sigpipe_guard.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE ComplaintLine& ComplaintLine::add(std::string_view text) noexcept {
  for (const char byte : text) {
    if (used_ == kMaxBytes) return cut();
    const auto value = static_cast<unsigned char>(byte);
    text_[used_++] = value < 0x20 || value == 0x7F ? ' ' : byte;
  }
  return *this;
}

KVSTORE_INLINE std::string_view ComplaintLine::end() noexcept {
  text_[used_] = '\n';
  return {text_.data(), used_ + 1};
}

KVSTORE_INLINE ComplaintLine& ComplaintLine::cut() noexcept {
  std::fill_n(text_.end() - 4, 3, '.');
  return *this;
}

KVSTORE_INLINE void write_to_standard_error(std::string_view line) noexcept {
#ifdef _WIN32
  std::fwrite(line.data(), 1, line.size(), stderr);
#else
  const int before = errno;
  const SigpipeGuard guard;
  while (::write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EINTR) {}
  errno = before;
#endif
}

KVSTORE_INLINE void complain(std::string_view path, std::string_view what) noexcept {
  ComplaintLine line;
  write_to_standard_error(line.add("kvstore: ").add(path).add(": ").add(what).end());
}

}}}  // namespace kvstore::v1::detail
