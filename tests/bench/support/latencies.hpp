// SPDX-License-Identifier: MIT
#pragma once

// Latencies of many operations in little memory.

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "bench/support/rounds.hpp"

namespace bench {

/// A histogram of nanoseconds: exact below 64, beyond that to within 3 %.
class Latencies {
 public:
  void add(Clock::duration duration) noexcept {
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0));
    ++counts_[bucket_of(value)];
    ++total_;
    max_ = std::max(max_, value);
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return total_; }
  /// In seconds.
  [[nodiscard]] double max() const noexcept { return static_cast<double>(max_) * 1e-9; }
  /// The time within which the fraction `share` of all operations ended, in seconds, rounded up.
  [[nodiscard]] double percentile(double share) const noexcept {
    const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= rank) return static_cast<double>(std::min(last_of(i), max_)) * 1e-9;
    }
    return max();
  }

 private:
  // A number of 64 and more falls into one of 32 buckets per power of two, by its six highest bits.
  static constexpr unsigned kBits = 6;

  static std::size_t bucket_of(std::uint64_t value) noexcept {
    const auto width = static_cast<unsigned>(std::bit_width(value));
    if (width <= kBits) return static_cast<std::size_t>(value);
    const unsigned shift = width - kBits;
    return (std::size_t{shift} << (kBits - 1)) + static_cast<std::size_t>(value >> shift);
  }
  static std::uint64_t last_of(std::size_t bucket) noexcept {
    constexpr std::size_t kHalf = std::size_t{1} << (kBits - 1);
    if (bucket < 2 * kHalf) return bucket;
    const std::size_t shift = bucket / kHalf - 1;
    return ((std::uint64_t{bucket % kHalf + kHalf} + 1) << shift) - 1;
  }

  std::array<std::uint64_t, 64 * 32> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
};

/// Latencies of operations that were due at fixed times.
struct PacedLatencies {
  /// From when an operation was due: one that had to wait because those before it were stopped is slow as
  /// well. A loop that times its calls alone meets each stop once and finds everything else fast.
  Latencies since_due;
  Latencies call;  ///< from when it began
};

/// Runs `operation(prepare(i))` at a fixed rate while `more(due)`.
template <class Prepare, class Operation, class More>
[[nodiscard]] PacedLatencies paced(Clock::duration interval, const Prepare& prepare,
                                   const Operation& operation, const More& more) {
  PacedLatencies latencies;
  Clock::time_point due = Clock::now();
  for (std::size_t i = 0; more(due); ++i, due += interval) {
    auto prepared = prepare(i);
    Clock::time_point start;
    while ((start = Clock::now()) < due) {}
    operation(std::move(prepared));
    const auto end = Clock::now();
    latencies.since_due.add(end - due);
    latencies.call.add(end - start);
  }
  return latencies;
}

}  // namespace bench
