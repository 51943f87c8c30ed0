// SPDX-License-Identifier: MIT
#pragma once

// Names for code that only declares: a class that keeps a reference to a store, a function that takes one.
// Code that uses the classes includes kvstore/kvstore.hpp, which takes many times as long to compile. The
// default arguments of the stores are given only here.

#include <functional>
#include <shared_mutex>

namespace kvstore { inline namespace v1 {

// Contracts: hash.hpp, codec.hpp, key_text.hpp.
template <class Key>
struct Hash;
template <class T>
struct Codec;
template <class Key>
struct KeyText;
class JsonReader;
class JsonWriter;

// Stores.
template <class Key, class Value, class Hash = kvstore::Hash<Key>, class KeyEqual = std::equal_to<>>
class KeyValueStore;
template <class Key, class Value, class Hash = kvstore::Hash<Key>, class KeyEqual = std::equal_to<>,
          class Mutex = std::shared_mutex>
class BatchPersistentKeyValueStore;
/// The short name of `BatchPersistentKeyValueStore`.
template <class Key, class Value, class Hash = kvstore::Hash<Key>, class KeyEqual = std::equal_to<>,
          class Mutex = std::shared_mutex>
using DurableMap = BatchPersistentKeyValueStore<Key, Value, Hash, KeyEqual, Mutex>;
template <class Key, class Value>
class RedisClusterKeyValueStore;
template <class Key, class Value>
class EtcdKeyValueStore;
template <class Key, class Value>
class WriteBatch;
class SpinSharedMutex;

// Storages.
class Storage;
class LoadSink;
class ChangeSource;
class JsonFile;
class JsonJournal;
class MemoryStorage;
class SqliteFile;  // incomplete? #include <kvstore/storage/sqlite.hpp>, and link sqlite3 (kvstore::sqlite)
using Sqlite = SqliteFile;  ///< its name in our first preview
class RedisClusterStorage;  // incomplete? #include <kvstore/storage/redis_cluster_storage.hpp>, link hiredis

// Options, and reports of stores.
struct Options;
struct Metrics;
struct Progress;
struct LogEvent;
struct MigrateOptions;
struct SqliteOptions;
struct RedisClusterOptions;
struct EtcdOptions;

// The base of all errors: error.hpp.
class Error;

}}  // namespace kvstore::v1
