// SPDX-License-Identifier: MIT
#pragma once

// What it costs a map to grow: the longest insert, and memory.

#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "bench/support/map_data.hpp"
#include "bench/support/rounds.hpp"

namespace bench {

/// For how long this thread has had a processor, in seconds: what others do meanwhile does not count.
[[nodiscard]] inline double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Times of the inserts while a new map grows, by the clock and by processor time.
struct InsertTimes {
  std::vector<double> clock;
  std::vector<double> processor;
};

template <class Map, class Key, class Value>
[[nodiscard]] InsertTimes insert_times(const MapData<Key, Value>& data) {
  Map map;
  InsertTimes times;
  for (std::vector<double>* list : {&times.clock, &times.processor}) list->reserve(data.all().size());
  for (std::size_t i = 0; i < data.all().size(); ++i) {
    Value value = data.value(i);
    const Stopwatch watch;
    const double start = thread_seconds();
    map.insert(data.all()[i], std::move(value));
    times.processor.push_back(thread_seconds() - start);
    times.clock.push_back(watch.seconds());
  }
  return times;
}

/// The longest single insert while a new map grows. It grows twice, and of each insert the shorter time
/// counts: the map does the same both times, while what else happens on the machine hits another insert.
template <class Map, class Key, class Value>
[[nodiscard]] std::vector<double> longest_insert(const MapData<Key, Value>& data) {
  const InsertTimes first = insert_times<Map>(data);
  const InsertTimes second = insert_times<Map>(data);
  const auto longest = [](const std::vector<double>& a, const std::vector<double>& b) {
    double result = 0;
    for (std::size_t i = 0; i < a.size(); ++i) result = std::max(result, std::min(a[i], b[i]));
    return result;
  };
  return {longest(first.clock, second.clock), longest(first.processor, second.processor)};
}

/// Bytes that malloc has given out.
[[nodiscard]] inline double allocated() {
  const struct mallinfo2 info = ::mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

/// Bytes an entry of a map that has grown to hold all of `data`.
template <class Map, class Key, class Value>
[[nodiscard]] std::vector<double> bytes_per_entry(const MapData<Key, Value>& data) {
  const double before = allocated();
  Map map;
  for (std::size_t i = 0; i < data.all().size(); ++i) map.insert(data.all()[i], Value{data.value(i)});
  return {(allocated() - before) / static_cast<double>(data.all().size())};
}

}  // namespace bench
