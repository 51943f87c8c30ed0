// SPDX-License-Identifier: MIT

// What a snapshot costs: saving it, memory, and what writers feel of it; beside what nlohmann::json and
// std::unordered_map alone would do. Benchmark codec tells what encoding and loading cost. Run it by
// tests/bench/run.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/support/arguments.hpp"
#include "bench/support/data.hpp"
#include "bench/support/files.hpp"
#include "bench/support/latencies.hpp"
#include "bench/support/naive_store.hpp"
#include "bench/support/process.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "bench/support/stores.hpp"

namespace {

using bench::Arguments;
using bench::Clock;
using bench::fill;
using bench::quiet;
using bench::Report;
using bench::Store;
using bench::Table;
using bench::touch;
using bench::Unit;

constexpr std::array<std::string_view, 3> kSections{"save", "memory", "put"};

template <class ValueOf>
auto make_map(std::size_t entries, const ValueOf& value_of) {
  std::unordered_map<std::string, decltype(value_of(0))> map;
  map.reserve(entries);
  for (std::size_t i = 0; i < entries; ++i) map.emplace(bench::key_of(i), value_of(i));
  return map;
}

void save(const Arguments& arguments, Report& report) {
  Table table = report.section("save", "Saving strings to a file, synced",
                               {"time", "processor time", "times the time"});
  const bench::WorkFolder folder;
  Store<std::string> store{folder / "ours.json", quiet()};
  fill(store, arguments.entries, bench::value_of);
  const auto map = make_map(arguments.entries, bench::value_of);
  const auto ours = [&] {
    touch(store);
    return bench::timed([&] { store.save(); });
  };
  const auto theirs = [&] {
    return bench::timed([&] { bench::replace_file(folder / "theirs.json", nlohmann::json(map).dump()); });
  };
  const auto results = bench::interleave(arguments.runs, {{"kvstore", ours}, {"nlohmann", theirs}});
  table.row("kvstore: save() to a JsonFile", {{results[0][0]}, {results[0][1]}});
  table.row("dump() to a synced, renamed file",
            {{results[1][0]}, {results[1][1]}, {results[1][0] / results[0][0], Unit::times}});
}

// Memory -------------------------------------------------------------------------------------------------

/// A new value for an existing key; which one looks random.
std::pair<std::string, std::string> put_of(std::size_t index, std::size_t entries) {
  return {bench::key_of(bench::scatter(index) % entries), bench::value_of(index)};
}

/// Puts at full speed in this thread while `meanwhile` runs in another; returns how many.
template <class Meanwhile>
std::size_t put_during(Store<std::string>& store, std::size_t entries, const Meanwhile& meanwhile) {
  std::atomic<bool> done = false;
  const std::jthread other{[&] {
    meanwhile();
    done = true;
  }};
  std::size_t puts = 0;
  while (!done.load(std::memory_order_relaxed)) {
    auto [key, value] = put_of(puts++, entries);
    store.upsert(std::move(key), std::move(value));
  }
  return puts;
}

struct MemoryRace {
  const Arguments& arguments;
  std::filesystem::path path;
  double save_seconds = 0;  // of the last save beside a writer

