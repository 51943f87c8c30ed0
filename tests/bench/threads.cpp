// SPDX-License-Identifier: MIT

// What a second thread gains while a snapshot is encoded or loaded. Both are timed by the time that passes,
// so an idle machine is needed. Run it by tests/bench/run.

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support/arguments.hpp"
#include "bench/support/datasets.hpp"
#include "bench/support/files.hpp"
#include "bench/support/process.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "bench/support/stores.hpp"

namespace {

using bench::Arguments;
using bench::Figure;
using bench::Report;
using bench::Samples;
using bench::StoreOf;
using bench::Table;
using bench::Unit;

constexpr std::array<std::string_view, 2> kSections{"encode", "reload"};

kvstore::Options with_threads(std::size_t threads) {
  kvstore::Options options = bench::quiet();
  options.threads = threads;
  return options;
}

void print(Table& table, const std::vector<std::vector<Samples>>& results, double goal) {
  const Figure gain{results[0][0] / results[1][0], Unit::times};
  table.row("one thread", {{results[0][0]}, {results[0][1]}});
  table.row("two threads", {{results[1][0]}, {results[1][1]}, gain});
  table.at_least("times as fast as one thread", gain, goal);
}

const std::vector<std::string> kColumns{"time", "processor time", "times as fast"};

template <class Data>
void encode(const Arguments& arguments, Report& report) {
  Table table =
      report.section("encode_" + std::string{Data::kId},
                     "Encoding a snapshot, the text discarded: " + std::string{Data::kTitle}, kColumns);
  StoreOf<Data> one{std::make_unique<bench::Discard>(), with_threads(1)};
  StoreOf<Data> two{std::make_unique<bench::Discard>(), with_threads(2)};
  const auto saved = [](StoreOf<Data>& store) {
    store.modify(Data::key(0), [](auto&) {});  // a store with nothing to save does nothing
    return bench::timed([&] { store.save(); });
  };
  bench::fill_with<Data>(one, Data::entries(arguments.entries));
  bench::fill_with<Data>(two, Data::entries(arguments.entries));
  print(table,
        bench::interleave(arguments.runs,
                          {{"one", [&] { return saved(one); }}, {"two", [&] { return saved(two); }}}),
        1.6);
}

/// Each time in a process of its own, from a file that is in the page cache.
template <class Data>
void reload(const Arguments& arguments, Report& report) {
  Table table = report.section("reload_" + std::string{Data::kId},
                               "Loading from a file: " + std::string{Data::kTitle}, kColumns);
  const bench::WorkFolder folder;
  const auto path = folder / "data.json";
  {
    StoreOf<Data> store{path, bench::quiet()};
    bench::fill_with<Data>(store, Data::entries(arguments.entries));
  }
  const auto loaded = [&](std::size_t threads) {
    return bench::in_child([&] {
      const bench::Stopwatch watch;
      const auto* const store =
          new StoreOf<Data>{path, with_threads(threads)};  // not destroyed: the child ends
      bench::keep(store);
      return watch.figures();
    });
  };
  print(table,
        bench::interleave(arguments.runs,
                          {{"one", [&] { return loaded(1); }}, {"two", [&] { return loaded(2); }}}),
        1.5);
}

void run(const Arguments& arguments) {
  Report report{arguments};
  if (arguments.wants("encode")) {
    encode<bench::Strings>(arguments, report);
    encode<bench::Integers>(arguments, report);
  }
  if (arguments.wants("reload")) {
    reload<bench::Strings>(arguments, report);
    reload<bench::Integers>(arguments, report);
  }
  report.finish();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(bench::parse_arguments(argc, argv, "What a second thread gains.", kSections));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
