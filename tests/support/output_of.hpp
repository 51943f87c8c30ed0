// SPDX-License-Identifier: MIT
#pragma once

// Lets a test run other programs.

#include <array>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace support {

/// The output of a shell command. @throws std::runtime_error with that output if the command fails
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
