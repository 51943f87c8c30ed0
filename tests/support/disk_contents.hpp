// SPDX-License-Identifier: MIT
#pragma once

// Describes the files of a simulated disk in short words, and lists the contents that power loss may leave.

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/file/file_system.hpp"
#include "support/catch.hpp"
#include "support/simulated_disk.hpp"

namespace support {

inline constexpr CrashSampling kAllCrashes{.exhaustive_bits = 16};

inline std::unique_ptr<kvstore::detail::File> open(
    kvstore::detail::FileSystem& disk, const std::string& path,
    kvstore::detail::OpenMode mode = kvstore::detail::OpenMode::update) {
  auto opened = disk.open(path, mode, 0666);
  REQUIRE(!opened.error);
  return std::move(opened.value);
}

inline void write(kvstore::detail::File& file, std::uint64_t offset, std::string_view text) {
  REQUIRE(!kvstore::detail::write_all(file, offset, text));
}

inline std::string read(kvstore::detail::File& file) {
  std::array<char, 4096> text{};
  return {text.data(), kvstore::detail::read_full(file, 0, text).value};
}

/// The contents of `path` that power loss may leave; "none" if the file may be missing.
inline std::set<std::string> contents(const SimulatedDisk& disk, const std::string& path) {
  std::set<std::string> found;
  for (const DiskImage& image : disk.crash_states(kAllCrashes)) {
    const auto file = image.find(path);
    found.insert(file == image.end() ? "none" : file->second.text());
  }
  return found;
}

}  // namespace support
