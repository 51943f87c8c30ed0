// SPDX-License-Identifier: MIT
#pragma once

// The maps that the benchmark of maps compares, each as its user would use it: default hash, no size told
// beforehand. A new value comes by move; a key is copied where the map needs one of its own.

#include <oneapi/tbb/concurrent_hash_map.h>
#include <tkrzw_dbm_tiny.h>
#include <libcuckoo/cuckoohash_map.hh>
#if __has_include(<boost/unordered/concurrent_flat_map.hpp>)
#include <boost/unordered/concurrent_flat_map.hpp>
#define KVSTORE_BENCH_HAS_FLAT_MAP 1
#else
#define KVSTORE_BENCH_HAS_FLAT_MAP 0
#endif

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "bench/support/stores.hpp"
#include "kvstore/kvstore.hpp"

namespace bench {

/// Saves nothing, like a map.
class NoStorage final : public kvstore::Storage {
 public:
  void load(const kvstore::LoadRequest&, kvstore::LoadSink&) override {}
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return kvstore::SaveScope::everything; }
  [[nodiscard]] bool takes_changes() const noexcept override { return false; }
  void save(kvstore::ChangeSource&) override {}
};

/// The real store, whose values are checked and whose operations are counted as always.
template <class Key, class Value, class Mutex = std::shared_mutex>
class OurMap {
 public:
  bool insert(const Key& key, Value&& value) { return store_.try_create(key, std::move(value)); }
  void put(const Key& key, Value&& value) { store_.upsert(key, std::move(value)); }
  template <class Fn>
  bool visit(const Key& key, const Fn& fn) const {
    return store_.visit(key, fn);
  }

 private:
  kvstore::BatchPersistentKeyValueStore<Key, Value, kvstore::Hash<Key>, std::equal_to<>, Mutex> store_{
      std::make_unique<NoStorage>(), quiet()};
};

template <class Key, class Value>
class TbbMap {
  using Map = oneapi::tbb::concurrent_hash_map<Key, Value>;

 public:
  bool insert(const Key& key, Value&& value) { return map_.emplace(key, std::move(value)); }
  void put(const Key& key, Value&& value) {
    typename Map::accessor entry;
    map_.insert(entry, key);
    entry->second = std::move(value);
  }
  template <class Fn>
  bool visit(const Key& key, const Fn& fn) const {
    typename Map::const_accessor entry;
    if (!map_.find(entry, key)) return false;
    fn(entry->second);
    return true;
  }

 private:
  Map map_;
};

template <class Key, class Value>
class CuckooMap {
 public:
  bool insert(const Key& key, Value&& value) { return map_.insert(key, std::move(value)); }
  void put(const Key& key, Value&& value) { map_.insert_or_assign(key, std::move(value)); }
  template <class Fn>
  bool visit(const Key& key, const Fn& fn) const {
    return map_.find_fn(key, fn);
  }

 private:
  libcuckoo::cuckoohash_map<Key, Value> map_;
};

#if KVSTORE_BENCH_HAS_FLAT_MAP

/// From Boost 1.83 on.
template <class Key, class Value>
class FlatMap {
 public:
  bool insert(const Key& key, Value&& value) { return map_.try_emplace(key, std::move(value)); }
  void put(const Key& key, Value&& value) { map_.insert_or_assign(key, std::move(value)); }
  template <class Fn>
  bool visit(const Key& key, const Fn& fn) const {
    return map_.cvisit(key, [&](const auto& entry) { fn(entry.second); }) != 0;
  }

 private:
  boost::concurrent_flat_map<Key, Value> map_;
};

#endif

/// A map of strings alone. Its table has about a million buckets from the start, and does not grow.
class TinyMap {
 public:
  bool insert(const std::string& key, std::string&& value) { return map_.Set(key, value, false).IsOK(); }
  void put(const std::string& key, std::string&& value) { map_.Set(key, value); }
  template <class Fn>
  bool visit(const std::string& key, const Fn& fn) const {
    Visitor<Fn> visitor{fn};
    map_.Process(key, &visitor, false);
    return visitor.found;
  }

 private:
  template <class Fn>
  struct Visitor final : tkrzw::DBM::RecordProcessor {
    explicit Visitor(const Fn& function) : fn{function} {}
    std::string_view ProcessFull(std::string_view /*key*/, std::string_view value) override {
      fn(value);
      found = true;
      return NOOP;
    }
    const Fn& fn;
    bool found = false;
  };

  mutable tkrzw::TinyDBM map_;
};

/// What is at hand in every program.
template <class Key, class Value>
class LockedMap {
 public:
  bool insert(const Key& key, Value&& value) {
    const std::unique_lock lock{mutex_};
    return map_.try_emplace(key, std::move(value)).second;
  }
  void put(const Key& key, Value&& value) {
    const std::unique_lock lock{mutex_};
    map_.insert_or_assign(key, std::move(value));
  }
  template <class Fn>
  bool visit(const Key& key, const Fn& fn) const {
    const std::shared_lock lock{mutex_};
    const auto found = map_.find(key);
    if (found == map_.end()) return false;
    fn(found->second);
    return true;
  }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<Key, Value> map_;
};

}  // namespace bench
