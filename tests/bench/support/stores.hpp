// SPDX-License-Identifier: MIT
#pragma once

// Our stores as benchmarks use them.

#include <chrono>
#include <cstddef>
#include <kvstore/detail/json_file/entry_writer.hpp>
#include <kvstore/kvstore.hpp>
#include <string>
#include <string_view>

#include "bench/support/data.hpp"
#include "bench/support/rounds.hpp"

namespace bench {

template <class Value>
using Store = kvstore::BatchPersistentKeyValueStore<std::string, Value>;

/// Saves only when told to.
[[nodiscard]] inline kvstore::Options quiet() {
  return {.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}};
}

/// Takes the whole text of a JSON file, and counts it.
class Discard final : public kvstore::Storage {
 public:
  void load(const kvstore::LoadRequest&, kvstore::LoadSink&) override {}
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return kvstore::SaveScope::everything; }
  void save(kvstore::ChangeSource& source) override {
    Counter counter;
    kvstore::detail::write_json_entries(counter, source);
    keep(counter.bytes);
  }

 private:
  struct Counter {
    void append(std::string_view text) { bytes += text.size(); }
    std::size_t bytes = 0;
  };
};

/// Puts entry after entry into anything that has `upsert`.
template <class Target, class ValueOf>
void fill(Target& target, std::size_t entries, const ValueOf& value_of) {
  for (std::size_t i = 0; i < entries; ++i) target.upsert(key_of(i), value_of(i));
}

/// A store of the entries of a `Dataset`.
template <class Data>
using StoreOf = kvstore::BatchPersistentKeyValueStore<typename Data::Key, typename Data::Value>;

template <class Data>
void fill_with(StoreOf<Data>& store, std::size_t entries) {
  for (std::size_t i = 0; i < entries; ++i) store.upsert(Data::key(i), Data::value(i));
}

/// Makes one entry unsaved, since a store with nothing to save does nothing.
template <class Value>
void touch(Store<Value>& store) {
  store.modify(key_of(0), [](Value&) {});
}

}  // namespace bench
