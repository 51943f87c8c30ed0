// SPDX-License-Identifier: MIT

// Memory that is not needed any more is given back: by tables after removals, by buffers after one huge
// value.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/json/scratch_writer.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/held_memory.hpp"
#include "support/memory_storage.hpp"
#include "support/open_file.hpp"
#include "support/temp_folder.hpp"

namespace held_memory_test {

using namespace std::chrono_literals;
using support::held_memory;

namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

using Store = kvstore::BatchPersistentKeyValueStore<int, std::uint64_t>;

Store open(kvstore::SaveScope wanted = kvstore::SaveScope::everything) {
  const auto disk = std::make_shared<support::Disk>();
  disk->wanted = wanted;
  return Store{support::storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s}};
}

void fill(Store& store, int entries) {
  for (int key = 0; key < entries; ++key) store.create(key, 1);
}

/// The memory held beyond `before`; 0 if less is held.
std::size_t held_since(std::size_t before) {
  const std::size_t now = held_memory();
  return now > before ? now - before : 0;
}

}  // namespace

TEST_CASE("Held memory: a store from which entries are removed gives their memory back") {
  constexpr int kEntries = 200'000;
  Store store = open();
  store.create(-1, 1);
  store.remove(-1);
  const std::size_t before = held_memory();
  fill(store, kEntries);
  const std::size_t full = held_since(before);
  REQUIRE(full > 3 * kMiB);
  for (int key = 0; key < kEntries * 9 / 10; ++key) store.remove(key);
  CHECK(held_since(before) < full / 2);
  for (int key = kEntries * 9 / 10; key < kEntries; ++key) store.remove(key);
  CHECK(held_since(before) < full / 10);
}

TEST_CASE("Held memory: clear gives back what an empty store still holds") {
  Store store = open();
  const std::size_t before = held_memory();
  fill(store, 2000);  // a few in each segment
  for (int key = 0; key < 2000; ++key) store.remove(key);
  REQUIRE(store.unsaved() == 4000);
  store.clear();
  CHECK(store.unsaved() == 4000);  // clear() changed nothing
  CHECK(held_since(before) < 16 * kKiB);
}

TEST_CASE("Held memory: a save that is over holds nothing of what it kept track of") {
  const auto disk = std::make_shared<support::Disk>();
  Store store{support::storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s, .segments = 1}};
  fill(store, 200'000);
  const auto save = [&] {
    store.update(0, 1);
    store.save();
    return held_memory();
  };
  save();
  const std::size_t before = save();
  disk->on_change = [&](std::size_t change) {
    if (change == 1) store.update(199'999, 1);
  };
  const std::size_t after = save();
  disk->on_change = [](std::size_t) {};
  CHECK(after < before + 8 * kKiB);
}

TEST_CASE("Held memory: a thread keeps no buffer of the size of the largest value that it wrote") {
  using Texts = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;
  std::size_t before = 0;
  std::size_t after = 0;
  std::jthread{[&] {
    const auto write = [](std::size_t size) {
      const auto disk = std::make_shared<support::Disk>();
      disk->wanted = kvstore::SaveScope::changes;
      Texts store{support::storage_on(disk), {.batch_size = 0, .auto_save_interval = 0s}};
      store.upsert("key", std::string(size, 'x'));
    };
    write(1);
    before = held_memory();
    write(20 * kMiB);
    after = held_since(before);
  }}.join();
  CHECK(after <= kMiB + 64 * kKiB);
}

TEST_CASE("Held memory: an encoding that is thrown away leaves no huge buffer") {
  kvstore::detail::check_value(std::optional<std::string>{"a"});
  const std::size_t before = held_memory();
  {
    kvstore::detail::ScratchWriter scratch;
    scratch->raw(std::string(20 * kMiB, 'x'));
  }
  CHECK(held_since(before) <= kMiB);
}

TEST_CASE("Held memory: a reader of a short journal makes no room for a long one") {
  const support::TempFolder folder;
  support::write_file(folder / "journal", "no line of a journal\n");
  const auto file = support::opened(kvstore::detail::system_file_system(), folder / "journal",
                                    kvstore::detail::OpenMode::read);
  const std::size_t before = held_memory();
  kvstore::detail::JournalReader reader{*file, folder / "journal"};
  std::string_view body;
  CHECK_FALSE(reader.next(body));
  CHECK(reader.torn_bytes() == 21);
  CHECK(held_since(before) < 64 * kKiB);
}

TEST_CASE("ChangeBuffer: one that is cleared for good keeps a MiB at most") {
  kvstore::detail::ChangeBuffer changes;
  const auto fills = [&](std::size_t count, std::size_t size) {
    const std::string value(size, 'x');
    for (std::size_t i = 0; i < count; ++i) {
      changes.put(static_cast<int>(i), value);
      changes.end_group();
    }
    CHECK(changes.count() == count);
  };
  fills(1, 20 * kMiB);
  CHECK(changes.capacity() >= 20 * kMiB);
  changes.clear();
  CHECK(changes.capacity() >= 20 * kMiB);
  changes.clear_and_shrink();
  CHECK(changes.capacity() <= kMiB + 64 * kKiB);
  fills(300'000, 0);
  CHECK(changes.capacity() >= 6 * kMiB);
  changes.clear_and_shrink();
  CHECK(changes.empty());
  CHECK(changes.capacity() <= 3 * kMiB);
  fills(10, 10);
  const std::size_t small = changes.capacity();
  changes.clear_and_shrink();
  CHECK(changes.capacity() == small);  // a small buffer is worth keeping
}

TEST_CASE("JsonWriter: shrinking it keeps what was written") {
  kvstore::JsonWriter out;
  out.shrink(0);
  CHECK(out.capacity() == 0);
  out.raw(std::string(100'000, 'x'));
  out.truncate(3000);
  out.shrink(5000);
  CHECK(out.capacity() == 5000);
  out.shrink(10);
  CHECK(out.capacity() == 3000);
  CHECK(out.text() == std::string(3000, 'x'));
  out.shrink(10'000);
  CHECK(out.capacity() == 3000);
  out.string("more");
  CHECK(out.text() == std::string(3000, 'x') + "\"more\"");
}

}  // namespace held_memory_test
