// SPDX-License-Identifier: MIT
#pragma once

// Counts the data that pass from a store to a storage, and calls a progress callback.

#include <algorithm>
#include <cstdint>
#include <functional>

#include "kvstore/detail/json/entry_line.hpp"
#include "kvstore/detail/saving/progress_count.hpp"
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

  [[nodiscard]] std::uint64_t entries() const noexcept { return count_.entries; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return count_.bytes; }

 private:
  bool next_lines(EntryLines& lines) override {
    const bool more = lines_->next_lines(lines);
    count(more ? lines.entries : 0, more ? lines.text.size() - kLinePunctuation * lines.entries : 0, !more);
    return more;
  }

  void count(std::uint64_t entries, std::uint64_t bytes, bool finished) {
    const bool due = count_.add(entries, bytes);
    if (progress_ && (finished || due)) report(finished);
  }

  void report(bool finished) {
    fraction_ = finished ? 1 : std::clamp(source_.fraction(), fraction_, 1.0);
    progress_({phase_, count_.entries, count_.bytes, fraction_, finished});
  }

  ChangeSource& source_;
  LineSource* lines_;  // of the source, if it has them
  const std::function<void(const Progress&)>& progress_;
  Progress::Phase phase_;
  ProgressCount count_;
  double fraction_ = 0;  // as last reported
};

}}}  // namespace kvstore::v1::detail
