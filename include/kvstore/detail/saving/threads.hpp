// SPDX-License-Identifier: MIT
#pragma once

// The threads of a store: the auto-saver, and the compactor for a journal that has outgrown its base file.

#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>
#include <utility>

#include "kvstore/detail/base/disk_priority.hpp"
#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/base/waking_thread.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Means>
class SaveThreads {
 public:
  using Delay = typename WakingThread<Means>::Delay;

  /// `path` is for messages. @throws StorageError if the system has no thread to give
  void start_saver(const std::filesystem::path& path, std::function<Delay()> delay,
                   std::function<void()> save) {
    start_needed(path, [&] { saver_.emplace(std::move(delay), std::move(save)); });
  }
  void start_compactor(const std::filesystem::path& path, std::function<void()> compact) {
    const auto work = [this, compact = std::move(compact)] {
      come_last_at_disk();
      if (outgrown_.exchange(false, std::memory_order_relaxed)) compact();
    };
    start_needed(path, [&] { compactor_.emplace([] { return Delay{}; }, work); });
  }

  /// Has a save tried soon, if there is an auto-saver.
  void wake_saver() {
    if (saver_) saver_->wake();
  }
  /// Has the journal compacted soon. There must be a compactor.
  void note_outgrown() {
    outgrown_.store(true, std::memory_order_relaxed);
    compactor_->wake();
  }
  /// Records that another thread has compacted the journal.
  void note_compacted() noexcept { outgrown_.store(false, std::memory_order_relaxed); }

  [[nodiscard]] bool has_this_thread() const noexcept {
    return (saver_ && saver_->is_this_thread()) || (compactor_ && compactor_->is_this_thread());
  }

  void stop() {
    if (saver_) saver_->stop();
    if (compactor_) compactor_->stop();
  }
  /// The same without waiting for work under way.
  void leave() noexcept {
    if (saver_) saver_->leave();
    if (compactor_) compactor_->leave();
  }

 private:
  std::atomic<bool> outgrown_ = false;  // until the compactor has seen it
  std::optional<WakingThread<Means>> compactor_;
  std::optional<WakingThread<Means>> saver_;
};

}}}  // namespace kvstore::v1::detail
