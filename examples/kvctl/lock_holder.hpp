// SPDX-License-Identifier: MIT
#pragma once

// Who holds a store's lock, found out without touching it: to try the lock would, for a moment, keep others
// out.

#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "regular_file.hpp"

namespace kvctl {

struct LockHolder {
  long process = 0;
  bool holds = false;  ///< else it died, and left the lock file behind
};

/// Whether the kernel lists a lock of that inode; none if it lists nothing.
[[nodiscard]] inline std::optional<bool> is_listed(::ino_t inode) {
  std::ifstream locks{"/proc/locks"};
  if (!locks) return std::nullopt;
  // 1: FLOCK  ADVISORY  WRITE 708 08:01:1835027 0 EOF
  const std::string wanted = ":" + std::to_string(inode);
  for (std::string line; std::getline(locks, line);) {
    if (line.find("FLOCK") == std::string::npos || line.find("->") != std::string::npos) continue;
    if (line.find(wanted + " ") != std::string::npos) return true;
  }
  return false;
}

/// None if the store has no lock file, or something else has that name.
[[nodiscard]] inline std::optional<LockHolder> find_lock_holder(std::filesystem::path path) {
  path = std::filesystem::weakly_canonical(path);
  path += ".lock";
  struct ::stat status{};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  LockHolder holder;
  const std::string text = start_of(path, 24);
  std::from_chars(text.data(), text.data() + text.size(), holder.process);
  const bool lives =
      holder.process > 0 && (::kill(static_cast<::pid_t>(holder.process), 0) == 0 || errno == EPERM);
  holder.holds = is_listed(status.st_ino).value_or(lives);
  return holder;
}

}  // namespace kvctl
