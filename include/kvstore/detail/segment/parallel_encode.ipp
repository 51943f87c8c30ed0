// SPDX-License-Identifier: MIT
#pragma once

// The definitions of parallel_encode.hpp.

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <vector>

#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/change/line_buffer.hpp"
#include "kvstore/detail/segment/parallel_encode.hpp"
#include "kvstore/line_source.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE ParallelEncode::~ParallelEncode() {
  const std::scoped_lock lock{mutex_};
  ended_ = true;
  changed_.notify_all();
}

KVSTORE_INLINE bool ParallelEncode::next(EntryLines& lines) {
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

KVSTORE_INLINE double ParallelEncode::fraction() const noexcept {
  const std::scoped_lock lock{mutex_};
  return static_cast<double>(encoded_segments_) / static_cast<double>(segments_);
}

KVSTORE_INLINE auto ParallelEncode::due_locked() noexcept -> Worker* {
  for (Worker& worker : workers_) {
    if (worker.first != worker.end && worker.at(worker.first).run == due_) return &worker;
  }
  return nullptr;
}

KVSTORE_INLINE bool ParallelEncode::hand_out_locked(Worker& worker, EntryLines& lines) {
  Block& block = worker.at(worker.first);
  if (block.last) ++due_;
  if (block.failure) std::rethrow_exception(block.failure);
  if (block.lines.bytes() == 0) return ++worker.first, false;
  handed_out_ = &worker;
  handed_out_bytes_ += block.lines.bytes();
  lines = block.lines.lines();
  return true;
}

KVSTORE_INLINE void ParallelEncode::release() {
  if (handed_out_bytes_ >= kWorthThreads && helpers_.empty() && workers_.size() > 1) start();
  if (handed_out_ == nullptr) return;
  const std::scoped_lock lock{mutex_};
  ++handed_out_->first;
  Worker& mine = workers_.front();
  if (mine.first == mine.end) mine.first = mine.end = 0;  // reuse the same block: it is in the cache
  handed_out_ = nullptr;
  changed_.notify_all();
}

KVSTORE_INLINE void ParallelEncode::start() {
  handed_out_bytes_ = 0;
  helpers_ = start_helpers(workers_.size() - 1, [this] { help(); });
}

KVSTORE_INLINE void ParallelEncode::help() {
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

KVSTORE_INLINE bool ParallelEncode::has_room(const Worker& worker) noexcept {
  return worker.end - worker.first < kBlocks;
}

KVSTORE_INLINE bool ParallelEncode::fill(Worker& worker) {
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

KVSTORE_INLINE bool ParallelEncode::claim(Worker& worker) {
  const std::scoped_lock lock{mutex_};
  if (next_segment_ == segments_) return false;
  worker.run = runs_++;
  worker.segment = next_segment_;
  next_segment_ += run_size_locked();
  worker.stop = next_segment_;
  return true;
}

KVSTORE_INLINE std::size_t ParallelEncode::run_size_locked() const noexcept {
  const std::uint64_t fill_a_block =
      kBlockBytes * encoded_segments_ / std::max<std::uint64_t>(encoded_bytes_, 1);
  const std::size_t most = (segments_ - next_segment_) / (4 * workers_.size());
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(fill_a_block, 1, std::max<std::size_t>(most, 1)));
}

KVSTORE_INLINE void ParallelEncode::publish(Worker& worker, std::size_t segments, std::size_t bytes) {
  const std::scoped_lock lock{mutex_};
  ++worker.end;
  encoded_segments_ += segments;
  encoded_bytes_ += bytes;
  changed_.notify_all();
}

}}}  // namespace kvstore::v1::detail
