// SPDX-License-Identifier: MIT
#pragma once

// Paths in messages.

#include <algorithm>
#include <filesystem>
#include <string>

namespace kvstore { inline namespace v1 { namespace detail {

/// The path as UTF-8; the unchanged bytes on systems where paths are bytes. `path.string()` would not do: on
/// Windows it may use the machine's code page, and it throws for characters that the code page lacks. A zero
/// byte would end the message, so it becomes a '?'.
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
