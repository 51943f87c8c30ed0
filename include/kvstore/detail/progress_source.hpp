// SPDX-License-Identifier: MIT
#pragma once

// Counts what passes from a store to a storage, and tells a progress callback.

#include <algorithm>
#include <cstdint>
#include <functional>

#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore::inline v0::detail {

class ProgressSource final : public ChangeSource {
 public:
  ProgressSource(ChangeSource& source, const std::function<void(const Progress&)>& progress,
                 Progress::Phase phase = Progress::Phase::save)
      : ChangeSource{source.scope(), source.schema_version()},
        source_{source},
        progress_{progress},
        phase_{phase} {}

  bool next(Change& change) override {
    const bool more = source_.next(change);
    if (more) {
      ++entries_;
      bytes_ += change.key.size() + (change.value ? change.value->size() : 0);
    }
    if (progress_ && (!more || entries_ % 4096 == 0)) report(!more);
    return more;
  }
  [[nodiscard]] double fraction() const noexcept override { return source_.fraction(); }

  [[nodiscard]] std::uint64_t entries() const noexcept { return entries_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  void report(bool finished) {
    fraction_ = finished ? 1 : std::clamp(source_.fraction(), fraction_, 1.0);
    progress_({phase_, entries_, bytes_, fraction_, finished});
  }

  ChangeSource& source_;
  const std::function<void(const Progress&)>& progress_;
  Progress::Phase phase_;
  std::uint64_t entries_ = 0;
  std::uint64_t bytes_ = 0;
  double fraction_ = 0;  // as last reported
};

}  // namespace kvstore::inline v0::detail
