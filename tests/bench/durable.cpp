// SPDX-License-Identifier: MIT

// Durable writes: the same puts, synced after every B of them, into this library's journal and into what its
// user would pick instead. All keep 16-byte keys and 100-byte values; all sync by fdatasync or its like.

#include <leveldb/db.h>
#include <leveldb/write_batch.h>
#include <lmdb.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sqlite3.h>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/support/arguments.hpp"
#include "bench/support/data.hpp"
#include "bench/support/files.hpp"
#include "bench/support/latencies.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "kvstore/kvstore.hpp"

namespace {

using bench::Figure;
using bench::Samples;
using bench::Unit;

void require(bool good, const std::string& what) {
  if (!good) throw std::runtime_error{what + " failed"};
}

/// Something that takes puts and, when told, makes them durable.
class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;
  virtual void put(const std::string& key, const std::string& value) = 0;
  virtual void sync() = 0;
};

using Maker = std::function<std::unique_ptr<Engine>(const std::filesystem::path& folder, std::size_t batch)>;

/// Saves by its own count: put() is durable every `batch` operations, and sync() has nothing to do but the
/// rest.
class Ours final : public Engine {
 public:
  Ours(const std::filesystem::path& folder, std::size_t batch)
      : store_{std::make_unique<kvstore::JsonJournal>(folder / "data.json"),
               {.batch_size = batch, .auto_save_interval = std::chrono::seconds{0}}} {}
  void put(const std::string& key, const std::string& value) override { store_.upsert(key, value); }
  void sync() override { store_.save(); }

 private:
  kvstore::BatchPersistentKeyValueStore<std::string, std::string> store_;
};

/// The limit: the same bytes appended to an allocated file, one write and one sync a batch, and no map.
class Raw final : public Engine {
 public:
  Raw(const std::filesystem::path& folder, std::size_t)
      : file_{::open((folder / "raw").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)} {
    require(file_ >= 0 && ::posix_fallocate(file_, 0, off_t{1} << 28) == 0, "raw file");
  }
  ~Raw() override { ::close(file_); }
  void put(const std::string& key, const std::string& value) override { buffer_.append(key).append(value); }
  void sync() override {
    require(::pwrite(file_, buffer_.data(), buffer_.size(), end_) == static_cast<ssize_t>(buffer_.size()),
            "write");
    end_ = (end_ + static_cast<off_t>(buffer_.size())) % (off_t{1} << 27);
    buffer_.clear();
    require(::fdatasync(file_) == 0, "fdatasync");
  }

 private:
  int file_;
  off_t end_ = 0;
  std::string buffer_;
};

class LevelDb final : public Engine {
 public:
  LevelDb(const std::filesystem::path& folder, std::size_t) {
    leveldb::Options options;
    options.create_if_missing = true;
    leveldb::DB* db = nullptr;
    require(leveldb::DB::Open(options, (folder / "leveldb").string(), &db).ok(), "LevelDB");
    db_.reset(db);
  }
  void put(const std::string& key, const std::string& value) override { batch_.Put(key, value); }
  void sync() override {
    leveldb::WriteOptions options;
    options.sync = true;
    require(db_->Write(options, &batch_).ok(), "LevelDB write");
    batch_.Clear();
  }

 private:
  std::unique_ptr<leveldb::DB> db_;
  leveldb::WriteBatch batch_;
};

class RocksDb final : public Engine {
 public:
  RocksDb(const std::filesystem::path& folder, std::size_t) {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* db = nullptr;
    require(rocksdb::DB::Open(options, (folder / "rocksdb").string(), &db).ok(), "RocksDB");
    db_.reset(db);
  }
  void put(const std::string& key, const std::string& value) override { batch_.Put(key, value); }
  void sync() override {
    rocksdb::WriteOptions options;
    options.sync = true;
    require(db_->Write(options, &batch_).ok(), "RocksDB write");
    batch_.Clear();
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteBatch batch_;
};

class Lmdb final : public Engine {
 public:
  Lmdb(const std::filesystem::path& folder, std::size_t) {
    require(::mdb_env_create(&env_) == 0 && ::mdb_env_set_mapsize(env_, std::size_t{4} << 30) == 0 &&
                ::mdb_env_open(env_, folder.c_str(), 0, 0666) == 0,
            "LMDB");
    begin();
    require(::mdb_dbi_open(transaction_, nullptr, 0, &table_) == 0, "LMDB table");
  }
  ~Lmdb() override {
    ::mdb_txn_abort(transaction_);
    ::mdb_env_close(env_);
  }
  void put(const std::string& key, const std::string& value) override {
    MDB_val k{key.size(), const_cast<char*>(key.data())};
    MDB_val v{value.size(), const_cast<char*>(value.data())};
    require(::mdb_put(transaction_, table_, &k, &v, 0) == 0, "LMDB put");
  }
  void sync() override {
    require(::mdb_txn_commit(transaction_) == 0, "LMDB commit");
    begin();
  }

