// SPDX-License-Identifier: MIT
#pragma once

// What changed since the last save, in the order in which it happened, for storages that save changes. Only
// memory: the storage sees it later, under no lock that readers or writers of entries need.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

#include "kvstore/detail/change_buffer.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

class ChangeLog {
 public:
  /// Appends changes, and counts them by `count()` in the same step, so that counts follow the log's order.
  template <class Count>
  auto append(const ChangeBuffer& changes, const Count& count) {
    const std::scoped_lock lock{mutex_};
    fresh_.append(changes);
    return count();
  }

  /// Sets aside what was logged so far, behind what an earlier save failed to save. @returns `count()` of
  /// the same moment.
  template <class Count>
  auto take(const Count& count) {
    const std::scoped_lock lock{mutex_};
    if (taken_.empty()) {
      std::swap(taken_, fresh_);
    } else {
      taken_.append(fresh_);
      fresh_.clear();
    }
    return count();
  }

  /// Moves what was logged so far into `into`, unless `prepare(changes)` throws. @returns `count()` of the
  /// same moment.
  template <class Prepare, class Count>
  auto move_to(ChangeBuffer& into, const Prepare& prepare, const Count& count) {
    into.clear();
    const std::scoped_lock lock{mutex_};
    prepare(std::as_const(fresh_));
    std::swap(into, fresh_);
    return count();
  }

  /// What was set aside. One thread at a time, the one that saves.
  [[nodiscard]] const ChangeBuffer& taken() const noexcept { return taken_; }
  void drop_taken() noexcept { taken_.clear(); }

 private:
  std::mutex mutex_;
  ChangeBuffer fresh_;
  ChangeBuffer taken_;
};

/// Hands over what a log has set aside.
class LoggedChanges final : public ChangeSource {
 public:
  LoggedChanges(const ChangeBuffer& changes, std::uint32_t schema_version) noexcept
      : ChangeSource{SaveScope::changes, schema_version}, changes_{changes} {}

  bool next(Change& change) override {
    if (index_ == changes_.count()) return false;
    change = changes_[index_++];
    return true;
  }
  [[nodiscard]] double fraction() const noexcept override {
    return changes_.empty() ? 0 : static_cast<double>(index_) / static_cast<double>(changes_.count());
  }

 private:
  const ChangeBuffer& changes_;
  std::size_t index_ = 0;
};

}  // namespace kvstore::inline v0::detail
