// SPDX-License-Identifier: MIT

// What it costs that a store counts its operations by verb and outcome: the same work with and without, in
// turns.

#include <array>
#include <cstddef>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/support/arguments.hpp"
#include "bench/support/data.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "bench/support/stores.hpp"
#include "kvstore/kvstore.hpp"

namespace {

using bench::Samples;
using Store = bench::Store<std::string>;

constexpr std::array<std::string_view, 2> kSections{"small", "large"};

/// A store of its own, and the keys in an order in which they do not lie.
class Subject {
 public:
  Subject(bool counts, std::size_t entries) : store_{std::make_unique<bench::Discard>(), options(counts)} {
    bench::fill(store_, entries, bench::value_of);
    keys_.reserve(entries);
    for (std::size_t i = 0; i < entries; ++i) keys_.push_back(bench::key_of(i * 7919 % entries));
  }

  /// Seconds of processor time that an operation takes, of `operations` by each of `threads`.
  template <class Operation>
  double time(std::size_t threads, std::size_t operations, const Operation& operation) {
    const bench::Stopwatch watch;
    {
      std::vector<std::jthread> running;
      for (std::size_t thread = 0; thread < threads; ++thread) {
        running.emplace_back([&, thread] {
          std::size_t at = keys_.size() / threads * thread;
          for (std::size_t i = 0; i < operations; ++i) {
            operation(store_, keys_[at]);
            if (++at == keys_.size()) at = 0;
          }
        });
      }
    }
    return watch.cpu_seconds() / static_cast<double>(threads * operations);
  }

 private:
  static kvstore::Options options(bool counts) {
    kvstore::Options options = bench::quiet();
    options.count_operations = counts;
    return options;
  }

  Store store_;
  std::vector<std::string> keys_;
};

/// Subjects that do not count come first and last, so that neither place is an advantage.
template <class Operation>
void race(bench::Table& table, const bench::Arguments& arguments, std::array<Subject, 2>& subjects,
          const std::string& name, std::size_t threads, const Operation& operation) {
  const std::size_t operations = arguments.smoke ? 2000 : 2'000'000;
  const auto run = [&](std::size_t which) {
    return [&, which] { return std::vector{subjects[which].time(threads, operations, operation)}; };
  };
  const auto results =
      bench::interleave(arguments.runs, {{"without", run(0)}, {"with", run(1)}, {"again", run(0)}});
  Samples without;
  for (std::size_t i = 0; i < results[0][0].values().size(); ++i) {
    without.add((results[0][0].values()[i] + results[2][0].values()[i]) / 2);
  }
  const bench::Figure ratio{results[1][0] / without, bench::Unit::times};
  const std::string title = name + ", threads: " + std::to_string(threads);
  table.row(title, {{without}, {results[1][0]}, ratio});
  table.at_most(title, ratio, 1.03);
}

void section(const bench::Arguments& arguments, bench::Report& report, std::string_view id,
             std::size_t entries) {
  auto table =
      report.section(std::string{id}, "Counting operations, in a store of " + std::to_string(entries),
                     {"without", "with", "times the processor time"});
  std::array<Subject, 2> subjects{Subject{false, entries}, Subject{true, entries}};
  for (const std::size_t threads : {1U, 2U}) {
    race(table, arguments, subjects, "contains", threads,
         [](Store& store, const std::string& key) { bench::keep(store.contains(key)); });
    race(table, arguments, subjects, "try_read, 100 bytes", threads,
         [](Store& store, const std::string& key) { bench::keep(store.try_read(key)); });
    race(table, arguments, subjects, "modify, 100 bytes", threads, [](Store& store, const std::string& key) {
      store.modify(key, [](std::string& value) { value.back() = 'x'; });
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = bench::parse_arguments(
      argc, argv, "What counting operations costs: a store that counts against one that does not.",
      kSections);
  try {
    bench::Report report{arguments};
    const std::size_t small = arguments.smoke ? 100 : 1000;  // all of it in the processor's cache
    if (arguments.wants("small")) section(arguments, report, "small", small);
    if (arguments.wants("large")) section(arguments, report, "large", arguments.entries);
    report.finish();
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
