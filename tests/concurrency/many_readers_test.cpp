// SPDX-License-Identifier: MIT

// Readers of one key and of many keys, while writers and a refresh run, with each mutex of the library.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "kvstore/spin_shared_mutex.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"

namespace many_readers_test {

namespace {

template <class Mutex>
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int, kvstore::Hash<std::string>,
                                                    std::equal_to<>, Mutex>;

kvstore::Options options(bool read_only) {
  return {.batch_size = 0,
          .auto_save_interval = std::chrono::milliseconds{0},
          .segments = 4,
          .read_only = read_only};
}

std::vector<std::string> some_keys() {
  std::vector<std::string> keys;
  for (int i = 0; i < 40; ++i) keys.push_back("key " + std::to_string(i));
  return keys;
}

}  // namespace

TEMPLATE_TEST_CASE("Many readers: beside writers each key is there and its counter never goes back", "",
                   std::shared_mutex, kvstore::SpinSharedMutex) {
  Store<TestType> store{support::storage_on(std::make_shared<support::Disk>()), options(false)};
  const std::vector<std::string> keys = some_keys();
  for (const std::string& key : keys) store.create(key, 0);
  std::atomic<int> wrong = 0;
  {
    std::atomic<bool> done = false;
    std::vector<std::jthread> readers;
    for (int reader = 0; reader < 2; ++reader) {
      readers.emplace_back([&] {
        std::vector<int> last(keys.size());
        while (!done) {
          const std::vector<std::optional<int>> values = store.read_many(keys);
          for (std::size_t i = 0; i < values.size(); ++i) {
            if (!values[i] || *values[i] < last[i]) ++wrong;
            last[i] = values[i].value_or(0);
          }
          store.upsert("extra", last[0]);  // makes tables grow and shrink as well
          store.try_remove("extra");
        }
      });
    }
    std::vector<std::jthread> writers;
    for (int writer = 0; writer < 2; ++writer) {
      writers.emplace_back([&] {
        for (int i = 0; i < 4000; ++i)
          store.modify(keys[static_cast<std::size_t>(i) % keys.size()], [](int& n) { ++n; });
      });
    }
    writers.clear();
    done = true;
  }
  CHECK(wrong == 0);
  for (const std::string& key : keys) CHECK(store.read(key) == 200);
}

TEST_CASE("Many readers: beside a refresh of everything they find each key") {
  const auto disk = std::make_shared<support::Disk>();
  const std::vector<std::string> keys = some_keys();
  for (const std::string& key : keys) disk->entries.emplace(key, "1");
  Store<std::shared_mutex> store{support::storage_on(disk), options(true)};
  std::atomic<int> missing = 0;
  std::atomic<bool> done = false;
  std::jthread reader{[&] {
    while (!done) {
      for (const std::string& key : keys) missing += store.try_read(key) ? 0 : 1;
      for (const auto& value : store.read_many(keys)) missing += value ? 0 : 1;
    }
  }};
  for (int i = 0; i < 200; ++i) store.refresh();
  done = true;
  reader.join();
  CHECK(missing == 0);
}

TEST_CASE("Many readers: a store that is closed beside a refresh ends it between two of them") {
  const auto disk = std::make_shared<support::Disk>();
  disk->entries.emplace("key", "1");
  for (int round = 0; round < 20; ++round) {
    Store<std::shared_mutex> store{support::storage_on(disk), options(true)};
    std::atomic<int> refreshed = 0;
    std::atomic<bool> refused = false;
    std::jthread follower{[&] {
      try {
        for (;; ++refreshed) store.refresh();
      } catch (const kvstore::UsageError&) { refused = true; }
    }};
    while (refreshed < 3) std::this_thread::yield();
    store.close();
    follower.join();
    CHECK(refused);
    CHECK(store.read("key") == 1);
  }
}

}  // namespace many_readers_test
