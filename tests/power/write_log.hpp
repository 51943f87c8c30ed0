// SPDX-License-Identifier: MIT
#pragma once

// What QEMU's `blklogwrites` has recorded: each write and flush of the disk in the order of their completion,
// in the format of dm-log-writes. One sector says what is in the log, then each entry is a sector with the
// head, and the data.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>

#include "power/descriptor.hpp"
#include "power/record.hpp"

namespace power {

/// A file in memory; what is written there stays there.
class PrivateCopy {
 public:
  PrivateCopy(const std::filesystem::path& path, std::size_t bytes) : bytes_{bytes} {
    const Descriptor file{path, O_RDONLY};
    start_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.number(), 0);
    if (start_ == MAP_FAILED) throw_errno("mmap " + path.string());
  }
  PrivateCopy(const PrivateCopy&) = delete;
  PrivateCopy& operator=(const PrivateCopy&) = delete;
  ~PrivateCopy() { ::munmap(start_, bytes_); }
  [[nodiscard]] std::span<char> bytes() const noexcept { return {static_cast<char*>(start_), bytes_}; }

 private:
  void* start_;
  std::size_t bytes_;
};

/// One entry. A flush covers the data of all before it.
struct DiskWrite {
  std::uint64_t offset;        ///< on the disk, in bytes
  std::span<const char> data;  ///< empty for a mere flush
  bool flush;
};

class WriteLog {
 public:
  explicit WriteLog(const std::filesystem::path& path)
      : file_{path, static_cast<std::size_t>(std::filesystem::file_size(path))} {
    const std::span<const char> all = file_.bytes();
    if (all.size() < kSector || number(0) != kMagic || number(8) != 1 || number32(24) != kSector)
      throw std::runtime_error{path.string() + " is no log of disk writes with sectors of 512 bytes"};
    std::size_t at = kSector;
    for (std::uint64_t left = number(16); left > 0 && at + kSector <= all.size(); --left) at = read_entry(at);
  }

  [[nodiscard]] const std::vector<DiskWrite>& writes() const noexcept { return writes_; }

 private:
  static constexpr std::uint64_t kMagic = 0x6A736677736872;
  static constexpr std::uint64_t kFlush = 1;
  static constexpr std::uint64_t kForced = 2;   // durable by itself
  static constexpr std::uint64_t kDiscard = 4;  // no data follows

  template <class Number>
  [[nodiscard]] Number read(std::size_t at) const {
    Number number;
    std::memcpy(&number, file_.bytes().data() + at, sizeof number);
    return number;
  }
  [[nodiscard]] std::uint64_t number(std::size_t at) const { return read<std::uint64_t>(at); }
  [[nodiscard]] std::uint32_t number32(std::size_t at) const { return read<std::uint32_t>(at); }

  /// @returns where the next one stands
  std::size_t read_entry(std::size_t at) {
    const std::uint64_t flags = number(at + 16);
    if ((flags & (kForced | kDiscard)) != 0)
      throw std::runtime_error{"the log holds a discard or a forced write, which the disk was not to offer"};
    const auto bytes = static_cast<std::size_t>(number(at + 8) * kSector);
    const std::span<const char> all = file_.bytes();
    if (at + kSector + bytes > all.size()) throw std::runtime_error{"the log ends within an entry"};
    writes_.push_back({number(at) * kSector, all.subspan(at + kSector, bytes), (flags & kFlush) != 0});
    return at + kSector + bytes;
  }

  PrivateCopy file_;
  std::vector<DiskWrite> writes_;
};

}  // namespace power
