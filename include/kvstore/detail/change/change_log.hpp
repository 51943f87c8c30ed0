// SPDX-License-Identifier: MIT
#pragma once

// What changed since the last save, in the order in which it happened, for storages that save changes. Only
// memory, and no lock: its owner has one.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class ChangeLog {
 public:
  /// Appends changes, which happened in one step. False if they are too many, so that the log is given up
  /// now.
  [[nodiscard]] bool append(const ChangeBuffer& changes) {
    if (given_up_) return true;
    fresh_.append(changes);
    const std::size_t bytes = fresh_.bytes() + taken_.bytes();
    const std::size_t count = fresh_.count() + taken_.count();
    if (bytes <= kAlwaysKept || count <= entries_) return true;
    give_up();
    return false;
  }

  /// Drops what was logged, and logs nothing until `take` or `move_to`: only everything can tell what is so.
  void give_up() noexcept {
    given_up_ = true;
    fresh_ = {};
  }

  /// How many entries the store has: more changes than that are not worth keeping.
  void expect(std::uint64_t entries) noexcept { entries_ = entries; }

  /// Sets aside what was logged so far, behind what an earlier save failed to save.
  void take() {
    if (taken_.empty()) {
      std::swap(taken_, fresh_);
    } else {
      taken_.append(fresh_);
      fresh_.clear();
    }
    given_up_ = false;
  }
  /// What was set aside. The thread that saves may look at it without the owner's lock.
  [[nodiscard]] const ChangeBuffer& taken() const noexcept { return taken_; }
  void drop_taken() noexcept { taken_.clear_and_shrink(); }

  /// Moves what was logged so far into `into`, whose room is used again.
  void move_to(ChangeBuffer& into) noexcept {
    into.clear_and_shrink();
    std::swap(into, fresh_);
    given_up_ = false;
  }

 private:
  static constexpr std::size_t kAlwaysKept = std::size_t{1} << 20;  // bytes

  ChangeBuffer fresh_;
  ChangeBuffer taken_;
  std::uint64_t entries_ = 0;
  bool given_up_ = false;
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

}}}  // namespace kvstore::v1::detail
