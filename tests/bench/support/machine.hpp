// SPDX-License-Identifier: MIT
#pragma once

// Says on what a benchmark ran: figures without their machine mean nothing.

#include <sys/statfs.h>
#include <sys/utsname.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

namespace detail {

[[nodiscard]] inline std::string cpu_model() {
  std::ifstream info{"/proc/cpuinfo"};
  for (std::string line; std::getline(info, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

[[nodiscard]] inline std::string kernel() {
  utsname names{};
  if (::uname(&names) != 0) return "unknown";
  return std::string{names.sysname} + ' ' + names.release + ' ' + names.machine;
}

[[nodiscard]] inline std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "g++ " __VERSION__;
#else
  return "unknown";
#endif
}

[[nodiscard]] inline std::string flags() {
#if defined(KVSTORE_BENCH_FLAGS)
  return KVSTORE_BENCH_FLAGS;
#elif defined(__OPTIMIZE__) && defined(NDEBUG)
  return "optimised, without assertions";
#else
  return "not optimised: figures mean nothing; build with tests/bench/run";
#endif
}

[[nodiscard]] inline std::string file_system(const std::filesystem::path& folder) {
  struct statfs about{};
  if (::statfs(folder.c_str(), &about) != 0) return "unknown";
  const std::vector<std::pair<unsigned long, std::string>> known{
      {0xEF53, "ext4"},
      {0x58465342, "xfs"},
      {0x9123683E, "btrfs"},
      {0x794c7630, "overlay"},
      {0x01021994, "memory (tmpfs): a sync costs nothing here"}};
  for (const auto& [number, name] : known) {
    if (static_cast<unsigned long>(about.f_type) == number) return name;
  }
  return "type " + std::to_string(about.f_type);
}

[[nodiscard]] inline std::string load() {
  std::ifstream file{"/proc/loadavg"};
  std::string minute;
  file >> minute;
  return minute.empty() ? "unknown" : minute;
}

}  // namespace detail

/// What stands at the head of a report, line by line: name and text.
[[nodiscard]] inline std::vector<std::pair<std::string, std::string>> machine() {
  return {
      {"cpu", detail::cpu_model() + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores"},
      {"kernel", detail::kernel()},
      {"compiler", detail::compiler()},
      {"flags", detail::flags()},
      {"files on", detail::file_system(std::filesystem::current_path())},
      {"load", detail::load() + " (last minute, before the start)"}};
}

}  // namespace bench
