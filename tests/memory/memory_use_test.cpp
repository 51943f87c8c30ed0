// SPDX-License-Identifier: MIT

// The memory that operations ask for.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "memory/out_of_memory.hpp"
#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/memory_storage.hpp"

namespace memory_use_test {

using namespace std::chrono_literals;
using out_of_memory::Base;
using out_of_memory::fill;
using out_of_memory::key;
using out_of_memory::Store;
using out_of_memory::value;
using support::Disk;

TEST_CASE("Memory: entries that come and go at one size ask for no memory, whatever the size") {
  kvstore::KeyValueStore<int, int> store;
  for (int i = 0; i < 2000; ++i) store.create(i, i);
  for (int left = 2000; left > 0; --left) {
    store.remove(left - 1);
    const auto come_and_go = [&] {
      for (int i = 0; i < 3; ++i) store.create(5000 + i, i);
      for (int i = 0; i < 3; ++i) store.remove(5000 + i);
    };
    come_and_go();
    const std::uint64_t before = support::bytes_asked_for();
    for (int i = 0; i < 5; ++i) come_and_go();
    REQUIRE(support::bytes_asked_for() == before);
  }
}

TEST_CASE("Memory: a batch asks for as much as it has changes, however many segments there are") {
  const auto bytes_of_apply = [](std::size_t segments) {
    Store store{support::storage_on(std::make_shared<Disk>()),
                {.batch_size = 0, .auto_save_interval = 0ms, .segments = segments}};
    const auto apply = [&] {
      Base::Batch batch;
      for (int i = 0; i < 3; ++i) batch.upsert(key(i), value(i));
      batch.remove(key(2));
      store.apply(std::move(batch));
    };
    apply();
    store.clear();
    const std::uint64_t before = support::bytes_asked_for();
    apply();
    return support::bytes_asked_for() - before;
  };
  CHECK(bytes_of_apply(65536) < bytes_of_apply(256) + 1000);
}

TEST_CASE("Memory: a batch beside a save asks for about as much as any other") {
  const auto disk = std::make_shared<Disk>();
  Store store{support::storage_on(disk), {.batch_size = 0, .auto_save_interval = 0ms, .segments = 4096}};
  fill(store, 20'000);
  const auto bytes_of_apply = [&](int first) {
    Base::Batch batch;
    for (int i = first; i < first + 20'000; ++i) batch.create(key(i), {});
    const std::uint64_t before = support::bytes_asked_for();
    store.apply(std::move(batch));
    return support::bytes_asked_for() - before;
  };
  std::uint64_t beside_save = 0;
  disk->on_change = [&](std::size_t change) {
    if (change == 1) beside_save = bytes_of_apply(100'000);
  };
  store.save();
  disk->on_change = nullptr;  // the store ends later than what that uses
  CHECK(beside_save < 3 * bytes_of_apply(200'000) / 2);
}

}  // namespace memory_use_test
