// SPDX-License-Identifier: MIT

// Several threads save the same as one thread: the same file, as of one point in time, or the same error.
// Values are large here, so that a few of them already justify several threads.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/line_storage.hpp"
#include "support/meeting.hpp"
#include "support/temp_folder.hpp"

namespace parallel_save_test {

using namespace std::chrono_literals;
using support::entries_of;
using support::LineDisk;
using support::LineStorage;
using Store = kvstore::BatchPersistentKeyValueStore<int, std::string>;
using Contents = std::map<std::string, std::string>;

namespace {

kvstore::Options saves_with(std::size_t threads, std::size_t segments = 0) {
  kvstore::Options options;
  options.batch_size = 0;
  options.auto_save_interval = 0ms;
  options.segments = segments;
  options.threads = threads;
  return options;
}

std::string value(int number, std::size_t size = 2000) {
  return std::to_string(number) + "\n\"\xc3\xa9" + std::string(size, 'v');
}

Contents contents_of(const Store& store) {
  Contents contents;
  store.for_each([&](int key, const std::string& text) { contents[std::to_string(key)] = text; });
  return contents;
}

void fill(Store& store, int entries) {
  for (int i = 0; i < entries; ++i) store.create(i, value(i));
}

}  // namespace

TEST_CASE("Parallel save: the file is the one that one thread writes, byte for byte") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random{seed};
  const std::size_t segments = GENERATE(1U, 2U, 16U, 256U, 4096U);
  CAPTURE(segments);
  const support::TempFolder folder;
  std::map<std::size_t, std::unique_ptr<Store>> stores;
  for (const std::size_t threads : {1U, 2U, 4U}) {
    stores[threads] =
        std::make_unique<Store>(folder / std::to_string(threads), saves_with(threads, segments));
  }
  for (int i = 0; i < 1500; ++i) {
    const int key = static_cast<int>(random());
    const std::string text = value(i, random() % 8 == 0 ? random() % 20'000 : random() % 1000);
    for (auto& [threads, store] : stores) store->upsert(key, text);
  }
  stores[1]->upsert(-1, std::string(3U << 20U, 'x'));  // larger than any block
  for (auto& [threads, store] : stores) {
    store->upsert(-1, std::string(3U << 20U, 'x'));
    store->save();
  }
  const std::string alone = support::read_file(folder / "1");
  CHECK(alone.size() > (4U << 20U));
  CHECK(entries_of<std::string>(alone) == contents_of(*stores[1]));
  CHECK((support::read_file(folder / "2") == alone));
  CHECK((support::read_file(folder / "4") == alone));
}

TEST_CASE("Parallel save: changes made during a save are not in it, whatever they are") {
  const std::size_t segments = GENERATE(1U, 8U, 32U);
  const std::size_t at = GENERATE(1U, 9U, 14U);
  const int verb = GENERATE(range(0, 6));
  CAPTURE(segments, at, verb);
  const auto disk = std::make_shared<LineDisk>();
  Store store{std::make_unique<LineStorage>(disk), saves_with(3, segments)};
  fill(store, 1000);
  const Contents before = contents_of(store);
  disk->on_block = [&](std::size_t number) {
    if (number != at) return;
    for (int key = 0; key < 1000; key += 3) {
      if (verb == 0) store.update(key, "changed");
      if (verb == 1) store.remove(key);
      if (verb == 2) store.create(key + 5000, "new");
      if (verb == 3) store.modify(key, [](std::string& text) { text = "changed"; });
    }
    if (verb == 4) store.clear();
    if (verb == 5) {
      kvstore::WriteBatch<int, std::string> batch;
      for (int key = 0; key < 700; ++key) batch.remove(key).create(key + 9000, "new");
      store.apply(std::move(batch));
    }
  };
  store.save();
  REQUIRE(disk->blocks > 12);
  REQUIRE(entries_of<std::string>(disk->text) == before);
  disk->on_block = [](std::size_t) {};
  store.save();
  REQUIRE(entries_of<std::string>(disk->text) == contents_of(store));
}

TEST_CASE(
    "Parallel save: an abandoned one leaves neither threads nor anything that the next one could meet") {
  const auto disk = std::make_shared<LineDisk>();
  Store store{std::make_unique<LineStorage>(disk), saves_with(4, 64)};
  fill(store, 1000);
  for (std::size_t at = 1; at < 14; at += 2) {
    disk->on_block = [&](std::size_t number) {
      store.upsert(static_cast<int>(number) * 10, "changed");
      if (number == at) throw kvstore::StorageError{"memory", {}, "abandoned"};
    };
    REQUIRE_THROWS_AS(store.save(), kvstore::StorageError);
    disk->on_block = [](std::size_t) {};
    store.upsert(-5, "new");
    store.save();
    REQUIRE(entries_of<std::string>(disk->text) == contents_of(store));
    for (int i = 0; i < 1000; ++i) store.upsert(i, value(i));
  }
}

namespace {

/// A value that two threads may meet in, and that the codec may refuse to write.
struct Watched {
  int number = 0;
  bool operator==(const Watched&) const = default;
};
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::atomic<int> refused = -1;

support::Meeting* meeting = nullptr;
std::atomic<int> encoded = 0;

struct WatchedCodec {
  static void check(const Watched&) {}
  static void encode(const Watched& value, kvstore::JsonWriter& out) {
    if (value.number == refused) throw Refused{"refused"};
    if (meeting != nullptr && ++encoded > 1500) meeting->attend();
    out.string(std::to_string(value.number) + std::string(1000, 'w'));
  }
  static Watched decode(kvstore::JsonReader& in) { return {std::stoi(std::string{in.string()})}; }
};

}  // namespace

}  // namespace parallel_save_test

template <>
struct kvstore::Codec<parallel_save_test::Watched> : parallel_save_test::WatchedCodec {};

namespace parallel_save_test {

TEST_CASE("Parallel save: more than one thread encodes values") {
  const auto disk = std::make_shared<LineDisk>();
  kvstore::BatchPersistentKeyValueStore<int, Watched> store{std::make_unique<LineStorage>(disk),
                                                            saves_with(2)};
  for (int i = 0; i < 2500; ++i) store.create(i, {i});
  support::Meeting here;
  meeting = &here;
  store.save();
  meeting = nullptr;
  CHECK(here.threads() == 2);
}

TEST_CASE("Parallel save: what a codec throws in another thread comes out, and the next save succeeds") {
  const auto disk = std::make_shared<LineDisk>();
  kvstore::BatchPersistentKeyValueStore<int, Watched> store{std::make_unique<LineStorage>(disk),
                                                            saves_with(3)};
  for (int i = 0; i < 2500; ++i) store.create(i, {i});
  for (int number = 0; number < 2500; number += 400) {
    CAPTURE(number);
    store.upsert(number, {number});
    refused = number;
    CHECK_THROWS_AS(store.save(), Refused);
    refused = -1;
    store.save();
    CHECK(entries_of<std::string>(disk->text).size() == 2500);
  }
}

}  // namespace parallel_save_test
