// SPDX-License-Identifier: MIT
#pragma once

// What the durable benchmarks compare: this library's journal, the disk itself, and what a user would pick
// instead.

#include <fcntl.h>
#include <leveldb/db.h>
#include <leveldb/write_batch.h>
#include <lmdb.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sqlite3.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/support/files.hpp"
#include "kvstore/kvstore.hpp"

namespace bench {

inline void require(bool good, const std::string& what) {
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

/// This library's journal, operation by operation: each is in the kernel's hands before put() returns, and
/// every `batch`-th syncs them all.
class Kvstore final : public Engine {
 public:
  Kvstore(const std::filesystem::path& folder, std::size_t batch)
      : store_{std::make_unique<kvstore::JsonJournal>(folder / "data.json"),
               {.batch_size = batch, .auto_save_interval = std::chrono::seconds{0}}} {}
  void put(const std::string& key, const std::string& value) override { store_.upsert(key, value); }
  void sync() override { store_.save(); }
  void compact() { store_.compact(); }

 private:
  kvstore::BatchPersistentKeyValueStore<std::string, std::string> store_;
};

/// The same, a `WriteBatch` a sync: a killed process loses what is not yet applied.
class KvstoreBatches final : public Engine {
 public:
  KvstoreBatches(const std::filesystem::path& folder, std::size_t)
      : store_{std::make_unique<kvstore::JsonJournal>(folder / "data.json"),
               {.batch_size = 1, .auto_save_interval = std::chrono::seconds{0}}} {}
  void put(const std::string& key, const std::string& value) override { batch_.upsert(key, value); }
  void sync() override {
    store_.apply(batch_);
    batch_.clear();
  }

 private:
  kvstore::BatchPersistentKeyValueStore<std::string, std::string> store_;
  kvstore::WriteBatch<std::string, std::string> batch_;
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

[[nodiscard]] inline std::unique_ptr<leveldb::DB> open_leveldb(const std::filesystem::path& folder,
                                                               std::size_t buffer = std::size_t{4} << 20) {
  leveldb::Options options;
  options.write_buffer_size = buffer;
  options.create_if_missing = true;
  leveldb::DB* db = nullptr;
  require(leveldb::DB::Open(options, (folder / "leveldb").string(), &db).ok(), "LevelDB");
  return std::unique_ptr<leveldb::DB>{db};
}

/// Operation by operation: each is in the kernel's hands before put() returns, and every `batch`-th syncs.
class LevelDb final : public Engine {
 public:
  LevelDb(const std::filesystem::path& folder, std::size_t batch, std::size_t buffer = std::size_t{4} << 20)
      : db_{open_leveldb(folder, buffer)}, batch_{batch} {}
  void put(const std::string& key, const std::string& value) override {
    leveldb::WriteOptions options;
    options.sync = ++puts_ % batch_ == 0;
    require(db_->Put(options, key, value).ok(), "LevelDB put");
  }
  void sync() override { require(puts_ % batch_ == 0, "a whole number of batches"); }

 private:
  std::unique_ptr<leveldb::DB> db_;
  std::size_t batch_;
  std::size_t puts_ = 0;
};

/// A write batch a sync.
class LevelDbBatches final : public Engine {
 public:
  LevelDbBatches(const std::filesystem::path& folder, std::size_t) : db_{open_leveldb(folder)} {}
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

/// A write batch a sync.
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

/// A transaction a sync.
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

/// A transaction a sync.
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

enum class Kind {
  ours,     ///< this library
  store,    ///< a peer
  limit,    ///< no store at all
  rewrite,  ///< writes everything in each sync
};

struct Peer {
  std::string name;
  Kind kind;
  Maker make;
};

/// Ours first, one by one and in batches; then LevelDB, in the same two ways.
[[nodiscard]] inline const std::vector<Peer>& peers() {
  static const std::vector<Peer> all{{"kvstore, one by one", Kind::ours, maker<Kvstore>()},
                                     {"kvstore, WriteBatch", Kind::ours, maker<KvstoreBatches>()},
                                     {"LevelDB, one by one", Kind::store, maker<LevelDb>()},
                                     {"LevelDB, WriteBatch", Kind::store, maker<LevelDbBatches>()},
                                     {"raw limit: write + fdatasync", Kind::limit, maker<Raw>()},
                                     {"RocksDB, WriteBatch", Kind::store, maker<RocksDb>()},
                                     {"LMDB, transaction", Kind::store, maker<Lmdb>()},
                                     {"SQLite, transaction", Kind::store, maker<Sqlite>()},
                                     {"a map dumped whole", Kind::rewrite, maker<Naive>()}};
  return all;
}

}  // namespace bench
