// SPDX-License-Identifier: MIT
#pragma once

// The marks of one segment: what has changed since the last save that took them.

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/segment/position_bits.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: none.
class Marks {
 public:
  /// Shorter than the table until something changes.
  [[nodiscard]] PositionBits& entries() noexcept { return entries_; }
  [[nodiscard]] ChangeBuffer& removed() noexcept { return removed_; }

  /// Whether there are so many removals that they should be looked through.
  [[nodiscard]] bool is_long() const noexcept { return removed_.bytes() > looked_through_at_; }
  /// Keeps each removed key once. False if more than `most` are left, or memory is short: then all marks are
  /// forgotten.
  [[nodiscard]] bool look_through(std::size_t most) noexcept {
    try {
      std::vector<std::string_view> keys;
      keys.reserve(removed_.count());
      for (std::size_t i = 0; i < removed_.count(); ++i) keys.push_back(removed_[i].key);
      std::sort(keys.begin(), keys.end());
      keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
      if (keys.size() > most) return forget(), false;
      ChangeBuffer each;
      for (const std::string_view key : keys) each.put(Change{key, {}});
      removed_ = std::move(each);
      looked_through_at_ = std::max(kLong, 2 * removed_.bytes());
      return true;
    } catch (...) { return forget(), false; }
  }

  void forget() noexcept {
    entries_.reset();
    removed_ = ChangeBuffer{};
    looked_through_at_ = kLong;
  }
  /// Hands over the marks, in exchange for empty ones, whose memory is used further.
  void take(PositionBits& entries, ChangeBuffer& removed) noexcept {
    std::swap(entries_, entries);
    std::swap(removed_, removed);
    looked_through_at_ = kLong;
  }

 private:
  static constexpr std::size_t kLong = std::size_t{16} << 10;  // bytes

  PositionBits entries_;
  std::size_t looked_through_at_ = kLong;
  ChangeBuffer removed_;
};

}}}  // namespace kvstore::v1::detail
