// SPDX-License-Identifier: MIT
#pragma once

// Reads files that anyone may have put beside a store. A pipe or a device at such a name is not waited for.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "outcome.hpp"

namespace kvctl {

class RegularFile {
 public:
  explicit RegularFile(const std::filesystem::path& path)
      : descriptor_{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)} {
    struct ::stat status{};
    if (descriptor_ >= 0 && ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) return;
    close();
  }
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;
  ~RegularFile() { close(); }

  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }

  /// The next bytes; none at the end, after an error, or if it is no regular file.
  std::size_t read(std::span<char> out) {
    while (is_open()) {
      const ::ssize_t got = ::read(descriptor_, out.data(), out.size());
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) break;
    }
    return 0;
  }

 private:
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

  int descriptor_;
};

/// The first bytes of a regular file, or fewer.
[[nodiscard]] inline std::string start_of(const std::filesystem::path& path, std::size_t bytes) {
  RegularFile file{path};
  std::string start(bytes, '\0');
  start.resize(file.read(start));
  return start;
}

/// A whole regular file. @throws Failure
[[nodiscard]] inline std::string read_store_file(const std::filesystem::path& path) {
  RegularFile file{path};
  if (!file.is_open()) throw Failure{kFailed, path.string() + ": cannot be opened as a regular file"};
  std::string text;
  for (std::size_t used = 0;; text.resize(used)) {
    text.resize(used + (std::size_t{64} << 10) + used / 2);
    const std::size_t got = file.read({text.data() + used, text.size() - used});
    used += got;
    if (got != 0) continue;
    text.resize(used);
    return text;
  }
}

}  // namespace kvctl
