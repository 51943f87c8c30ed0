// SPDX-License-Identifier: MIT
#pragma once

// Races of maps: the same groups of work for each, in turns, and what one is against another over a group.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/map_data.hpp"
#include "bench/support/map_work.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "bench/support/samples.hpp"

namespace bench {

/// Rates of one map at one group of work, by cell (spread and threads).
struct MapResult {
  std::string name;
  std::vector<Samples> cells;
};

/// The cells' names, in the order of their figures.
[[nodiscard]] inline std::vector<std::string> cell_names() {
  std::vector<std::string> names;
  for (const Spread spread : kSpreads) {
    for (const std::size_t threads : kThreads) {
      names.push_back(name_of(spread) + ", " + std::to_string(threads) +
                      (threads == 1 ? " thread" : " threads"));
    }
  }
  return names;
}

/// Round by round, the geometric mean over the cells.
[[nodiscard]] inline Samples geometric_mean(const std::vector<Samples>& cells) {
  Samples result;
  for (std::size_t round = 0; round < cells.front().values().size(); ++round) {
    double sum = 0;
    for (const Samples& cell : cells) sum += std::log(cell.values()[round]);
    result.add(std::exp(sum / static_cast<double>(cells.size())));
  }
  return result;
}

/// How many times as fast `ours` was as `theirs`, over the group.
[[nodiscard]] inline Samples against(const MapResult& ours, const MapResult& theirs) {
  return geometric_mean(ours.cells) / geometric_mean(theirs.cells);
}

/// The cells whose number of threads is within these bounds.
[[nodiscard]] inline MapResult with_threads(const MapResult& result, std::size_t least, std::size_t most) {
  MapResult some{result.name, {}};
  for (std::size_t i = 0; i < result.cells.size(); ++i) {
    const std::size_t threads = kThreads[i % kThreads.size()];
    if (threads >= least && threads <= most) some.cells.push_back(result.cells[i]);
  }
  return some;
}

/// One kind of map: an example that is full, and how to run each group of work.
template <class Key, class Value>
class MapRunner {
 public:
  using Data = MapData<Key, Value>;

  template <class Map>
  static MapRunner of(std::string name, const Data& data) {
    MapRunner runner;
    runner.name_ = std::move(name);
    runner.insert_ = [&data] { return insert_rates<Map>(data); };
    runner.fill_ = [&data] {
      auto map = std::make_shared<Map>();
      insert_range(*map, data.all(), data, 0, data.all().size());
      return [map, &data](const Mixture& mixture) { return mixture_rates(*map, data, mixture); };
    };
    return runner;
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::vector<double> insert() const { return insert_(); }
  [[nodiscard]] std::vector<double> mix(const Mixture& mixture) const { return mix_(mixture); }
  void fill() { mix_ = fill_(); }

 private:
  using Mix = std::function<std::vector<double>(const Mixture&)>;
  std::string name_;
  std::function<std::vector<double>()> insert_;
  std::function<Mix()> fill_;
  Mix mix_;
};

/// Runs `work` of every runner in turns.
template <class Runner, class Work>
[[nodiscard]] std::vector<MapResult> race(std::size_t rounds, const std::vector<Runner>& runners,
                                          const Work& work) {
  std::vector<Contestant> contestants;
  std::vector<MapResult> results;
  for (const Runner& runner : runners) {
    contestants.push_back({runner.name(), [&runner, &work] { return work(runner); }});
    results.push_back({runner.name(), {}});
  }
  auto figures = interleave(rounds, contestants);
  for (std::size_t i = 0; i < results.size(); ++i) results[i].cells = std::move(figures[i]);
  return results;
}

/// One row a map: its geometric mean over the cells, then each cell.
inline void print(Table& table, const std::vector<MapResult>& results) {
  for (const MapResult& result : results) {
    std::vector<Figure> figures{{geometric_mean(result.cells), Unit::per_second}};
    for (const Samples& cell : result.cells) figures.push_back({cell, Unit::per_second});
    table.row(result.name, figures);
  }
}

/// Names the cells in which `ours` is slower than `theirs`, or not surely faster.
inline void print_losses(Table& table, const MapResult& ours, const MapResult& theirs) {
  const std::vector<std::string> names = cell_names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Figure ratio{ours.cells[i] / theirs.cells[i], Unit::times};
    const double median = ratio.samples.median();
    if (median >= 1 && ratio.samples.min() >= 1) continue;
    const bool tie = ratio.samples.min() < 1 && ratio.samples.max() > 1;
    table.note((tie ? "a tie: " : "slower: ") + ours.name + " against " + theirs.name + ", " + names[i] +
               ": " + ratio.text());
  }
}

}  // namespace bench
