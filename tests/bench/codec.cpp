// SPDX-License-Identifier: MIT

// How fast values become JSON and come back, by kind of value: whole stores, against what a user of
// nlohmann/json, RapidJSON and simdjson would write over std::unordered_map; and single values. Run it by
// tests/bench/run.

#include <array>
#include <cstddef>
#include <exception>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support/arguments.hpp"
#include "bench/support/datasets.hpp"
#include "bench/support/files.hpp"
#include "bench/support/json_peers.hpp"
#include "bench/support/process.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "bench/support/stores.hpp"

namespace {

using bench::Arguments;
using bench::Report;
using bench::Samples;
using bench::StoreOf;
using bench::Table;
using bench::Unit;
using Results = std::vector<std::vector<Samples>>;  // by contestant and figure

constexpr std::array<std::string_view, 3> kSections{"encode", "reload", "values"};

/// What a peer must reach; 0 = nothing is promised.
struct Goals {
  double nlohmann;
  double other;
};

enum Figures : std::size_t { kTime, kProcessorTime };

/// A row each, the peers' with how many times as long they took. Processor time is compared: on an idle
/// machine it is the time that passes, on a busy one it is steadier.
void print(Table& table, const Results& results, const std::vector<std::string>& names, const Goals& goals) {
  const std::array<double, 3> limits{0, goals.nlohmann, goals.other};
  table.row(names[0], {{results[0][kTime]}, {results[0][kProcessorTime]}});
  for (std::size_t i = 1; i < results.size(); ++i) {
    const bench::Figure ratio{results[i][kProcessorTime] / results[0][kProcessorTime], Unit::times};
    table.row(names[i], {{results[i][kTime]}, {results[i][kProcessorTime]}, ratio});
    if (limits[i] != 0) table.at_least("times as fast as " + names[i], ratio, limits[i]);
  }
}

const std::vector<std::string> kColumns{"time", "processor time", "times the processor time"};

template <class Data>
void encode(const Arguments& arguments, Report& report, const Goals& goals) {
  const std::size_t entries = Data::entries(arguments.entries);
  Table table = report.section("encode_" + std::string{Data::kId},
                               "Encoding a snapshot of " + std::to_string(entries) + ' ' +
                                   std::string{Data::kTitle} + ", the text discarded",
                               kColumns);
  StoreOf<Data> store{std::make_unique<bench::Discard>(), bench::quiet()};
  bench::fill_with<Data>(store, entries);
  const auto map = bench::map_of<Data>(entries);
  rapidjson::StringBuffer buffer;
  const auto ours = [&] {
    store.modify(Data::key(0), [](auto&) {});  // a store with nothing to save does nothing
    return bench::timed([&] { store.save(); });
  };
  const auto nlohmann = [&] { return bench::timed([&] { bench::keep(bench::nlohmann_dump(map)); }); };
  const auto rapidjson = [&] { return bench::timed([&] { bench::rapidjson_dump(buffer, map); }); };
  print(table,
        bench::interleave(arguments.runs, {{"ours", ours}, {"nlohmann", nlohmann}, {"RapidJSON", rapidjson}}),
        {"kvstore: save()", "nlohmann: json(unordered_map).dump()", "RapidJSON: Writer over unordered_map"},
        goals);
}

/// Each time in a process of its own, from a file that is in the page cache. What was loaded is not
/// destroyed.
template <class Data>
void reload(const Arguments& arguments, Report& report, const Goals& goals) {
  const std::size_t entries = Data::entries(arguments.entries);
  Table table = report.section(
      "reload_" + std::string{Data::kId},
      "Loading " + std::to_string(entries) + ' ' + std::string{Data::kTitle} + " from a file", kColumns);
  const bench::WorkFolder folder;
  const auto path = folder / "data.json";
  {
    StoreOf<Data> store{path, bench::quiet()};
    bench::fill_with<Data>(store, entries);
  }
  const auto watched = [](const auto& load) {
    return bench::in_child([&] {
      const bench::Stopwatch watch;
      const auto loaded = load();
      bench::keep(loaded);
      return watch.figures();
    });
  };
  const auto ours = [&] {
    return watched([&] { return std::make_unique<StoreOf<Data>>(path, bench::quiet()); });
  };
  const auto nlohmann = [&] {
    return watched([&] { return bench::nlohmann_load<typename Data::Map>(path); });
  };
  const auto simdjson = [&] {
    return watched([&] { return bench::simdjson_load<typename Data::Map>(path); });
  };
  print(table,
        bench::interleave(arguments.runs, {{"ours", ours}, {"nlohmann", nlohmann}, {"simdjson", simdjson}}),
        {"kvstore: open", "nlohmann: parse, move to unordered_map", "simdjson: on demand to unordered_map"},
        goals);
}

/// One value after another, from and to memory that is warm, without store, keys or file.
template <class Data>
struct Values {
  std::vector<typename Data::Value> values;
  std::vector<std::string> texts;

