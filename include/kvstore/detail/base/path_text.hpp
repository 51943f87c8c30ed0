// SPDX-License-Identifier: MIT
#pragma once

// Paths in messages.

#include <algorithm>
#include <filesystem>
#include <string>

namespace kvstore { inline namespace v1 { namespace detail {

/// The path as UTF-8; where paths are bytes, just these. Not `path.string()`, which on Windows may be in the
/// code page of the machine and throws for what that lacks. A zero byte, which would end the message, is a
/// '?'.
inline std::string path_text(const std::filesystem::path& path) {
#ifdef _WIN32
  const std::u8string native = path.u8string();
  std::string text{native.begin(), native.end()};
#else
  std::string text = path.native();
#endif
  std::replace(text.begin(), text.end(), '\0', '?');
  return text;
}

}}}  // namespace kvstore::v1::detail
