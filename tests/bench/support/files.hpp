// SPDX-License-Identifier: MIT
#pragma once

// A folder on the disk that is to be measured, and files as a careful user without a library writes them.

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace bench {

/// An empty folder in the working folder (the system's folder for temporary files may be memory, where a sync
/// costs nothing), which goes with all that is in it.
class WorkFolder {
 public:
  WorkFolder() {
    std::string name = (std::filesystem::current_path() / "kvstore-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"cannot make a folder like " + name};
    path_ = name;
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path operator/(const std::filesystem::path& name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// Replaces a file as safely as a store does: write beside it, sync, rename, sync the folder.
inline void replace_file(const std::filesystem::path& path, std::string_view text) {
  const auto check = [&path](bool good) {
    if (!good) throw std::system_error{errno, std::generic_category(), path.string()};
  };
  const std::string temporary = path.string() + ".new";
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  check(file >= 0);
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    check(written > 0);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  check(::fsync(file) == 0);
  check(::close(file) == 0);
  std::filesystem::rename(temporary, path);
  const int folder = ::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(folder >= 0);
  check(::fsync(folder) == 0);
  check(::close(folder) == 0);
}

[[nodiscard]] inline std::string read_file(const std::filesystem::path& path) {
  std::string text(static_cast<std::size_t>(std::filesystem::file_size(path)), '\0');
  std::ifstream in{path, std::ios::binary};
  if (!in.read(text.data(), static_cast<std::streamsize>(text.size()))) {
    throw std::runtime_error{"cannot read " + path.string()};
  }
  return text;
}

}  // namespace bench
