// SPDX-License-Identifier: MIT

// The store in memory beside other maps that several threads share, and beside std::unordered_map: nothing is
// saved, everything else goes on as always. Run it by tests/bench/run.

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <kvstore/spin_shared_mutex.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support/arguments.hpp"
#include "bench/support/map_data.hpp"
#include "bench/support/map_growth.hpp"
#include "bench/support/map_peers.hpp"
#include "bench/support/map_race.hpp"
#include "bench/support/map_work.hpp"
#include "bench/support/process.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "bench/support/samples.hpp"

namespace {

using bench::Arguments;
using bench::Figure;
using bench::MapData;
using bench::MapResult;
using bench::MapRunner;
using bench::Mixture;
using bench::Report;
using bench::Samples;
using bench::Table;
using bench::Unit;

constexpr std::array<std::string_view, 5> kSections{"strings", "integers", "many", "growth", "memory"};

/// A kind of work, and how many times as fast as boost::concurrent_flat_map it is to be with one and two
/// threads.
struct Work {
  Mixture mixture;
  double goal;
};

constexpr std::string_view kTbb = "oneTBB concurrent_hash_map";
constexpr std::string_view kCuckoo = "libcuckoo cuckoohash_map";
constexpr std::string_view kLocked = "unordered_map, one shared_mutex";
constexpr std::string_view kFlat = "boost::concurrent_flat_map";
constexpr std::string_view kTiny = "tkrzw TinyDBM";

/// The goals that one of our maps has against one peer.
void check_goals(Table& table, const MapResult& ours, const MapResult& peer, const Work& work) {
  const auto require = [&](std::string_view name, const MapResult& a, const MapResult& b, double goal) {
    table.at_least(ours.name + " against " + std::string{name}, {against(a, b), Unit::times}, goal);
  };
  const auto of = [](const MapResult& result, std::size_t least, std::size_t most) {
    return bench::with_threads(result, least, most);
  };
  if (peer.name == kTbb) require("oneTBB", ours, peer, 1.5);
  if (peer.name == kCuckoo) require("libcuckoo", ours, peer, 1.0);
  if (peer.name == kFlat)
    require("concurrent_flat_map, 1 and 2 threads", of(ours, 1, 2), of(peer, 1, 2), work.goal);
  if (peer.name == kTiny && work.mixture.reads == 100) {
    require("TinyDBM, 1 thread", of(ours, 1, 1), of(peer, 1, 1), 1.2);
    require("TinyDBM, 2 threads", of(ours, 2, 2), of(peer, 2, 2), 1.4);
  }
  if (peer.name == kLocked && work.mixture.reads > 0 && work.mixture.reads < 100)
    require("unordered_map, 2 and 4 threads", of(ours, 2, 4), of(peer, 2, 4), 5);
}

/// One table, and whether its goals are reached. The first two of `results` are ours.
void report_group(Table& table, const std::vector<MapResult>& results, const Work& work) {
  print(table, results);
  for (const MapResult& ours : std::span{results}.first(2)) {
    for (const MapResult& peer : std::span{results}.subspan(2)) check_goals(table, ours, peer, work);
    for (const MapResult& peer : std::span{results}.subspan(2)) print_losses(table, ours, peer);
  }
}

template <class Key, class Value>
[[nodiscard]] std::vector<MapRunner<Key, Value>> runners_of(const MapData<Key, Value>& data) {
  using Runner = MapRunner<Key, Value>;
  using Spinning = bench::OurMap<Key, Value, kvstore::SpinSharedMutex>;
  std::vector<Runner> runners{Runner::template of<bench::OurMap<Key, Value>>("kvstore", data),
                              Runner::template of<Spinning>("kvstore, SpinSharedMutex", data),
                              Runner::template of<bench::TbbMap<Key, Value>>(std::string{kTbb}, data),
                              Runner::template of<bench::CuckooMap<Key, Value>>(std::string{kCuckoo}, data),
                              Runner::template of<bench::LockedMap<Key, Value>>(std::string{kLocked}, data)};
#if KVSTORE_BENCH_HAS_FLAT_MAP
  runners.push_back(Runner::template of<bench::FlatMap<Key, Value>>(std::string{kFlat}, data));
#endif
  if constexpr (std::same_as<Value, std::string>)
    runners.push_back(Runner::template of<bench::TinyMap>(std::string{kTiny}, data));
  return runners;
}

/// `goals` are those of inserts, visits, 95 % visits and 50 % visits.
template <class Key, class Value>
void race_maps(const Arguments& arguments, Report& report, const std::string& kind,
               const std::array<double, 4>& goals) {
  const std::size_t operations = std::max<std::size_t>(arguments.entries / 2, 1);
  const MapData<Key, Value> data{arguments.entries, operations};
  using Runner = MapRunner<Key, Value>;
  std::vector<Runner> runners = runners_of(data);
  std::vector<std::string> columns = bench::cell_names();
  columns.insert(columns.begin(), "geometric mean");

  Table inserts = report.section(kind + "_insert", "Inserts into a new map: " + kind, columns);
  report_group(inserts,
               bench::race(arguments.runs, runners, [](const Runner& runner) { return runner.insert(); }),
               {{"insert", 0}, goals[0]});
  for (Runner& runner : runners) runner.fill();
  for (const Work& work :
       {Work{{"read", 100}, goals[1]}, Work{{"95_5", 95}, goals[2]}, Work{{"50_50", 50}, goals[3]}}) {
    Table table = report.section(kind + "_" + work.mixture.name,
                                 "Visits, " + std::to_string(work.mixture.reads) +
                                     " of 100 operations, the others upserts of existing keys: " + kind,
                                 columns);
    report_group(
        table,
        bench::race(arguments.runs, runners, [&](const Runner& runner) { return runner.mix(work.mixture); }),
        work);
  }
}

/// Reads every key in the order in which they are drawn, sixteen at once and one by one.
template <class Key, class Value>
void read_many(const Arguments& arguments, Report& report, const std::string& kind) {
  constexpr std::size_t kAtOnce = 16;
  const MapData<Key, Value> data{arguments.entries, std::max(arguments.entries, kAtOnce)};
  kvstore::BatchPersistentKeyValueStore<Key, Value> store{std::make_unique<bench::NoStorage>(),
                                                          bench::quiet()};
  for (std::size_t i = 0; i < data.all().size(); ++i) store.create(data.all()[i], data.value(i));
  const std::span<const Key> keys{data.drawn(bench::Spread::uniform)};
  const auto rate = [&](const auto& read) {
    const bench::Stopwatch watch;
    for (std::size_t at = 0; at + kAtOnce <= keys.size(); at += kAtOnce) read(keys.subspan(at, kAtOnce));
    return std::vector<double>{static_cast<double>(keys.size()) / watch.seconds()};
  };
  const auto each = [&](std::span<const Key> some) {
    for (const Key& key : some) bench::keep(store.try_read(key));
  };
  const auto visit_each = [&](std::span<const Key> some) {
    for (const Key& key : some) store.visit(key, [](const Value& value) { bench::keep(value); });
  };
  const auto visit_all = [&](std::span<const Key> some) {
    store.visit_many(some, [](std::size_t, const Value& value) { bench::keep(value); });
  };
  const auto results = bench::interleave(
      arguments.runs,
      {{"try_read, one by one", [&] { return rate(each); }},
       {"read_many of 16", [&] { return rate([&](auto some) { bench::keep(store.read_many(some)); }); }},
       {"visit, one by one", [&] { return rate(visit_each); }},
       {"visit_many of 16", [&] { return rate(visit_all); }}});
  Table table = report.section("many_" + kind, "Keys a second, one thread: " + kind, {"keys", "times"});
  const auto row = [&](const std::string& name, std::size_t at, std::size_t peer) {
    const Figure ratio{results[at][0] / results[peer][0], Unit::times};
    table.row(name, {{results[at][0], Unit::per_second}, ratio});
    if (at != peer) table.at_least(name, ratio, 2);
  };
  row("try_read, one by one", 0, 0);
  row("read_many of 16", 1, 0);
  row("visit, one by one", 2, 2);
  row("visit_many of 16", 3, 2);
}

using Strings = MapData<std::string, std::string>;
using OurStrings = bench::OurMap<std::string, std::string>;
using PlainStrings = bench::LockedMap<std::string, std::string>;

/// Runs a measurement of ours and of std::unordered_map in turns, each in a process of its own.
template <class Ours, class Theirs>
std::vector<std::vector<Samples>> race_in_children(const Arguments& arguments, const Ours& ours,
                                                   const Theirs& theirs) {
  return bench::interleave(arguments.runs, {{"kvstore", [&] { return bench::in_child(ours); }},
                                            {"unordered_map", [&] { return bench::in_child(theirs); }}});
}

void growth(const Arguments& arguments, Report& report) {
  Table table = report.section("growth", "The longest insert while a map of strings grows, one thread",
                               {"time", "processor time", "times the processor time"});
  const Strings data{arguments.entries, 1};
  const auto results = race_in_children(
      arguments, [&] { return bench::longest_insert<OurStrings>(data); },
      [&] { return bench::longest_insert<PlainStrings>(data); });
  const Figure ratio{results[1][1] / results[0][1], Unit::times};
  table.row("kvstore", {{results[0][0]}, {results[0][1]}});
  table.row("unordered_map", {{results[1][0]}, {results[1][1]}, ratio});
  table.at_least("times the processor time", ratio, 50);
}

void memory(const Arguments& arguments, Report& report) {
  Table table =
      report.section("memory", "Memory an entry after growth: strings", {"bytes", "of unordered_map"});
  const Strings data{arguments.entries, 1};
  const auto results = race_in_children(
      arguments, [&] { return bench::bytes_per_entry<OurStrings>(data); },
      [&] { return bench::bytes_per_entry<PlainStrings>(data); });
  const Figure ratio{results[0][0] / results[1][0], Unit::times};
  table.row("kvstore", {{results[0][0], Unit::bytes}, ratio});
  table.row("unordered_map", {{results[1][0], Unit::bytes}});
  table.at_most("memory, of unordered_map", ratio, 0.95);
}

void run(const Arguments& arguments) {
  Report report{arguments};
  if (!KVSTORE_BENCH_HAS_FLAT_MAP) {
    std::cout << kFlat << " is left out: it needs the headers of Boost 1.83 or newer; name their folder by\n"
              << "tests/bench/run --boost FOLDER, or to CMake by -DKVSTORE_BENCH_BOOST=FOLDER\n";
  }
  if (arguments.wants("strings"))
    race_maps<std::string, std::string>(arguments, report, "strings", {1.4, 1.1, 1.0, 1.0});
  if (arguments.wants("integers"))
    race_maps<std::int64_t, std::int64_t>(arguments, report, "integers", {1.0, 1.0, 0.9, 0.9});
  if (arguments.wants("many")) {
    read_many<std::string, std::string>(arguments, report, "strings");
    read_many<std::int64_t, std::int64_t>(arguments, report, "integers");
  }
  if (arguments.wants("growth")) growth(arguments, report);
  if (arguments.wants("memory")) memory(arguments, report);
  report.finish();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(bench::parse_arguments(argc, argv, "The store in memory beside other maps.", kSections));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
