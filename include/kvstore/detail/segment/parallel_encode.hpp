// SPDX-License-Identifier: MIT
#pragma once

// Encodes the segments of a store as lines of text with several threads. The lines come out in the order of
// the segments, as one thread would write them, so two saves of the same entries produce the same file.
//
// Each thread claims the next few segments, a run, and fills blocks with their lines. The calling thread
// hands out the blocks in the order of the runs. A thread that is ahead of that order keeps a few blocks
// ready and then waits. Memory is therefore bounded by the number of threads, not by the size of the store.

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/detail/change/line_buffer.hpp"
#include "kvstore/line_source.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class ParallelEncode {
 public:
  /// Appends some entries of a segment; false if those were its last. Several threads call this at once, but
  /// never for the same segment.
  using Encode = std::function<bool(std::size_t segment, LineBuffer& out)>;

  /// `threads` includes the calling one.
  ParallelEncode(std::size_t segments, std::size_t threads, Encode encode)
      : segments_{segments}, encode_{std::move(encode)}, workers_(std::max<std::size_t>(threads, 1)) {}
  ParallelEncode(const ParallelEncode&) = delete;
  ParallelEncode& operator=(const ParallelEncode&) = delete;
  ~ParallelEncode();

  /// Fetches the next lines, whose text lives until the next call. @throws the exception of encoding them
  bool next(EntryLines& lines);

  /// The fraction of the segments that was encoded, 0 to 1.
  [[nodiscard]] double fraction() const noexcept;

 private:
  static constexpr std::size_t kBlockBytes = std::size_t{128} << 10;
  static constexpr std::size_t kSpareBytes = std::size_t{80} << 10;  // the most that the last slice may add
  static constexpr std::size_t kBlocks = 4;                          // of one thread
  static constexpr std::uint64_t kWorthThreads = std::uint64_t{1} << 20;

  struct Block {
    LineBuffer lines;
    std::size_t run = 0;
    bool last = false;           // of its run
    std::exception_ptr failure;  // in place of the lines that are missing
  };

  struct Worker {
    std::array<Block, kBlocks> blocks;  // a ring; those from `first` to `end` are ready to be handed out
    std::size_t first = 0;
    std::size_t end = 0;
    // The rest of its run, used by the worker alone:
    std::size_t run = 0;
    std::size_t segment = 0;
    std::size_t stop = 0;

    [[nodiscard]] Block& at(std::size_t number) noexcept { return blocks[number % kBlocks]; }
  };

  // Handing out ------------------------------------------------------------------------------------------

  /// The owner of the block to hand out next; null if that block is not ready.
  [[nodiscard]] Worker* due_locked() noexcept;

  /// False if the block is empty.
  bool hand_out_locked(Worker& worker, EntryLines& lines);

  /// Returns the block that was handed out to its worker.
  void release();

  void start();

  // Encoding ---------------------------------------------------------------------------------------------

  void help();

  [[nodiscard]] static bool has_room(const Worker& worker) noexcept;

  /// Fills one block. False if nothing is left to encode.
  bool fill(Worker& worker);

  [[nodiscard]] bool claim(Worker& worker);

  /// As many segments as fill a block, judging by those encoded so far; fewer towards the end, so that all
  /// threads finish at about the same time.
  [[nodiscard]] std::size_t run_size_locked() const noexcept;

  void publish(Worker& worker, std::size_t segments, std::size_t bytes);

  const std::size_t segments_;
  const Encode encode_;

  // Used by the calling thread:
  Worker* handed_out_ = nullptr;  // its first block was handed out
  std::uint64_t handed_out_bytes_ = 0;

  mutable std::mutex mutex_;  // guards what follows, and the rings
  std::condition_variable changed_;
  bool ended_ = false;            // the helpers are to leave
  std::size_t next_segment_ = 0;  // the first unclaimed one
  std::size_t runs_ = 0;          // claimed so far
  std::size_t due_ = 0;           // the run to hand out next
  std::uint64_t encoded_segments_ = 0;
  std::uint64_t encoded_bytes_ = 0;
  std::size_t helping_ = 0;
  std::vector<Worker> workers_;
  std::vector<std::jthread> helpers_;  // last, so that they end before the members they use
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/segment/parallel_encode.ipp"
#endif
