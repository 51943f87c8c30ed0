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

/// The longest single insert while a new map grows, by the clock and by processor time.
template <class Map, class Key, class Value>
[[nodiscard]] std::vector<double> longest_insert(const MapData<Key, Value>& data) {
  Map map;
  double longest = 0;
  double longest_cpu = 0;
  for (std::size_t i = 0; i < data.all().size(); ++i) {
    Value value = data.value(i);
    const Stopwatch watch;
    const double start = thread_seconds();
    map.insert(data.all()[i], std::move(value));
    longest_cpu = std::max(longest_cpu, thread_seconds() - start);
    longest = std::max(longest, watch.seconds());
  }
  return {longest, longest_cpu};
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
