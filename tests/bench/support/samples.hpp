// SPDX-License-Identifier: MIT
#pragma once

// Figures of several rounds: what a benchmark reports is their median and how far they spread.

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace bench {

/// One figure per round, in the order of the rounds.
class Samples {
 public:
  Samples() = default;
  explicit Samples(std::vector<double> values) : values_{std::move(values)} {}

  void add(double value) { values_.push_back(value); }

  [[nodiscard]] bool empty() const noexcept { return values_.empty(); }
  [[nodiscard]] const std::vector<double>& values() const noexcept { return values_; }
  [[nodiscard]] double min() const { return *std::min_element(values_.begin(), values_.end()); }
  [[nodiscard]] double max() const { return *std::max_element(values_.begin(), values_.end()); }
  [[nodiscard]] double median() const {
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const std::size_t middle = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

 private:
  std::vector<double> values_;
};

/// Round by round, so that a slow spell of the machine, which meets both, cancels out.
[[nodiscard]] inline Samples operator/(const Samples& a, const Samples& b) {
  Samples ratios;
  for (std::size_t i = 0; i < std::min(a.values().size(), b.values().size()); ++i) {
    ratios.add(a.values()[i] / b.values()[i]);
  }
  return ratios;
}

}  // namespace bench
