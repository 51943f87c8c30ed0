// SPDX-License-Identifier: MIT

// The store in memory beside other maps that several threads share, and beside std::unordered_map: nothing is
// saved, everything else goes on as always. Run it by tests/bench/run.

#include <algorithm>
#include <array>
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

/// One table, and whether its goals are reached. The first two of `results` are ours, the last is
/// std::unordered_map under one lock, of which only threads that share it can say something.
void report_group(Table& table, const std::vector<MapResult>& results, bool mixed) {
  print(table, results);
  const MapResult& tbb = results[2];
  const MapResult& cuckoo = results[3];
  const MapResult& locked = results[4];
  for (const MapResult& ours : std::span{results}.first(2)) {
    table.at_least(ours.name + " against oneTBB", {against(ours, tbb), Unit::times}, 1.5);
    table.at_least(ours.name + " against libcuckoo", {against(ours, cuckoo), Unit::times}, 1.0);
    if (mixed) {
      table.at_least(ours.name + " against unordered_map, 2 and 4 threads",
                     {against(shared(ours), shared(locked)), Unit::times}, 5);
    }
    for (const MapResult* theirs : {&tbb, &cuckoo, &locked}) print_losses(table, ours, *theirs);
  }
}

template <class Key, class Value>
void race_maps(const Arguments& arguments, Report& report, const std::string& kind) {
  const std::size_t operations = std::max<std::size_t>(arguments.entries / 2, 1);
  const MapData<Key, Value> data{arguments.entries, operations};
  using Runner = MapRunner<Key, Value>;
  std::vector<Runner> runners{
      Runner::template of<bench::OurMap<Key, Value>>("kvstore", data),
      Runner::template of<bench::OurMap<Key, Value, kvstore::SpinSharedMutex>>("kvstore, SpinSharedMutex",
                                                                               data),
      Runner::template of<bench::TbbMap<Key, Value>>("oneTBB concurrent_hash_map", data),
      Runner::template of<bench::CuckooMap<Key, Value>>("libcuckoo cuckoohash_map", data),
      Runner::template of<bench::LockedMap<Key, Value>>("unordered_map, one shared_mutex", data)};
  std::vector<std::string> columns = bench::cell_names();
  columns.insert(columns.begin(), "geometric mean");

  Table inserts = report.section(kind + "_insert", "Inserts into a new map: " + kind, columns);
  report_group(inserts,
               bench::race(arguments.runs, runners, [](const Runner& runner) { return runner.insert(); }),
               false);
  for (Runner& runner : runners) runner.fill();
  for (const Mixture& mixture : {Mixture{"read", 100}, Mixture{"95_5", 95}, Mixture{"50_50", 50}}) {
    Table table = report.section(kind + "_" + mixture.name,
                                 "Visits, " + std::to_string(mixture.reads) +
                                     " of 100 operations, the others upserts of existing keys: " + kind,
                                 columns);
    report_group(
        table,
        bench::race(arguments.runs, runners, [&](const Runner& runner) { return runner.mix(mixture); }),
        mixture.reads < 100);
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
  if (arguments.wants("strings")) race_maps<std::string, std::string>(arguments, report, "strings");
  if (arguments.wants("integers")) race_maps<std::int64_t, std::int64_t>(arguments, report, "integers");
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
