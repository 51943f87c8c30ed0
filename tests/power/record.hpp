// SPDX-License-Identifier: MIT
#pragma once

// What the guest writes behind its file system, one sector each, straight to the disk: a step is acknowledged
// by the record that follows its return. So the recorded disk writes hold the order of promises and data.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "power/setup.hpp"

namespace power {

inline constexpr std::size_t kSector = 512;
inline constexpr std::uint64_t kRecordBytes = std::uint64_t{128} << 20;  // the space for them
inline constexpr std::uint64_t kRecords = kRecordBytes / kSector;

enum class RecordKind : std::uint32_t {
  setup,    ///< the words of the run
  opened,   ///< a process has opened the store; `marks`: the last step of each thread that is there
  step,     ///< a step has returned
  saved,    ///< `save` or `compact` has returned; `marks`: the steps that had returned before
  closed,   ///< the same for `close`
  trouble,  ///< the store refused something, in words
};

struct Record {
  std::array<char, 8> magic{'k', 'v', 'p', 'o', 'w', 'e', 'r', '1'};
  RecordKind kind{};
  std::uint32_t life = 0;    ///< which process
  std::uint64_t thread = 0;  ///< of a step
  std::uint64_t number = 0;  ///< of a step
  std::uint64_t begin = 0;   ///< of a step: stamps of one clock for all threads
  std::uint64_t end = 0;
  std::array<std::uint64_t, kMaxThreads> marks{};
  std::array<std::uint64_t, kMaxThreads> next{};  ///< opened: the number of each thread's next step
  std::array<char, 336> words{};

  void say(std::string_view text) noexcept {
    std::copy_n(text.data(), std::min(text.size(), words.size() - 1), words.data());
  }
  [[nodiscard]] bool valid() const noexcept { return magic == Record{}.magic; }
};
static_assert(sizeof(Record) == kSector && std::is_trivially_copyable_v<Record>);

[[nodiscard]] inline Record parse_record(const char* sector) noexcept {
  Record record;
  std::memcpy(&record, sector, sizeof record);
  return record;
}

}  // namespace power
