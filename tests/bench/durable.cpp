// SPDX-License-Identifier: MIT

// Durable writes: the same puts, synced after every B of them, into this library's journal and into what its
// user would pick instead. All keep 16-byte keys and 100-byte values; all sync by fdatasync or its like.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/support/arguments.hpp"
#include "bench/support/data.hpp"
#include "bench/support/engines.hpp"
#include "bench/support/files.hpp"
#include "bench/support/latencies.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "kvstore/kvstore.hpp"

namespace {

using bench::Figure;
using bench::Samples;
using bench::Unit;

constexpr std::size_t kLevelDbBuffer = std::size_t{64} << 20;

/// Keys and values made beforehand, so that making them is not measured.
class Data {
 public:
  explicit Data(std::size_t entries) {
    for (std::size_t i = 0; i < entries; ++i) keys_.push_back(bench::key_of(i));
    for (std::size_t i = 0; i < kValues; ++i) values_.push_back(bench::words_of(i));
  }
  [[nodiscard]] const std::string& key(std::size_t i) const { return keys_[i % keys_.size()]; }
  [[nodiscard]] const std::string& value(std::size_t i) const { return values_[i % kValues]; }
  [[nodiscard]] std::size_t size() const { return keys_.size(); }

 private:
  static constexpr std::size_t kValues = 1024;
  std::vector<std::string> keys_;
  std::vector<std::string> values_;
};

void put_all(bench::Engine& engine, const Data& data, std::size_t first, std::size_t operations,
             std::size_t batch, std::size_t stride = 1) {
  for (std::size_t i = 0; i < operations; ++i) {
    engine.put(data.key((first + i) * stride), data.value(first + i));
    if ((i + 1) % batch == 0) engine.sync();
  }
  engine.sync();
}

Samples rates(std::size_t operations, const Samples& seconds) {
  Samples result;
  for (const double value : seconds.values()) result.add(static_cast<double>(operations) / value);
  return result;
}

/// One table: every peer's rate, and ours against theirs.
void print(bench::Table& table, const std::vector<std::string>& names, const std::vector<Samples>& all) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto against = [&](std::size_t ours) {
      return Figure{i == ours ? Samples{} : all[ours] / all[i], Unit::times};
    };
    table.row(names[i], {{all[i], Unit::per_second}, against(0), against(1)});
  }
}

/// Like is compared with like: single operations survive a killed process, what waits for its batch does not.
void compare_with_leveldb(bench::Table& table, const std::vector<Samples>& all, double limit) {
  table.at_least("one by one, against LevelDB", {all[0] / all[2], Unit::times}, limit);
  table.at_least("WriteBatch, against LevelDB", {all[1] / all[3], Unit::times}, limit);
}

const std::vector<std::string> kColumns{"operations", "one by one against it", "WriteBatch against it"};

void fill(bench::Report& report, const bench::Arguments& arguments, const Data& data, std::size_t batch) {
  auto table = report.section(
      "fill_" + std::to_string(batch),
      "Durable fill of an empty store, a sync every " + std::to_string(batch) + " operations", kColumns);
  // As many operations as make a round last about a second at most: few syncs if each is one operation.
  const std::size_t operations =
      std::min(data.size(), std::max<std::size_t>(batch * 2000, 2000)) / batch * batch;
  std::vector<bench::Contestant> contestants;
  std::vector<std::string> names;
  std::vector<std::size_t> counts;
  for (const bench::Peer& peer : bench::peers()) {
    // One that rewrites the file costs a whole file for each batch: a few batches show its rate.
    const std::size_t mine =
        peer.kind == bench::Kind::rewrite ? std::min(operations, batch * 10) : operations;
    names.push_back(peer.name);
    counts.push_back(mine);
    contestants.push_back({peer.name, [&data, make = peer.make, batch, mine] {
                             const bench::WorkFolder folder;
                             const auto engine = make(folder / "", batch);
                             return bench::timed([&] { put_all(*engine, data, 0, mine, batch); });
                           }});
  }
  const auto results = bench::interleave(arguments.runs, contestants);
  std::vector<Samples> all;
  for (std::size_t i = 0; i < results.size(); ++i) all.push_back(rates(counts[i], results[i][0]));
  print(table, names, all);
  if (batch <= 1000) {
    table.at_least("one by one, against the raw limit", {all[0] / all[4], Unit::times}, 0.5);
    table.at_least("WriteBatch, against the raw limit", {all[1] / all[4], Unit::times}, 0.5);
  }
  compare_with_leveldb(table, all, batch >= 1000 ? 2.5 : batch >= 100 ? 1.5 : 1.0);
}

