// SPDX-License-Identifier: MIT
#pragma once

// A point in time of a store, as a save is handed it.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/change/line_buffer.hpp"
#include "kvstore/detail/segment/cut.hpp"
#include "kvstore/detail/segment/guards.hpp"
#include "kvstore/detail/segment/parallel_encode.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/line_source.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Every entry of a store as of the moment of its construction, while writers go on. One at a time.
template <class Key, class Value, class Mutex>
class SnapshotSource final : public ChangeSource, private LineSource {
 public:
  using Table = DenseMap<Key, Value>;

  /// `threads` encode lines, if there are many.
  SnapshotSource(const std::vector<Table>& tables, Segments<Key, Value, Mutex>& segments,
                 std::uint32_t schema_version, std::size_t threads)
      : ChangeSource{SaveScope::everything, schema_version},
        tables_{tables},
        segments_{segments},
        threads_{threads},
        epoch_{segments.open_cut()} {}

  ~SnapshotSource() override {
    lines_.reset();  // waits for its threads
    segments_.close_cut();
    for (std::size_t i = 0; !ended_ && i < segments_.size(); ++i) {
      const std::unique_lock lock{segments_[i].mutex};  // enough for the cut
      segments_[i].cut.abandon(epoch_);
    }
  }

  bool next(Change& change) override {
    while (index_ == slice_.count()) {
      ended_ = segment_ == segments_.size();
      if (ended_) return false;
      slice_.clear();
      index_ = 0;
      if (!encode_slice(segment_, slice_)) ++segment_;
    }
    change = slice_[index_++];
    return true;
  }

  [[nodiscard]] LineSource* lines() noexcept override { return this; }

  [[nodiscard]] double fraction() const noexcept override {
    const auto segments = static_cast<double>(segments_.size());
    return lines_ ? lines_->fraction() : static_cast<double>(segment_) / segments;
  }

 private:
  bool next_lines(EntryLines& lines) override {
    if (!lines_) {
      const auto encode = [this](std::size_t segment, LineBuffer& out) { return encode_slice(segment, out); };
      lines_.emplace(segments_.size(), threads_, encode);
    }
    ended_ = !lines_->next(lines);
    return !ended_;
  }

  template <class Out>
  bool encode_slice(std::size_t segment, Out& out) {
    auto& guard = segments_[segment];
    const std::shared_lock lock{guard.mutex};
    return guard.cut.encode_slice(epoch_, tables_[segment], out);
  }

  const std::vector<Table>& tables_;
  Segments<Key, Value, Mutex>& segments_;
  const std::size_t threads_;
  const Epoch epoch_;
  bool ended_ = false;  // every segment was read
  std::optional<ParallelEncode> lines_;

  // For `next`:
  std::size_t segment_ = 0;
  ChangeBuffer slice_;
  std::size_t index_ = 0;  // of the next change in the slice
};

}}}  // namespace kvstore::v1::detail
