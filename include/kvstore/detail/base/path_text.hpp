// SPDX-License-Identifier: MIT
#pragma once

// Paths in messages.

#include <filesystem>
#include <string>

namespace kvstore::inline v0::detail {

/// The path as UTF-8; where paths are bytes, just these. Not `path.string()`, which on Windows may be in the
/// code page of the machine and throws for what that lacks.
inline std::string path_text(const std::filesystem::path& path) {
#ifdef _WIN32
  const std::u8string text = path.u8string();
  return {text.begin(), text.end()};
#else
  return path.native();
#endif
}

}  // namespace kvstore::inline v0::detail