void update(bench::Report& report, const bench::Arguments& arguments, const Data& data) {
  constexpr std::size_t kBatch = 1000;
  auto table = report.section("update", "Updates of a filled store, a sync every 1000 operations", kColumns);
  struct Filled {
    std::unique_ptr<bench::WorkFolder> folder = std::make_unique<bench::WorkFolder>();
    std::unique_ptr<bench::Engine> engine;
    std::size_t done = 0;
  };
  std::deque<Filled> filled;  // contestants point into it
  std::vector<bench::Contestant> contestants;
  std::vector<std::string> names;
  const std::size_t operations = std::min<std::size_t>(data.size(), 200'000) / kBatch * kBatch;
  for (const bench::Peer& peer : bench::peers()) {
    if (peer.kind == bench::Kind::limit || peer.kind == bench::Kind::rewrite) continue;
    names.push_back(peer.name);
    Filled& mine = filled.emplace_back();
    mine.engine = peer.make(*mine.folder / "", kBatch);
    put_all(*mine.engine, data, 0, data.size() / kBatch * kBatch, kBatch);
    contestants.push_back({peer.name, [&data, &mine, operations] {
                             return bench::timed([&] {
                               put_all(*mine.engine, data, mine.done, operations, kBatch, 7919);
                               mine.done += operations;
                             });
                           }});
  }
  const auto results = bench::interleave(arguments.runs, contestants);
  std::vector<Samples> all;
  for (const auto& result : results) all.push_back(rates(operations, result[0]));
  print(table, names, all);
  compare_with_leveldb(table, all, 2.5);
}

/// Latency of an upsert beside the compaction of the journal, and without; and how many bytes the journal
/// takes.
void compaction(bench::Report& report, const bench::Arguments& arguments, const Data& data) {
  auto table =
      report.section("compaction", "An update beside the compaction of the journal into a new base file",
                     {"p50", "p99.9", "longest"});
  using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;
  const bench::WorkFolder folder;
  Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json"),
              {.batch_size = 0, .auto_save_interval = std::chrono::seconds{0}}};
  double payload = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    store.create(data.key(i), data.value(i));
    payload += static_cast<double>(data.key(i).size() + data.value(i).size());
  }
  store.save();
  store.compact();
  const std::string text(std::filesystem::file_size(folder / "data.json"), '\n');
  Samples at_rest[3];
  Samples beside[3];
  Samples clock[3];
  std::size_t next = 0;
  const auto put = [&] {
    store.upsert(data.key(next * 7919), data.value(next));
    ++next;
  };
  const auto measure = [&](const std::function<bool()>& more, Samples(&into)[3],
                           const std::function<void()>& operation) {
    bench::Latencies latencies;
    while (more()) {
      const auto start = bench::Clock::now();
      operation();
      latencies.add(bench::Clock::now() - start);
    }
    into[0].add(latencies.percentile(0.5));
    into[1].add(latencies.percentile(0.999));
    into[2].add(latencies.percentile(1));
  };
  for (std::size_t round = 0; round < arguments.runs; ++round) {
    std::size_t left = std::min<std::size_t>(data.size(), 200'000);
    measure([&] { return left-- > 0; }, at_rest, put);
    const auto measure_beside = [&](const std::function<void()>& work, Samples(&into)[3],
                                    const std::function<void()>& operation) {
      std::atomic<bool> works = true;
      const std::jthread worker{[&] {
        work();
        works = false;
      }};
      measure([&] { return works.load(); }, into, operation);
    };
    measure_beside([&] { store.compact(); }, beside, put);
    // Of such pauses, the system makes some by itself: a thread waits for others to use up their time.
    measure_beside([&] { bench::replace_file(folder / "other", text); }, clock, [] {});
  }
  const auto row = [&](const std::string& name, const Samples(&samples)[3]) {
    table.row(name, {{samples[0], Unit::seconds}, {samples[1], Unit::seconds}, {samples[2], Unit::seconds}});
  };
  row("at rest", at_rest);
  row("while it is compacted", beside);
  row("no store: only the clock, beside a thread that writes such a file", clock);
  table.at_most("p99.9 beside compaction", {beside[1], Unit::seconds}, 50e-6);
  store.save();
  store.compact();
  const std::size_t operations = std::min<std::size_t>(data.size(), 10'000);
  const auto journal = folder / "data.json.journal";
  payload = 0;
  for (std::size_t i = 0; i < operations; ++i) {
    store.upsert(data.key(i), data.value(i));
    payload += static_cast<double>(data.key(i).size() + data.value(i).size());
    if (i % 100 == 99) store.save();
  }
  store.close();
  Samples ratio;
  ratio.add(static_cast<double>(std::filesystem::file_size(journal)) / payload);
  table.at_most("journal bytes per byte of payload, a sync every 100", {ratio, Unit::times}, 1.3);
}

/// Opening a filled store in a copy of its folder, and ending it again. A store leaves a part of a fill in
/// its journal, and LevelDB in its log.
void open_again(bench::Report& report, const bench::Arguments& arguments, const Data& data) {
  auto table = report.section("open", "Opening a filled store again, and ending it",
                              {"open", "its processor time", "end", "its processor time"});
  struct Peer {
    std::string name;
    std::function<std::shared_ptr<void>(const std::filesystem::path&)> open;
    bench::WorkFolder folder = {};
  };
  const auto open_store = [](const std::filesystem::path& folder) -> std::shared_ptr<void> {
    return std::make_shared<bench::Kvstore>(folder, 1000);
  };
  const auto open_leveldb = [](const std::filesystem::path& folder) -> std::shared_ptr<void> {
    return bench::open_leveldb(folder, kLevelDbBuffer);
  };
  Peer peers[] = {{"kvstore, with its journal", open_store},
                  {"kvstore, the base file alone", open_store},
                  {"LevelDB, 64 MiB of write buffer", open_leveldb}};
  for (const std::size_t i : {0U, 1U}) {
    bench::Kvstore store{peers[i].folder / "", 1000};
    put_all(store, data, 0, data.size(), 1000);
    if (i == 1) store.compact();
  }
  {
    bench::LevelDb engine{peers[2].folder / "", 1000, kLevelDbBuffer};
    put_all(engine, data, 0, data.size() / 1000 * 1000, 1000);
  }
  std::vector<bench::Contestant> contestants;
  for (const Peer& peer : peers) {
    contestants.push_back({peer.name, [&peer] {
                             const bench::WorkFolder copy;
                             std::filesystem::copy(peer.folder / "", copy / "",
                                                   std::filesystem::copy_options::recursive);
                             std::shared_ptr<void> opened;
                             auto figures = bench::timed([&] { opened = peer.open(copy / ""); });
                             const auto end = bench::timed([&] { opened.reset(); });
                             figures.insert(figures.end(), end.begin(), end.end());
                             return figures;
                           }});
  }
  const auto results = bench::interleave(arguments.runs, contestants);
  for (std::size_t i = 0; i < results.size(); ++i) {
    std::vector<Figure> figures;
    for (const Samples& samples : results[i]) figures.push_back({samples, Unit::seconds});
    table.row(contestants[i].name, figures);
  }
  for (const std::size_t i : {0U, 1U})
    table.at_least(contestants[i].name + ", against LevelDB", {results[2][0] / results[i][0], Unit::times},
                   1.2);
}

/// Whether an operation costs the same however much is stored.
void flat(bench::Report& report, const bench::Arguments& arguments) {
  auto table =
      report.section("flat", "An update, a sync every 1000, by the size of the store", {"per operation"});
  const std::vector<std::size_t> sizes =
      arguments.smoke ? std::vector<std::size_t>{1000, 2000}
                      : std::vector<std::size_t>{10'000, 100'000, 1'000'000, 10'000'000};
  for (const std::size_t entries : sizes) {
    const Data data{entries};
    const bench::WorkFolder folder;
    bench::Kvstore store{folder / "", 1000};
    put_all(store, data, 0, entries, 10'000);
    Samples samples;
    constexpr std::size_t kOperations = 100'000;
    for (std::size_t round = 0; round < arguments.runs; ++round) {
      const auto seconds =
          bench::timed([&] { put_all(store, data, round * kOperations, kOperations, 1000, 7919); })[0];
      samples.add(seconds / static_cast<double>(kOperations));
    }
    table.row(std::to_string(entries) + " entries", {{samples, Unit::seconds}});
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::string_view kSections[] = {"fill", "update", "compaction", "open", "flat"};
  const auto arguments = bench::parse_arguments(
      argc, argv, "Durable writes against LevelDB, RocksDB, LMDB, SQLite and the disk.", kSections);
  bench::Report report{arguments};
  const Data data{arguments.entries};
  for (const std::size_t batch : {1U, 10U, 100U, 1000U, 10'000U}) {
    if (arguments.wants("fill")) fill(report, arguments, data, batch);
  }
  if (arguments.wants("update")) update(report, arguments, data);
  if (arguments.wants("compaction")) compaction(report, arguments, data);
  if (arguments.wants("open")) open_again(report, arguments, data);
  if (arguments.wants("flat")) flat(report, arguments);
  report.finish();
}
