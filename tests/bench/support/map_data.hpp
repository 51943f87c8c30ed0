// SPDX-License-Identifier: MIT
#pragma once

// The keys, values and orders of access that the benchmark of maps uses. All of it is made beforehand, and an
// operation's key lies beside that of the next, so that what is measured is the map.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "bench/support/data.hpp"

namespace bench {

/// Key number `index`: 16 hexadecimal digits, or a number; in no order.
template <class Key>
[[nodiscard]] Key map_key(std::size_t index) {
  if constexpr (std::is_integral_v<Key>)
    return static_cast<Key>(scatter(index));
  else
    return key_of(index);
}

/// The value of number `index`: 100 bytes of text, or a number.
template <class Value>
[[nodiscard]] Value map_value(std::size_t index) {
  if constexpr (std::is_integral_v<Value>)
    return static_cast<Value>(index);
  else
    return value_of(index);
}

enum class Spread { uniform, zipfian };
inline constexpr std::array kSpreads{Spread::uniform, Spread::zipfian};

[[nodiscard]] inline std::string name_of(Spread spread) {
  return spread == Spread::uniform ? "uniform" : "zipfian";
}

/// Ranks below `count`, the first the likeliest: the share of rank r falls with r^0.99. Source: J. Gray et
/// al., "Quickly generating billion-record synthetic databases", 1994, as the Yahoo! Cloud Serving Benchmark
/// has it.
class Zipfian {
 public:
  explicit Zipfian(std::size_t count) : count_{static_cast<double>(count)}, zeta_{zeta(count)} {
    eta_ = (1 - std::pow(2 / count_, 1 - kTheta)) / (1 - zeta(2) / zeta_);
  }

  /// The rank for a number that is evenly spread over all 64-bit numbers.
  [[nodiscard]] std::size_t operator()(std::uint64_t random) const {
    const double u = static_cast<double>(random >> 11) * 0x1p-53;
    const double uz = u * zeta_;
    if (uz < 1) return 0;
    if (uz < 1 + std::pow(0.5, kTheta)) return 1;
    const double rank = count_ * std::pow(eta_ * u - eta_ + 1, 1 / (1 - kTheta));
    return static_cast<std::size_t>(std::min(rank, count_ - 1));
  }

 private:
  static constexpr double kTheta = 0.99;

  [[nodiscard]] static double zeta(std::size_t count) {
    double sum = 0;
    for (std::size_t i = count; i > 0; --i) sum += std::pow(static_cast<double>(i), -kTheta);
    return sum;
  }

  double count_;
  double zeta_;
  double eta_;
};

/// Which keys `operations` operations concern, one after another.
[[nodiscard]] inline std::vector<std::size_t> picks(Spread spread, std::size_t entries,
                                                    std::size_t operations) {
  constexpr std::uint64_t kSeed = std::uint64_t{1} << 40;  // apart from the numbers of keys
  std::vector<std::size_t> result(operations);
  const Zipfian zipfian{std::max<std::size_t>(entries, 3)};
  for (std::size_t i = 0; i < operations; ++i) {
    const std::uint64_t random = scatter(kSeed + i);
    result[i] = (spread == Spread::uniform ? random : zipfian(random)) % entries;
  }
  return result;
}

/// What the operations of one kind of access need: for each its key, and values to take turns.
template <class Key, class Value>
class MapData {
 public:
  MapData(std::size_t entries, std::size_t operations) : entries_{entries} {
    for (std::size_t i = 0; i < entries; ++i) all_.push_back(map_key<Key>(i));
    for (const Spread spread : kSpreads) {
      for (const std::size_t pick : picks(spread, entries, operations)) {
        orders_[static_cast<std::size_t>(spread)].push_back(all_[pick]);
      }
    }
    for (std::size_t i = 0; i < kValues; ++i) values_.push_back(map_value<Value>(i));
  }

  /// Every key once.
  [[nodiscard]] const std::vector<Key>& all() const { return all_; }
  /// Keys as they are drawn, again and again the same where that is likely.
  [[nodiscard]] const std::vector<Key>& drawn(Spread spread) const {
    return orders_[static_cast<std::size_t>(spread)];
  }
  [[nodiscard]] const Value& value(std::size_t i) const { return values_[i % kValues]; }

 private:
  static constexpr std::size_t kValues = 1024;
  std::size_t entries_;
  std::vector<Key> all_;
  std::array<std::vector<Key>, kSpreads.size()> orders_;
  std::vector<Value> values_;
};

}  // namespace bench
