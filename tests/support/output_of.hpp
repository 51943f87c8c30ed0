// SPDX-License-Identifier: MIT
#pragma once

// Other programs, asked by a test.

#include <array>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace support {

/// What a command of the shell prints. @throws std::runtime_error, which shows that, unless it succeeds
inline std::string output_of(const std::string& command) {
  struct Close {
    void operator()(std::FILE* pipe) const { ::pclose(pipe); }
  };
  std::unique_ptr<std::FILE, Close> pipe{::popen(command.c_str(), "r")};
  if (!pipe) throw std::runtime_error{"cannot run " + command};
  std::string text;
  std::array<char, 4096> part{};
  while (const std::size_t got = std::fread(part.data(), 1, part.size(), pipe.get()))
    text.append(part.data(), got);
  if (::pclose(pipe.release()) != 0) throw std::runtime_error{command + " failed:\n" + text};
  return text;
}

}  // namespace support