  [[nodiscard]] std::vector<double> at_rest() const {
    Store<std::string> store{path, quiet()};
    touch(store);
    const bench::PeakMemory peak;
    store.save();
    return {peak.rise()};
  }
  [[nodiscard]] std::vector<double> beside_writer() const {
    Store<std::string> store{path, quiet()};
    touch(store);
    const bench::PeakMemory peak;
    double seconds = 0;
    const auto puts =
        put_during(store, arguments.entries, [&] { seconds = bench::timed([&] { store.save(); }).front(); });
    return {peak.rise(), static_cast<double>(puts) / seconds, seconds};
  }
  [[nodiscard]] std::vector<double> writer_alone() const {
    Store<std::string> store{std::make_unique<bench::Discard>(), quiet()};
    fill(store, arguments.entries, bench::value_of);
    const bench::PeakMemory peak;
    const std::chrono::duration<double> time{save_seconds};
    const auto puts = put_during(store, arguments.entries, [&] { std::this_thread::sleep_for(time); });
    return {peak.rise(), static_cast<double>(puts) / save_seconds};
  }
  [[nodiscard]] std::vector<double> loading() const {
    const bench::PeakMemory peak;
    const Store<std::string> store{path, quiet()};
    const double rise = peak.rise();
    return {rise, rise / peak.kept()};
  }
  [[nodiscard]] std::vector<double> naive() const {
    bench::NaiveStore store;
    fill(store, arguments.entries, bench::value_of);
    const bench::PeakMemory peak;
    store.save(path.string() + ".naive");
    return {peak.rise()};
  }
};

void memory(const Arguments& arguments, Report& report) {
  Table table =
      report.section("memory", "Memory above what was there before", {"most memory", "puts or ratio"});
  const bench::WorkFolder folder;
  MemoryRace race{arguments, folder / "data.json"};
  {
    Store<std::string> store{race.path, quiet()};
    fill(store, arguments.entries, bench::value_of);
  }
  const auto beside_writer = [&] {
    auto figures = bench::in_child([&] { return race.beside_writer(); });
    race.save_seconds = figures.back();
    return figures;
  };
  const auto results = bench::interleave(
      arguments.runs, {{"at rest", [&] { return bench::in_child([&] { return race.at_rest(); }); }},
                       {"beside a writer", beside_writer},
                       {"writer", [&] { return bench::in_child([&] { return race.writer_alone(); }); }},
                       {"naive", [&] { return bench::in_child([&] { return race.naive(); }); }},
                       {"loading", [&] { return bench::in_child([&] { return race.loading(); }); }}});
  const bench::Figure loading{results[4][1], Unit::times};
  const bench::Figure at_rest{results[0][0], Unit::bytes};
  table.row("kvstore: save() at rest", {at_rest});
  table.row("kvstore: save() beside a busy writer",
            {{results[1][0], Unit::bytes}, {results[1][1], Unit::per_second}});
  table.row("that writer, as long, without a save",
            {{results[2][0], Unit::bytes}, {results[2][1], Unit::per_second}});
  table.row("unordered_map: dump() at rest", {{results[3][0], Unit::bytes}});
  table.row("kvstore: open; in times of what it keeps", {{results[4][0], Unit::bytes}, loading});
  table.at_most("extra memory of save() at rest", at_rest, 4 << 20);
  table.at_most("extra memory of save() beside a busy writer", {results[1][0], Unit::bytes}, 4 << 20);
  table.at_most("memory of a load, in times of what it keeps", loading, 1.15);
}

// Latency ------------------------------------------------------------------------------------------------

constexpr std::chrono::microseconds kPutInterval{10};

/// Puts at a fixed rate until `meanwhile`, in another thread, has ended.
template <class Target, class Meanwhile>
std::vector<double> put_latency(Target& target, std::size_t entries, const Meanwhile& meanwhile) {
  std::atomic<Clock::time_point> end = Clock::time_point::max();
  const std::jthread other{[&] {
    meanwhile();
    end = Clock::now();
  }};
  const auto latencies = bench::paced(
      kPutInterval, [&](std::size_t i) { return put_of(i, entries); },
      [&](std::pair<std::string, std::string> entry) {
        target.upsert(std::move(entry.first), std::move(entry.second));
      },
      [&](Clock::time_point due) { return due < end.load(std::memory_order_relaxed); });
  std::vector<double> figures;
  for (const bench::Latencies& kind : {latencies.since_due, latencies.call}) {
    figures.insert(figures.end(),
                   {kind.percentile(0.5), kind.percentile(0.99), kind.percentile(0.999), kind.max()});
  }
  return figures;
}

void put(const Arguments& arguments, Report& report) {
  const bench::WorkFolder folder;
  const auto idle = [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds{arguments.smoke ? 10 : 2000});
  };
  Store<std::string> store{folder / "ours.json", quiet()};
  fill(store, arguments.entries, bench::value_of);
  bench::NaiveStore naive;
  fill(naive, arguments.entries, bench::value_of);
  const auto save_ours = [&] {
    for (int i = 0; i < 3; ++i) store.save();  // short ones: three, to have as many puts as the peer
  };
  const auto save_naive = [&] { naive.save(folder / "naive.json"); };
  const auto results = bench::interleave(
      arguments.runs, {{"ours, no save", [&] { return put_latency(store, arguments.entries, idle); }},
                       {"ours, saving", [&] { return put_latency(store, arguments.entries, save_ours); }},
                       {"naive, no save", [&] { return put_latency(naive, arguments.entries, idle); }},
                       {"naive, saving", [&] { return put_latency(naive, arguments.entries, save_naive); }}});
  const std::array<const char*, 4> names{"kvstore: no save", "kvstore: beside saves",
                                         "map under one lock: no save", "map under one lock: beside saves"};
  const auto print = [&](Table table, std::ptrdiff_t first) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      table.row(names[i], {results[i].begin() + first, results[i].begin() + first + 4});
    }
    const auto saving = [&](std::size_t contestant, std::ptrdiff_t figure) {
      return results[contestant][static_cast<std::size_t>(first + figure)];
    };
    table.at_most("p99.9 beside saves", {saving(1, 2)}, 50e-6);
    table.at_most("longest beside saves", {saving(1, 3)}, 5e-3);
    table.at_least("times as short as the longest under one lock", {saving(3, 3) / saving(1, 3), Unit::times},
                   100);
  };
  const std::vector<std::string> columns{"p50", "p99", "p99.9", "max"};
  print(report.section("put", "Puts of existing keys, 100000 a second: from when each was due to its end",
                       columns),
        0);
  print(report.section("put_call", "The same puts: the call alone", columns), 4);
}

void run(const Arguments& arguments) {
  Report report{arguments};
  using Section = void (*)(const Arguments&, Report&);
  constexpr std::array<Section, kSections.size()> kRun{save, memory, put};
  for (std::size_t i = 0; i < kSections.size(); ++i) {
    if (arguments.wants(kSections[i])) kRun[i](arguments, report);
  }
  report.finish();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(bench::parse_arguments(
        argc, argv, "What a snapshot costs, beside nlohmann::json and std::unordered_map.", kSections));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
