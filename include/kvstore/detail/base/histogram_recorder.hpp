// SPDX-License-Identifier: MIT
#pragma once

// A histogram that several threads add to. Only for durations that are long compared with counting them, such
// as waiting.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "kvstore/metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class HistogramRecorder {
 public:
  using Clock = std::chrono::steady_clock;

  void add(std::chrono::nanoseconds duration) noexcept {
    buckets_[Histogram::bucket_of(duration)].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(duration.count(), std::memory_order_relaxed);
  }

  [[nodiscard]] Histogram histogram() const noexcept {
    Histogram result;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      result.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    }
    result.sum = std::chrono::nanoseconds{sum_.load(std::memory_order_relaxed)};
    return result;
  }

 private:
  std::array<std::atomic<std::uint64_t>, Histogram::kBounds + 1> buckets_{};
  std::atomic<std::int64_t> sum_ = 0;
};

/// Records its own lifetime.
class TimeRecorded {
 public:
  explicit TimeRecorded(HistogramRecorder& recorder) noexcept : recorder_{recorder} {}
  TimeRecorded(const TimeRecorded&) = delete;
  TimeRecorded& operator=(const TimeRecorded&) = delete;
  ~TimeRecorded() { recorder_.add(HistogramRecorder::Clock::now() - start_); }

 private:
  HistogramRecorder& recorder_;
  HistogramRecorder::Clock::time_point start_ = HistogramRecorder::Clock::now();
};

}}}  // namespace kvstore::v1::detail
