// SPDX-License-Identifier: MIT
#pragma once

// Work on a map by several threads at once.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <latch>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "bench/support/data.hpp"
#include "bench/support/map_data.hpp"
#include "bench/support/rounds.hpp"

namespace bench {

/// A mixture of operations; what is no read replaces the value of a key that exists.
struct Mixture {
  std::string name;
  unsigned reads;  ///< of a hundred operations
};

inline constexpr std::array<std::size_t, 3> kThreads{1, 2, 4};

/// Operations a second of `operations` of them, which `work(first, last)` does, spread over threads.
template <class Work>
[[nodiscard]] double rate_of(std::size_t threads, std::size_t operations, const Work& work) {
  std::latch ready{static_cast<std::ptrdiff_t>(threads)};
  std::latch go{1};
  std::vector<std::jthread> team;
  for (std::size_t t = 0; t < threads; ++t) {
    team.emplace_back([&, t] {
      ready.count_down();
      go.wait();
      work(operations * t / threads, operations * (t + 1) / threads);
    });
  }
  ready.wait();
  const Stopwatch watch;
  go.count_down();
  team.clear();
  return static_cast<double>(operations) / watch.seconds();
}

/// The value is copied out where the map is asked to give a copy; looking at it touches its first and last
/// part.
template <class Value>
void look_at(const Value& value) {
  if constexpr (std::is_integral_v<Value>) {
    keep(value);
  } else {
    const char ends[2] = {value.front(), value.back()};
    keep(ends);
  }
}

template <class Map, class Key, class Value>
void run_mixture(Map& map, const MapData<Key, Value>& data, Spread spread, const Mixture& mixture,
                 std::size_t first, std::size_t last) {
  const std::vector<Key>& keys = data.drawn(spread);
  for (std::size_t i = first; i < last; ++i) {
    if (scatter(i) % 100 < mixture.reads)
      map.visit(keys[i], [](const auto& value) { look_at(value); });
    else
      map.put(keys[i], Value{data.value(i)});
  }
}

/// Rates of a mixture by `kSpreads` and `kThreads`.
template <class Map, class Key, class Value>
[[nodiscard]] std::vector<double> mixture_rates(Map& map, const MapData<Key, Value>& data,
                                                const Mixture& mixture) {
  std::vector<double> rates;
  for (const Spread spread : kSpreads) {
    for (const std::size_t threads : kThreads) {
      rates.push_back(rate_of(threads, data.drawn(spread).size(), [&](std::size_t first, std::size_t last) {
        run_mixture(map, data, spread, mixture, first, last);
      }));
    }
  }
  return rates;
}

template <class Map, class Key, class Value>
void insert_range(Map& map, const std::vector<Key>& keys, const MapData<Key, Value>& data, std::size_t first,
                  std::size_t last) {
  for (std::size_t i = first; i < last; ++i) map.insert(keys[i], Value{data.value(i)});
}

/// The same of inserts into a new map: every key once, or as they are drawn, where most exist already.
template <class Map, class Key, class Value>
[[nodiscard]] std::vector<double> insert_rates(const MapData<Key, Value>& data) {
  std::vector<double> rates;
  for (const Spread spread : kSpreads) {
    const std::vector<Key>& keys = spread == Spread::uniform ? data.all() : data.drawn(spread);
    for (const std::size_t threads : kThreads) {
      Map map;
      rates.push_back(rate_of(threads, keys.size(), [&](std::size_t first, std::size_t last) {
        insert_range(map, keys, data, first, last);
      }));
    }
  }
  return rates;
}

}  // namespace bench
