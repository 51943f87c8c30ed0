// SPDX-License-Identifier: MIT

// Verbs on a Redis Cluster against redis-benchmark, which comes with Redis, on the same cluster: with as many
// connections as the store has threads, the same pipeline depth, and keys and values of the same sizes.
// redis-benchmark prepares its commands beforehand, keeps each connection to keys of one slot, and throws the
// answers away; the store encodes values, spreads a batch over all leaders, and returns results.

#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/support/arguments.hpp"
#include "bench/support/data.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "kvstore/redis_cluster_key_value_store.hpp"
#include "support/redis_servers.hpp"

namespace {

using bench::Samples;
using bench::Unit;
using Store = kvstore::RedisClusterKeyValueStore<std::string, std::string>;

constexpr std::size_t kKeys = 100'000;

/// Operations a second, as redis-benchmark's line says: "SET","81234.5",...
double redis_benchmark(const bench::Arguments& arguments, const std::string& test, std::size_t clients,
                       std::size_t depth, std::size_t operations) {
  const std::string& first = arguments.endpoints.front();
  const std::size_t colon = first.rfind(':');
  const std::string output = support::answer_of(
      "redis-benchmark --cluster --csv -h " + first.substr(0, colon) + " -p " + first.substr(colon + 1) +
      " -t " + test + " -c " + std::to_string(clients) + " -P " + std::to_string(depth) + " -n " +
      std::to_string(operations) + " -d 102 -r " + std::to_string(kKeys));
  const std::size_t line = output.find(test == "set" ? "\"SET\",\"" : "\"GET\",\"");
  if (line == std::string::npos) throw std::runtime_error{"redis-benchmark says: " + output};
  return std::stod(output.substr(line + 7));
}

/// Operations a second of `threads` threads that run `operation(number)` until there are `operations` in all.
double rate(std::size_t threads, std::size_t operations, std::size_t each,
            const std::function<void(std::size_t)>& operation) {
  const bench::Stopwatch watch;
  std::vector<std::jthread> workers;
  for (std::size_t worker = 0; worker < threads; ++worker) {
    workers.emplace_back([&, worker] {
      for (std::size_t i = worker; i < operations / each; i += threads) operation(i);
    });
  }
  workers.clear();
  return static_cast<double>(operations) / watch.seconds();
}

/// The same work by redis-benchmark and by the store, in turns.
struct Duel {
  std::string name;
  std::string test;  // of redis-benchmark
  std::size_t clients;
  std::size_t depth;  // of redis-benchmark's pipeline
  std::size_t each;   // operations of one call of `operation`
  std::size_t operations;
  std::function<void(std::size_t)> operation;
};

void run(bench::Table& table, const bench::Arguments& arguments, const Duel& duel) {
  const std::size_t operations = arguments.smoke ? 1000 : duel.operations;
  const auto results = bench::interleave(
      arguments.runs,
      {{"redis-benchmark",
        [&] {
          return std::vector{redis_benchmark(arguments, duel.test, duel.clients, duel.depth, operations)};
        }},
       {"kvstore", [&] { return std::vector{rate(duel.clients, operations, duel.each, duel.operation)}; }}});
  const Samples ratio = results[1][0] / results[0][0];
  table.row(duel.name,
            {{results[1][0], Unit::per_second}, {results[0][0], Unit::per_second}, {ratio, Unit::times}});
  table.at_least(duel.name, {ratio, Unit::times}, 0.8);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::string_view kSections[] = {"single", "pipeline"};
  const auto arguments = bench::parse_arguments(
      argc, argv, "Verbs on a Redis Cluster of this machine against redis-benchmark.", kSections);
  if (arguments.endpoints.empty())
    bench::detail::exit_for_usage("no servers; name them by --endpoints HOST:PORT,...");
  Store store{{.seeds = arguments.endpoints, .key_prefix = "bench:"}};
  bench::Report report{arguments};
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < kKeys; ++i) keys.push_back(bench::key_of(i));
  const std::string value = bench::value_of(0);
  const auto upsert = [&](std::size_t i) { store.upsert(keys[i % kKeys], value); };
  const auto read = [&](std::size_t i) { bench::keep(store.try_read(keys[i % kKeys])); };
  const auto batch_of = [&](std::size_t size) {
    return [&, size](std::size_t i) {
      Store::Batch changes;
      for (std::size_t k = 0; k < size; ++k) changes.upsert(keys[(i * size + k) % kKeys], value);
      store.apply(changes);
    };
  };
  const std::vector<std::string> columns{"kvstore", "redis-benchmark", "ratio"};
  if (arguments.wants("single")) {
    auto table = report.section("single", "Single verbs, 100-byte values", columns);
    run(table, arguments, {"upsert, 1 thread, against SET", "set", 1, 1, 1, 30'000, upsert});
    run(table, arguments, {"try_read, 1 thread, against GET", "get", 1, 1, 1, 30'000, read});
    run(table, arguments, {"upsert, 16 threads, against SET", "set", 16, 1, 1, 100'000, upsert});
    run(table, arguments, {"try_read, 16 threads, against GET", "get", 16, 1, 1, 100'000, read});
  }
  if (arguments.wants("pipeline")) {
    auto table = report.section("pipeline", "Batches against a pipeline of 100", columns);
    // A batch goes to all three leaders at once, so a third of it is in each connection's pipeline.
    run(table, arguments, {"apply of 100, 1 thread, -P 100", "set", 1, 100, 100, 1'000'000, batch_of(100)});
    run(table, arguments, {"apply of 300, 1 thread, -P 100", "set", 1, 100, 300, 1'000'000, batch_of(300)});
    run(table, arguments, {"apply of 100, 4 threads, -P 100", "set", 4, 100, 100, 1'000'000, batch_of(100)});
    run(table, arguments, {"apply of 300, 4 threads, -P 100", "set", 4, 100, 300, 1'000'000, batch_of(300)});
  }
  store.clear();
  report.finish();
}
