// SPDX-License-Identifier: MIT
#pragma once

// What a disk may hold when its power is cut at a place of the log: all that the last flush before it covers,
// and of the later writes any choice, down to single sectors.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include "power/descriptor.hpp"
#include "power/record.hpp"
#include "power/script.hpp"
#include "power/write_log.hpp"

namespace power {

/// Which of the writes that no flush covers got through.
enum class CutMode { none, all, half, other_half, torn, all_but_one, only_one, mixed };
inline constexpr std::array<std::string_view, 8> kCutModes{"none", "all",         "half",     "other half",
                                                           "torn", "all but one", "only one", "mixed"};

struct Cut {
  std::size_t place;  ///< in the log: before that entry
  CutMode mode;
  std::uint64_t seed;  ///< of the choice
  bool tears;          ///< single sectors may be missing from a write
};

enum class Fate { lost, written, torn };

/// Decides over the writes that no flush covers, one after another.
class Chooser {
 public:
  Chooser(const Cut& cut, std::size_t writes)
      : mode_{cut.mode},
        random_{cut.seed},
        single_{writes == 0 ? 0 : random_.below(writes)},
        percent_{random_.below(101)} {}

  [[nodiscard]] Fate next() {
    const bool is_single = next_++ == single_;
    switch (mode_) {
      case CutMode::none:
        return Fate::lost;
      case CutMode::all:
        return Fate::written;
      case CutMode::half:
      case CutMode::other_half:
        return written_if(random_.below(2) == 0);
      case CutMode::torn:
        return Fate::torn;
      case CutMode::all_but_one:
        return written_if(!is_single);
      case CutMode::only_one:
        return written_if(is_single);
      case CutMode::mixed:
        break;
    }
    if (random_.below(100) >= percent_) return Fate::lost;
    return random_.below(4) == 0 ? Fate::torn : Fate::written;
  }
  [[nodiscard]] Random& random() noexcept { return random_; }

 private:
  static Fate written_if(bool written) { return written ? Fate::written : Fate::lost; }

  CutMode mode_;
  Random random_;
  std::size_t single_;
  std::size_t percent_;
  std::size_t next_ = 0;
};

/// A disk on which the entries of a log are carried out up to one flush after another.
class Disk {
 public:
  /// As it was when the recording began: the first `bytes` of a file.
  Disk(const std::filesystem::path& image, std::size_t bytes) : image_{image, bytes}, used_(bytes / kBlock) {
    for (std::size_t block = 0; block < used_.size(); ++block) {
      const auto data = image_.bytes().subspan(block * kBlock, kBlock);
      used_[block] = std::any_of(data.begin(), data.end(), [](char byte) { return byte != 0; });
    }
  }

  /// Goes on to the last flush before `place`, which is not before that of the last call.
  void advance(std::span<const DiskWrite> writes, std::size_t place) {
    std::size_t flush = place;
    while (flush > covered_ && !writes[flush - 1].flush) --flush;
    if (flush <= covered_) return;
    --flush;  // what a flush carries itself, it does not cover
    for (; covered_ < flush; ++covered_) store(writes[covered_]);
  }

  /// Writes what is left after a cut, not before the flush that `advance` was called for, to a new file.
  void write_image(std::span<const DiskWrite> writes, const Cut& cut,
                   const std::filesystem::path& path) const {
    const Descriptor file{path, O_RDWR | O_CREAT | O_EXCL};
    if (::ftruncate(file.number(), static_cast<::off_t>(image_.bytes().size())) != 0)
      throw_errno("ftruncate");
    for (std::size_t block = 0; block < used_.size(); ++block) {
      if (used_[block]) put(file, block * kBlock, image_.bytes().subspan(block * kBlock, kBlock));
    }
    write_unflushed(writes, cut, file);
  }

 private:
  static constexpr std::size_t kBlock = std::size_t{64} << 10;

  [[nodiscard]] bool holds(const DiskWrite& write) const noexcept {
    return !write.data.empty() && write.offset + write.data.size() <= image_.bytes().size();
  }

  void store(const DiskWrite& write) {
    if (!holds(write)) return;  // a record
    std::copy(write.data.begin(), write.data.end(),
              image_.bytes().begin() + static_cast<std::ptrdiff_t>(write.offset));
    const std::size_t last = (write.offset + write.data.size() - 1) / kBlock;
    for (std::size_t block = write.offset / kBlock; block <= last; ++block) used_[block] = true;
  }

  static void put(const Descriptor& file, std::uint64_t offset, std::span<const char> data) {
    const auto done = ::pwrite(file.number(), data.data(), data.size(), static_cast<::off_t>(offset));
    if (done != static_cast<::ssize_t>(data.size())) throw_errno("cannot write an image");
  }

  void write_unflushed(std::span<const DiskWrite> writes, const Cut& cut, const Descriptor& file) const {
    std::vector<const DiskWrite*> late;
    for (std::size_t i = covered_; i < cut.place; ++i) {
      if (holds(writes[i])) late.push_back(&writes[i]);
    }
    Chooser chooser{cut, late.size()};
    for (const DiskWrite* write : late) {
      const Fate fate = chooser.next();
      if (fate == Fate::written) put(file, write->offset, write->data);
      if (fate == Fate::torn) put_torn(file, *write, cut, chooser.random());
    }
  }

  static void put_torn(const Descriptor& file, const DiskWrite& write, const Cut& cut, Random& random) {
    const std::size_t unit = cut.tears ? kSector : write.data.size();
    for (std::size_t at = 0; at < write.data.size(); at += unit) {
      if (random.below(2) == 0) put(file, write.offset + at, write.data.subspan(at, unit));
    }
  }

  PrivateCopy image_;
  std::vector<bool> used_;   // blocks that hold anything
  std::size_t covered_ = 0;  // entries of the log that are in it
};

}  // namespace power
