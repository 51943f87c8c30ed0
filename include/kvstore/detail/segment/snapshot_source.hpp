// SPDX-License-Identifier: MIT
#pragma once

// A point in time of a store, in the form that a save gets.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <shared_mutex>

#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/change/line_buffer.hpp"
#include "kvstore/detail/segment/cut_number.hpp"
#include "kvstore/detail/segment/guards.hpp"
#include "kvstore/detail/segment/parallel_encode.hpp"
#include "kvstore/detail/table/tables.hpp"
#include "kvstore/line_source.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// A moment of all segments, held open during its lifetime and read by `encode_slice`. One at a time.
template <class Key, class Value, class Mutex>
class OpenCut {
 public:
  OpenCut(const Tables<Key, Value>& tables, Segments<Key, Value, Mutex>& segments, CutKind kind)
      : tables_{tables}, segments_{segments}, number_{segments.open_cut(kind)} {}
  OpenCut(const OpenCut&) = delete;
  OpenCut& operator=(const OpenCut&) = delete;
  ~OpenCut() {
    segments_.close_cut();
    if (ended_.load(std::memory_order_relaxed) == segments_.size()) return;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const std::unique_lock lock{segments_[i].mutex};  // guards the cut; readers of the table may stay
      segments_[i].cut.abandon(number_);
    }
  }

  [[nodiscard]] std::size_t segments() const noexcept { return segments_.size(); }

  /// Encodes the next slice of a segment into `out`; false, once, if that was its last. Several threads may
  /// call this at once, but never for the same segment.
  template <class Out>
  bool encode_slice(std::size_t segment, Out& out) {
    auto& guard = segments_[segment];
    const std::shared_lock lock{guard.mutex};
    const bool more = guard.cut.encode_slice(number_, tables_[segment], out);
    if (!more) ended_.fetch_add(1, std::memory_order_relaxed);
    return more;
  }

 private:
  const Tables<Key, Value>& tables_;
  Segments<Key, Value, Mutex>& segments_;
  const CutNumber number_;
  std::atomic<std::size_t> ended_ = 0;  // segments read to the end
};

/// Every entry of a store as of the moment of its construction, or every marked one, while writers go on. One
/// at a time.
template <class Key, class Value, class Mutex>
class SnapshotSource final : public ChangeSource, private LineSource {
 public:
  using Cut = OpenCut<Key, Value, Mutex>;

  /// `threads` encode lines, if there are many.
  SnapshotSource(const Tables<Key, Value>& tables, Segments<Key, Value, Mutex>& segments, CutKind kind,
                 std::uint32_t schema_version, std::size_t threads)
      : ChangeSource{scope_of(kind), schema_version}, threads_{threads}, cut_{tables, segments, kind} {}

  bool next(Change& change) override {
    while (index_ == slice_.count()) {
      if (segment_ == cut_.segments()) return false;
      slice_.clear();
      index_ = 0;
      if (!cut_.encode_slice(segment_, slice_)) ++segment_;
    }
    change = slice_[index_++];
    return true;
  }

  [[nodiscard]] LineSource* lines() noexcept override {
    return scope() == SaveScope::everything ? this : nullptr;
  }

  [[nodiscard]] double fraction() const noexcept override {
    return lines_ ? lines_->fraction() : static_cast<double>(segment_) / static_cast<double>(cut_.segments());
  }

 private:
  [[nodiscard]] static SaveScope scope_of(CutKind kind) noexcept {
    return kind == CutKind::changes ? SaveScope::changes : SaveScope::everything;
  }

  bool next_lines(EntryLines& lines) override {
    if (!lines_) {
      const auto encode = [&cut = cut_](std::size_t segment, LineBuffer& out) {
        return cut.encode_slice(segment, out);
      };
      lines_.emplace(cut_.segments(), threads_, encode);
    }
    return lines_->next(lines);
  }

  const std::size_t threads_;
  Cut cut_;
  std::optional<ParallelEncode> lines_;  // after the cut, which the threads read until they end

  // For `next`:
  std::size_t segment_ = 0;
  ChangeBuffer slice_;
  std::size_t index_ = 0;  // of the next change in the slice
};

}}}  // namespace kvstore::v1::detail
