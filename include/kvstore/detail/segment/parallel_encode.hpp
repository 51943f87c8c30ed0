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

#include "kvstore/detail/base/helper_threads.hpp"
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
  ~ParallelEncode() {
    const std::scoped_lock lock{mutex_};
    ended_ = true;
    changed_.notify_all();
  }

  /// Fetches the next lines, whose text lives until the next call. @throws the exception of encoding them
  bool next(EntryLines& lines) {
    release();
    while (true) {
      std::unique_lock lock{mutex_};
      if (Worker* const worker = due_locked()) {
        if (hand_out_locked(*worker, lines)) return true;
        continue;
      }
      if (due_ == runs_ && next_segment_ == segments_) return false;
      lock.unlock();
      if (has_room(workers_.front()) && fill(workers_.front())) continue;
      lock.lock();
      changed_.wait(lock, [this] { return due_locked() != nullptr; });
    }
  }

  /// The fraction of the segments that was encoded, 0 to 1.
  [[nodiscard]] double fraction() const noexcept {
    const std::scoped_lock lock{mutex_};
    return static_cast<double>(encoded_segments_) / static_cast<double>(segments_);
  }

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
  [[nodiscard]] Worker* due_locked() noexcept {
    for (Worker& worker : workers_) {
      if (worker.first != worker.end && worker.at(worker.first).run == due_) return &worker;
    }
    return nullptr;
  }

  /// False if the block is empty.
  bool hand_out_locked(Worker& worker, EntryLines& lines) {
    Block& block = worker.at(worker.first);
    if (block.last) ++due_;
    if (block.failure) std::rethrow_exception(block.failure);
    if (block.lines.bytes() == 0) return ++worker.first, false;
    handed_out_ = &worker;
    handed_out_bytes_ += block.lines.bytes();
    lines = block.lines.lines();
    return true;
  }

  /// Returns the block that was handed out to its worker.
  void release() {
    if (handed_out_bytes_ >= kWorthThreads && helpers_.empty() && workers_.size() > 1) start();
    if (handed_out_ == nullptr) return;
    const std::scoped_lock lock{mutex_};
    ++handed_out_->first;
    Worker& mine = workers_.front();
    if (mine.first == mine.end) mine.first = mine.end = 0;  // reuse the same block: it is in the cache
    handed_out_ = nullptr;
    changed_.notify_all();
  }

  void start() {
    handed_out_bytes_ = 0;
    helpers_ = start_helpers(workers_.size() - 1, [this] { help(); });
  }

  // Encoding ---------------------------------------------------------------------------------------------

  void help() {
    std::unique_lock lock{mutex_};
    Worker& worker = workers_[++helping_];
    while (true) {
      changed_.wait(lock, [&] { return ended_ || has_room(worker); });
      if (ended_) return;
      lock.unlock();
      if (!fill(worker)) return;
      lock.lock();
    }
  }

  [[nodiscard]] static bool has_room(const Worker& worker) noexcept {
    return worker.end - worker.first < kBlocks;
  }

  /// Fills one block. False if nothing is left to encode.
  bool fill(Worker& worker) {
    if (worker.segment == worker.stop && !claim(worker)) return false;
    Block& block = worker.at(worker.end);
    const std::size_t begin = worker.segment;
    try {
      block.failure = nullptr;
      block.lines.clear();
      block.lines.reserve(kBlockBytes + kSpareBytes);
      while (worker.segment != worker.stop && block.lines.bytes() < kBlockBytes) {
        if (!encode_(worker.segment, block.lines)) ++worker.segment;
      }
    } catch (...) {
      block.failure = std::current_exception();
      worker.segment = worker.stop;
    }
    block.run = worker.run;
    block.last = worker.segment == worker.stop;
    publish(worker, worker.segment - begin, block.lines.bytes());
    return true;
  }

  [[nodiscard]] bool claim(Worker& worker) {
    const std::scoped_lock lock{mutex_};
    if (next_segment_ == segments_) return false;
    worker.run = runs_++;
    worker.segment = next_segment_;
    next_segment_ += run_size_locked();
    worker.stop = next_segment_;
    return true;
  }

  /// As many segments as fill a block, judging by those encoded so far; fewer towards the end, so that all
  /// threads finish at about the same time.
  [[nodiscard]] std::size_t run_size_locked() const noexcept {
    const std::uint64_t fill_a_block =
        kBlockBytes * encoded_segments_ / std::max<std::uint64_t>(encoded_bytes_, 1);
    const std::size_t most = (segments_ - next_segment_) / (4 * workers_.size());
    return static_cast<std::size_t>(
        std::clamp<std::uint64_t>(fill_a_block, 1, std::max<std::size_t>(most, 1)));
  }

  void publish(Worker& worker, std::size_t segments, std::size_t bytes) {
    const std::scoped_lock lock{mutex_};
    ++worker.end;
    encoded_segments_ += segments;
    encoded_bytes_ += bytes;
    changed_.notify_all();
  }

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