 private:
  void begin() { require(::mdb_txn_begin(env_, nullptr, 0, &transaction_) == 0, "LMDB begin"); }

  MDB_env* env_ = nullptr;
  MDB_txn* transaction_ = nullptr;
  MDB_dbi table_ = 0;
};

class Sqlite final : public Engine {
 public:
  Sqlite(const std::filesystem::path& folder, std::size_t) {
    require(::sqlite3_open((folder / "sqlite.db").c_str(), &db_) == SQLITE_OK, "SQLite");
    run("pragma journal_mode=wal; pragma synchronous=full; create table t(k text primary key, v text) "
        "without rowid");
    require(
        ::sqlite3_prepare_v2(db_, "insert or replace into t values(?,?)", -1, &put_, nullptr) == SQLITE_OK,
        "SQLite statement");
    run("begin");
  }
  ~Sqlite() override {
    ::sqlite3_finalize(put_);
    ::sqlite3_close(db_);
  }
  void put(const std::string& key, const std::string& value) override {
    ::sqlite3_bind_text(put_, 1, key.data(), static_cast<int>(key.size()), SQLITE_STATIC);
    ::sqlite3_bind_text(put_, 2, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
    require(::sqlite3_step(put_) == SQLITE_DONE, "SQLite put");
    ::sqlite3_reset(put_);
  }
  void sync() override { run("commit; begin"); }

 private:
  void run(const char* sql) {
    require(::sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK, std::string{"SQLite: "} + sql);
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
};

/// What many programs do: a map, dumped whole.
class Naive final : public Engine {
 public:
  Naive(const std::filesystem::path& folder, std::size_t) : path_{folder / "naive.json"} {}
  void put(const std::string& key, const std::string& value) override { map_[key] = value; }
  void sync() override { bench::replace_file(path_, nlohmann::json(map_).dump()); }

 private:
  std::filesystem::path path_;
  std::unordered_map<std::string, std::string> map_;
};

template <class E>
Maker maker() {
  return [](const std::filesystem::path& folder, std::size_t batch) {
    return std::make_unique<E>(folder, batch);
  };
}

struct Peer {
  std::string name;
  Maker make;
};

const std::vector<Peer>& peers() {
  static const std::vector<Peer> all{{"kvstore, JsonJournal", maker<Ours>()},
                                     {"raw limit: append + fdatasync", maker<Raw>()},
                                     {"LevelDB", maker<LevelDb>()},
                                     {"RocksDB", maker<RocksDb>()},
                                     {"LMDB", maker<Lmdb>()},
                                     {"SQLite, WAL, synchronous=FULL", maker<Sqlite>()},
                                     {"a map dumped whole", maker<Naive>()}};
  return all;
}

/// Keys and values made beforehand, so that making them is not measured.
class Data {
 public:
  explicit Data(std::size_t entries) {
    for (std::size_t i = 0; i < entries; ++i) keys_.push_back(bench::key_of(i));
    for (std::size_t i = 0; i < kValues; ++i) values_.push_back(bench::value_of(i));
  }
  [[nodiscard]] const std::string& key(std::size_t i) const { return keys_[i % keys_.size()]; }
  [[nodiscard]] const std::string& value(std::size_t i) const { return values_[i % kValues]; }
  [[nodiscard]] std::size_t size() const { return keys_.size(); }

 private:
  static constexpr std::size_t kValues = 1024;
  std::vector<std::string> keys_;
  std::vector<std::string> values_;
};

void put_all(Engine& engine, const Data& data, std::size_t first, std::size_t operations, std::size_t batch,
             std::size_t stride = 1) {
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

/// One table: every peer's rate, and ours against theirs. `operations` may be fewer for slow peers.
void print(bench::Table& table, const std::vector<std::string>& names, const std::vector<Samples>& all) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    table.row(names[i], {{all[i], Unit::per_second}, {i == 0 ? Samples{} : all[0] / all[i], Unit::times}});
  }
}

void fill(bench::Report& report, const bench::Arguments& arguments, const Data& data, std::size_t batch) {
  auto table =
      report.section("fill_" + std::to_string(batch),
                     "Durable fill of an empty store, a sync every " + std::to_string(batch) + " operations",
                     {"operations", "kvstore against it"});
  // As many operations as make a round last about a second at most: few syncs if each is one operation.
  const std::size_t operations = std::min(data.size(), std::max<std::size_t>(batch * 2000, 2000));
  std::vector<bench::Contestant> contestants;
  std::vector<std::string> names;
  std::vector<std::size_t> counts;
  for (const Peer& peer : peers()) {
    // The naive one costs a whole file for each batch: a few batches show its rate.
    const std::size_t mine = peer.name.starts_with("a map") ? std::min(operations, batch * 10) : operations;
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
  const Figure raw{all[0] / all[1], Unit::times};
  const Figure leveldb{all[0] / all[2], Unit::times};
  if (batch <= 1000) table.at_least("against the raw limit", raw, 0.5);
  table.at_least("against LevelDB", leveldb, batch >= 1000 ? 2.5 : batch >= 100 ? 1.5 : 1.0);
}

void update(bench::Report& report, const bench::Arguments& arguments, const Data& data) {
  constexpr std::size_t kBatch = 1000;
  auto table = report.section("update", "Updates of a filled store, a sync every 1000 operations",
                              {"operations", "kvstore against it"});
  struct Filled {
    std::unique_ptr<bench::WorkFolder> folder = std::make_unique<bench::WorkFolder>();
    std::unique_ptr<Engine> engine;
    std::size_t done = 0;
  };
  std::vector<Filled> filled;
  std::vector<bench::Contestant> contestants;
  std::vector<std::string> names;
  for (const Peer& peer : peers()) {
    if (peer.name.starts_with("a map") || peer.name.starts_with("raw")) continue;
    names.push_back(peer.name);
    Filled& mine = filled.emplace_back();
    mine.engine = peer.make(*mine.folder / "", kBatch);
    put_all(*mine.engine, data, 0, data.size(), 10'000);
  }
  const std::size_t operations = std::min<std::size_t>(data.size(), 200'000);
  for (std::size_t i = 0; i < names.size(); ++i) {
    contestants.push_back({names[i], [&data, &mine = filled[i], operations] {
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
  table.at_least("against LevelDB", {all[0] / all[1], Unit::times}, 2.5);
}

/// Latency of an upsert beside the folding of the journal, and without; and how many bytes the journal takes.
void folding(bench::Report& report, const bench::Arguments& arguments, const Data& data) {
  auto table = report.section("folding", "An update beside the folding of the journal into a new snapshot",
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
  Samples at_rest[3];
  Samples beside[3];
  std::size_t next = 0;
  const auto measure = [&](const std::function<bool()>& more, Samples(&into)[3]) {
    bench::Latencies latencies;
    while (more()) {
      const auto start = bench::Clock::now();
      store.upsert(data.key(next * 7919), data.value(next));
      latencies.add(bench::Clock::now() - start);
      ++next;
    }
    into[0].add(latencies.percentile(0.5));
    into[1].add(latencies.percentile(0.999));
    into[2].add(latencies.percentile(1));
  };
  for (std::size_t round = 0; round < arguments.runs; ++round) {
    std::size_t left = std::min<std::size_t>(data.size(), 200'000);
    measure([&] { return left-- > 0; }, at_rest);
    std::atomic<bool> folding = true;
    std::jthread folder_thread{[&] {
      store.compact();
      folding = false;
    }};
    measure([&] { return folding.load(); }, beside);
  }
  const auto row = [&](const std::string& name, const Samples(&samples)[3]) {
    table.row(name, {{samples[0], Unit::seconds}, {samples[1], Unit::seconds}, {samples[2], Unit::seconds}});
  };
  row("at rest", at_rest);
  row("while it is folded", beside);
  table.at_most("p99.9 beside folding", {beside[1], Unit::seconds}, 50e-6);
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
    Ours store{folder / "", 1000};
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
  constexpr std::string_view kSections[] = {"fill", "update", "folding", "flat"};
  const auto arguments = bench::parse_arguments(
      argc, argv, "Durable writes against LevelDB, RocksDB, LMDB, SQLite and the disk.", kSections);
  bench::Report report{arguments};
  const Data data{arguments.entries};
  for (const std::size_t batch : {1U, 10U, 100U, 1000U, 10'000U}) {
    if (arguments.wants("fill")) fill(report, arguments, data, batch);
  }
  if (arguments.wants("update")) update(report, arguments, data);
  if (arguments.wants("folding")) folding(report, arguments, data);
  if (arguments.wants("flat")) flat(report, arguments);
  report.finish();
}
