// SPDX-License-Identifier: MIT
#pragma once

// Counts what passes from a store to a storage, and tells a progress callback.

#include <algorithm>
#include <cstdint>
#include <functional>

#include "kvstore/detail/json/entry_line.hpp"
#include "kvstore/line_source.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class ProgressSource final : public ChangeSource, private LineSource {
 public:
  ProgressSource(ChangeSource& source, const std::function<void(const Progress&)>& progress,
                 Progress::Phase phase = Progress::Phase::save)
      : ChangeSource{source.scope(), source.schema_version()},
        source_{source},
        lines_{source.lines()},
        progress_{progress},
        phase_{phase} {}

  bool next(Change& change) override {
    const bool more = source_.next(change);
    count(more ? 1 : 0, more ? change.key.size() + (change.value ? change.value->size() : 0) : 0, !more);
    return more;
  }

  [[nodiscard]] LineSource* lines() noexcept override { return lines_ != nullptr ? this : nullptr; }
  [[nodiscard]] double fraction() const noexcept override { return source_.fraction(); }

  [[nodiscard]] std::uint64_t entries() const noexcept { return entries_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  bool next_lines(EntryLines& lines) override {
    const bool more = lines_->next_lines(lines);
    count(more ? lines.entries : 0, more ? lines.text.size() - kLinePunctuation * lines.entries : 0, !more);
    return more;
  }

  void count(std::uint64_t entries, std::uint64_t bytes, bool finished) {
    constexpr std::uint64_t kEvery = 4096;
    const bool due = (entries_ + entries) / kEvery != entries_ / kEvery;
    entries_ += entries;
    bytes_ += bytes;
    if (progress_ && (finished || due)) report(finished);
  }

  void report(bool finished) {
    fraction_ = finished ? 1 : std::clamp(source_.fraction(), fraction_, 1.0);
    progress_({phase_, entries_, bytes_, fraction_, finished});
  }

  ChangeSource& source_;
  LineSource* lines_;  // of the source, if it has them
  const std::function<void(const Progress&)>& progress_;
  Progress::Phase phase_;
  std::uint64_t entries_ = 0;
  std::uint64_t bytes_ = 0;
  double fraction_ = 0;  // as last reported
};

}}}  // namespace kvstore::v1::detail