  explicit Values(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      values.push_back(Data::value(i));
      texts.push_back(nlohmann::json(values.back()).dump());
    }
  }

  template <class Run>
  [[nodiscard]] std::vector<double> each(std::size_t times, const Run& run) const {
    const bench::Stopwatch watch;
    for (std::size_t i = 0; i < times; ++i) {
      for (std::size_t k = 0; k < values.size(); ++k) run(k);
    }
    return {watch.cpu_seconds() / static_cast<double>(times * values.size())};
  }
};

template <class Data>
void value(const Arguments& arguments, Table& table) {
  using Value = typename Data::Value;
  const Values<Data> data{1000};
  const std::size_t often = arguments.smoke ? 1 : 200;
  kvstore::JsonWriter out;
  const auto encode = [&](std::size_t i) {
    out.clear();
    kvstore::Codec<Value>::encode(data.values[i], out);
    bench::keep(out);
  };
  const auto decode = [&](std::size_t i) {
    kvstore::JsonReader in{data.texts[i]};
    bench::keep(kvstore::Codec<Value>::decode(in));
  };
  const auto dump = [&](std::size_t i) { bench::keep(nlohmann::json(data.values[i]).dump()); };
  const auto parse = [&](std::size_t i) {
    bench::keep(nlohmann::json::parse(data.texts[i]).template get<Value>());
  };
  const auto results =
      bench::interleave(arguments.runs, {{"encode", [&] { return data.each(often, encode); }},
                                         {"dump", [&] { return data.each(often, dump); }},
                                         {"decode", [&] { return data.each(often, decode); }},
                                         {"parse", [&] { return data.each(often, parse); }}});
  table.row(std::string{Data::kTitle}, {{results[0][0]},
                                        {results[1][0] / results[0][0], Unit::times},
                                        {results[2][0]},
                                        {results[3][0] / results[2][0], Unit::times}});
}

// What an issue of this project set as goals, in times of what each peer takes.
void encode_all(const Arguments& arguments, Report& report) {
  encode<bench::Strings>(arguments, report, {40, 3});
  encode<bench::Integers>(arguments, report, {35, 0});
  encode<bench::Doubles>(arguments, report, {35, 0});
  encode<bench::Mixed>(arguments, report, {18, 0});
  encode<bench::Converted>(arguments, report, {4, 0});
  encode<bench::Listed>(arguments, report, {20, 0});
}

void reload_all(const Arguments& arguments, Report& report) {
  reload<bench::Strings>(arguments, report, {15, 1.5});
  reload<bench::Integers>(arguments, report, {30, 0});
  reload<bench::Doubles>(arguments, report, {35, 0});
  reload<bench::Mixed>(arguments, report, {13, 0});
  reload<bench::Converted>(arguments, report, {4, 0});
  reload<bench::Listed>(arguments, report, {15, 0});
}

void values_all(const Arguments& arguments, Report& report) {
  Table table =
      report.section("values", "One value by itself, and how many times as long nlohmann/json takes",
                     {"encode", "dump()", "decode", "parse(), get()"});
  value<bench::Strings>(arguments, table);
  value<bench::Integers>(arguments, table);
  value<bench::Doubles>(arguments, table);
  value<bench::Mixed>(arguments, table);
  value<bench::Converted>(arguments, table);
  value<bench::Listed>(arguments, table);
}

void run(const Arguments& arguments) {
  Report report{arguments};
  if (arguments.wants("encode")) encode_all(arguments, report);
  if (arguments.wants("reload")) reload_all(arguments, report);
  if (arguments.wants("values")) values_all(arguments, report);
  report.finish();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(bench::parse_arguments(
        argc, argv,
        "How fast values become JSON and come back, beside nlohmann/json, RapidJSON and simdjson.",
        kSections));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
