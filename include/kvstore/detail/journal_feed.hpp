// SPDX-License-Identifier: MIT
#pragma once

// How what a store logs reaches a storage's journal: in the order of the log, by whichever thread comes
// first.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "kvstore/detail/change_buffer.hpp"
#include "kvstore/detail/change_log.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

class JournalFeed {
 public:
  /// What the feed needs of its owner. No lock is held in `failed` and `outgrown`.
  struct Owner {
    std::function<std::uint64_t()> applied;  ///< the number of the last operation
    std::function<bool()> needs_everything;  ///< whether only a save of everything can help
    std::function<void(std::exception_ptr)>
        failed;                      ///< the journal broke; what it lacks waits for such a save
    std::function<void()> outgrown;  ///< the journal wants to be folded
  };

  JournalFeed(Journal& journal, ChangeLog& log, Owner owner)
      : journal_{journal}, log_{log}, owner_{std::move(owner)} {}

  /// Sees that the journal has everything up to operation `ticket`. @returns false if it is broken and needs
  /// a save of everything. Touches no storage once another thread has delivered that, since it may be closed
  /// then.
  bool deliver(std::uint64_t ticket) {
    if (delivered_.load(std::memory_order_acquire) < ticket) {
      deliver_under_lock([&] { return delivered_.load(std::memory_order_relaxed) < ticket; }, [] {});
    }
    return !broken_.load(std::memory_order_acquire);
  }

  /// Sees that it has everything. @returns the number of the last operation in it.
  std::uint64_t deliver_all() {
    return deliver_under_lock([] { return true; }, [] {});
  }

  /// The same, and the journal switches over at that point.
  std::uint64_t deliver_and_switch() {
    return deliver_under_lock([] { return true; }, [this] { journal_.switch_over(); });
  }

  /// Notes that everything was saved.
  void note_saved() {
    const std::scoped_lock lock{mutex_};
    broken_.store(owner_.needs_everything(), std::memory_order_release);
  }

  /// Bytes of keys and values that it has delivered.
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  template <class Due, class Then>
  std::uint64_t deliver_under_lock(const Due& due, const Then& then) {
    std::exception_ptr failure;
    bool outgrown = false;
    std::uint64_t last = 0;
    {
      const std::scoped_lock lock{mutex_};
      if (!due()) return delivered_.load(std::memory_order_relaxed);  // and the journal may be gone
      failure = deliver_locked();
      last = delivered_.load(std::memory_order_relaxed);
      outgrown = !failure && journal_.wants_compaction();
      then();
    }
    if (failure) owner_.failed(failure);
    if (outgrown) owner_.outgrown();
    return last;
  }

  /// Hands what was logged to the journal; returns why that failed. What a broken journal does not take is
  /// not lost: it waits for a save of everything.
  std::exception_ptr deliver_locked() {
    // Room for the largest step comes first: what has left the log must reach the journal, or break it.
    const auto make_room = [this](const ChangeBuffer& fresh) { step_.reserve(fresh.count()); };
    const std::uint64_t last = log_.move_to(outgoing_, make_room, owner_.applied);
    std::exception_ptr failure;
    try {
      append_outgoing();
      journal_.flush();
    } catch (...) { failure = std::current_exception(); }
    broken_.store(owner_.needs_everything(), std::memory_order_release);
    delivered_.store(last, std::memory_order_release);
    return failure;
  }

  void append_outgoing() {
    std::size_t begin = 0;
    for (const std::size_t end : outgoing_.groups()) {
      step_.clear();
      for (std::size_t i = begin; i < end; ++i) step_.push_back(outgoing_[i]);
      if (outgoing_.is_replacement(begin))
        journal_.break_off();
      else if (outgoing_.is_clear(begin))
        journal_.append_clear();
      else
        journal_.append(step_);
      begin = end;
    }
    bytes_.fetch_add(outgoing_.bytes(), std::memory_order_relaxed);
  }

  Journal& journal_;
  ChangeLog& log_;
  Owner owner_;
  std::atomic<std::uint64_t> bytes_ = 0;

  std::mutex mutex_;  // one thread at a time hands over; guards the next two
  ChangeBuffer outgoing_;
  std::vector<Change> step_;
  std::atomic<bool> broken_ = false;          // the journal takes nothing until everything is saved
  std::atomic<std::uint64_t> delivered_ = 0;  // the last operation that the journal was handed
};

}  // namespace kvstore::inline v0::detail
