// SPDX-License-Identifier: MIT
#pragma once

// The changes since the last save, in order, for storages that save changes. Plain memory without a lock: the
// owner has one.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/contract/line_window.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class ChangeLog {
 public:
  /// Appends changes, which happened in one step. False if there are now too many, so that the log must be
  /// given up.
  [[nodiscard]] bool append(const ChangeBuffer& changes) {
    if (given_up_) return true;
    fresh_.append(changes);
    return keeps();
  }
  /// The same for the line of these many operations, for a journal that takes lines.
  [[nodiscard]] bool append(const LinePieces& line, std::uint64_t operations) {
    if (given_up_) return true;
    lines_.text.reserve(lines_.text.size() + line.size());
    lines_.text.raw(line.checksum);
    lines_.text.raw(line.rest);
    lines_.operations += operations;
    return keeps();
  }

  /// Drops the log, and logs nothing until `take` or `move_to`: only a save of everything can represent the
  /// state now.
  void give_up() noexcept {
    given_up_ = true;
    fresh_ = {};
    lines_ = {};
  }

  /// The number of entries in the store: more changes than entries are not worth keeping.
  void expect(std::uint64_t entries) noexcept { entries_ = entries; }

  /// Sets the logged changes aside, after those that an earlier save failed to save.
  void take() {
    if (taken_.empty()) {
      std::swap(taken_, fresh_);
    } else {
      taken_.append(fresh_);
      fresh_.clear();
    }
    given_up_ = false;
  }
  /// The changes set aside. The thread that saves may read them without the owner's lock.
  [[nodiscard]] const ChangeBuffer& taken() const noexcept { return taken_; }
  void drop_taken() noexcept { taken_.clear_and_shrink(); }

  /// Lines of operations.
  struct Lines {
    JsonWriter text;
    std::uint64_t operations = 0;

    void clear() noexcept {
      text.clear();
      text.shrink(kAlwaysKept);  // a huge value must not occupy its memory for as long as the store lives
      operations = 0;
    }
  };

  /// Moves what is logged into `changes` and `lines`, whose memory is reused.
  void move_to(ChangeBuffer& changes, Lines& lines) noexcept {
    changes.clear_and_shrink();
    lines.clear();
    std::swap(changes, fresh_);
    std::swap(lines, lines_);
    given_up_ = false;
  }
  /// The lines logged so far.
  [[nodiscard]] Lines& lines() noexcept { return lines_; }

 private:
  static constexpr std::size_t kAlwaysKept = std::size_t{1} << 20;  // bytes

  [[nodiscard]] bool keeps() noexcept {
    const std::size_t bytes = fresh_.bytes() + taken_.bytes() + lines_.text.size();
    const std::uint64_t count = fresh_.count() + taken_.count() + lines_.operations;
    if (bytes <= kAlwaysKept || count <= entries_) return true;
    give_up();
    return false;
  }

  ChangeBuffer fresh_;
  ChangeBuffer taken_;
  Lines lines_;
  std::uint64_t entries_ = 0;
  bool given_up_ = false;
};

/// Hands over the changes that a log has set aside.
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
