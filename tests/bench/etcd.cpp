// SPDX-License-Identifier: MIT

// Puts into an etcd cluster, one by one and a hundred a transaction, by this library and by ab (ApacheBench).
//
// etcd's own benchmark tool is seldom packaged, etcdctl needs a process for each put, and `etcdctl check
// perf` paces itself. So the raw limit is ab on the same gateway: it posts one and the same JSON text over
// kept connections, makes and reads nothing, and waits for all of them at once in one thread. What it posts
// is the least that will do: a plain put, where our upsert also asks whether the key was there. Both talk to
// the first endpoint, and take turns.

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/support/arguments.hpp"
#include "bench/support/data.hpp"
#include "bench/support/files.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "kvstore/etcd_key_value_store.hpp"

namespace {

using bench::Figure;
using bench::Samples;
using bench::Unit;
using Store = kvstore::EtcdKeyValueStore<std::string, std::string>;

constexpr std::size_t kBatch = 100;
constexpr std::size_t kKeys = 10'000;
constexpr const char* kPrefix = "bench/";

struct Load {
  std::string id;
  std::string title;
  std::size_t threads;
  std::size_t requests;  ///< of all threads together
  std::size_t batch;     ///< puts a request
};

void put(Store& store, std::size_t first, std::size_t batch) {
  if (batch == 1) {
    store.upsert(bench::key_of(first % kKeys), bench::value_of(first));
    return;
  }
  kvstore::WriteBatch<std::string, std::string> changes;
  for (std::size_t i = first; i < first + batch; ++i) {
    changes.upsert(bench::key_of(i % kKeys), bench::value_of(i));
  }
  store.apply(changes);
}

void put_all(Store& store, const Load& load) {
  std::vector<std::jthread> threads;
  for (std::size_t thread = 0; thread < load.threads; ++thread) {
    threads.emplace_back([&store, &load, thread] {
      for (std::size_t i = thread; i < load.requests; i += load.threads)
        put(store, i * load.batch, load.batch);
    });
  }
}

std::string put_text(std::size_t i) {
  std::string fields;
  kvstore::detail::append_bytes_field(fields, "key", kPrefix + bench::key_of(i));
  kvstore::detail::append_bytes_field(fields, "value", nlohmann::json(bench::value_of(i)).dump());
  return kvstore::detail::json_object(fields);
}

std::string request_text(std::size_t batch) {
  if (batch == 1) return put_text(0);
  std::string text;
  for (std::size_t i = 0; i < batch; ++i) text += R"(,{"request_put":)" + put_text(i) + "}";
  return R"({"success":[)" + text.substr(1) + "]}";
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe{::popen(command.c_str(), "r"), ::pclose};
  if (!pipe) throw std::runtime_error{"cannot run " + command};
  std::string text;
  std::array<char, 4096> part{};
  while (const std::size_t got = std::fread(part.data(), 1, part.size(), pipe.get())) {
    text.append(part.data(), got);
  }
  return text;
}

/// The number after `label` in what ab says.
double number_after(const std::string& text, std::string_view label) {
  const std::size_t place = text.find(label);
  if (place == std::string::npos)
    throw std::runtime_error{"ab says no \"" + std::string{label} + "\":\n" + text};
  return std::strtod(text.c_str() + place + label.size(), nullptr);
}

/// The seconds that ab takes.
std::vector<double> run_ab(const std::string& endpoint, const Load& load, const std::string& body) {
  const std::string command = "ab -q -k -T application/json -n " + std::to_string(load.requests) + " -c " +
                              std::to_string(load.threads) + " -p '" + body + "' http://" + endpoint +
                              (load.batch == 1 ? "/v3/kv/put" : "/v3/kv/txn") + " 2>&1";
  const std::string said = output_of(command);
  if (said.find("Non-2xx") != std::string::npos ||
      number_after(said, "Complete requests:") < static_cast<double>(load.requests)) {
    throw std::runtime_error{"requests of ab failed:\n" + said};
  }
  return {number_after(said, "Time taken for tests:")};
}

Samples rates(const Load& load, const Samples& seconds) {
  Samples result;
  for (const double value : seconds.values()) {
    result.add(static_cast<double>(load.requests * load.batch) / value);
  }
  return result;
}

void race(bench::Report& report, const bench::Arguments& arguments, const kvstore::EtcdOptions& options,
          const Load& load) {
  auto table = report.section(load.id, load.title, {"puts", "kvstore against it"});
  const bench::WorkFolder folder;
  const std::string body = (folder / "body").string();
  std::ofstream{body} << request_text(load.batch);
  Store store{options};
  const std::vector<bench::Contestant> contestants{
      {"kvstore", [&] { return bench::timed([&] { put_all(store, load); }); }},
      {"ab", [&] { return run_ab(options.endpoints.front(), load, body); }}};
  const auto results = bench::interleave(arguments.runs, contestants);
  const Samples ours = rates(load, results[0][0]);
  const Samples raw = rates(load, results[1][0]);
  table.row("kvstore", {{ours, Unit::per_second}, {}});
  table.row("ab, which waits for all at once", {{raw, Unit::per_second}, {ours / raw, Unit::times}});
  table.at_least("against ab", {ours / raw, Unit::times}, 0.8);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::string_view kSections[] = {"single_1", "single_16", "batch_1", "batch_16"};
  const auto arguments = bench::parse_arguments(
      argc, argv, "Puts into an etcd cluster, against ab (Debian: apache2-utils).", kSections);
  if (arguments.endpoints.empty())
    bench::detail::exit_for_usage("no servers; name them by --endpoints HOST:PORT,...");
  if (output_of("ab -V 2>&1").find("ApacheBench") == std::string::npos) {
    std::cout << "skipped: this needs ab (Debian: apache2-utils)\n";
    return 77;
  }
  kvstore::EtcdOptions options;
  options.endpoints = arguments.endpoints;
  options.key_prefix = kPrefix;
  bench::Report report{arguments};
  const std::size_t share = arguments.smoke ? 20 : 1;
  for (const Load& load : {Load{"single_1", "Puts one by one, one thread", 1, 1000 / share, 1},
                           Load{"single_16", "Puts one by one, 16 threads", 16, 8000 / share, 1},
                           Load{"batch_1", "Puts 100 a transaction, one thread", 1, 200 / share, kBatch},
                           Load{"batch_16", "Puts 100 a transaction, 16 threads", 16, 640 / share, kBatch}}) {
    if (arguments.wants(load.id)) race(report, arguments, options, load);
  }
  Store{options}.clear();
  report.finish();
}
