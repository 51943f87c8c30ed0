// SPDX-License-Identifier: MIT

// Operations that put their lines into the journal's file themselves: the calls that they make, windows that
// follow each other, lines that no window has room for, threads, and what a killed process leaves.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/error.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "kvstore/write_batch.hpp"
#include "support/catch.hpp"
#include "support/contents_of.hpp"
#include "support/fault_file_system.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"

namespace journal_window_test {

using kvstore::detail::JournalSpace;
using support::Call;
using support::contents_of;
using support::FaultFileSystem;
using support::SimulatedDisk;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;
using State = std::map<std::string, std::string>;

namespace {

constexpr JournalSpace kWide{
    .step = std::uint64_t{64} << 10, .zero_from = std::uint64_t{1} << 30, .stage_from = 1};
constexpr JournalSpace kTiny{.step = 256, .tail = 320, .zero_from = std::uint64_t{1} << 30, .stage_from = 1};

constexpr std::string_view kPath = "/sim/data.json";

std::unique_ptr<Store> open(kvstore::detail::FileSystem& files, const JournalSpace& space,
                            std::size_t batch_size = 0) {
  return std::make_unique<Store>(
      std::make_unique<kvstore::JsonJournal>(kPath, files, space),
      kvstore::Options{.batch_size = batch_size, .auto_save_interval = std::chrono::milliseconds{0}});
}

/// What the next process finds after a kill at this moment.
State after_kill(SimulatedDisk& disk) {
  const auto left = disk.after_kill();
  return contents_of(*open(*left, kWide));
}

std::string text_of(std::size_t bytes, char letter) { return std::string(bytes, letter); }

}  // namespace

TEST_CASE("Journal window: an operation makes no call, and outlives a kill at once") {
  SimulatedDisk disk;
  FaultFileSystem files{disk};
  const auto store = open(files, kWide);
  store->create("first", "opens the window");
  files.reset_counts();
  for (int i = 0; i < 100; ++i) store->upsert("key" + std::to_string(i % 7), std::to_string(i));
  store->remove("key0");
  store->modify("key1", [](std::string& value) { value += "\n\"changed\""; });
  kvstore::WriteBatch<std::string, std::string> batch;
  batch.upsert("batch", "1").remove("key2").upsert("other", "2");
  store->apply(batch);
  CHECK(files.count() == 0);
  CHECK(after_kill(disk) == contents_of(*store));
  store->clear();
  CHECK(files.count() == 0);
  CHECK(after_kill(disk).empty());
}

TEST_CASE("Journal window: windows follow each other, and lines stay whole and in order across them") {
  for (std::size_t length = 0; length < 300; length += 7) {
    SimulatedDisk disk;
    const auto store = open(disk, kTiny);
    for (std::size_t i = 0; i < 40; ++i) {
      store->upsert("key" + std::to_string(i % 5), text_of((length + 31 * i) % 300, 'a'));
      if (i % 8 == 3) store->save();
      if (i % 13 == 5) CHECK(after_kill(disk) == contents_of(*store));
    }
    const State expected = contents_of(*store);
    CHECK(after_kill(disk) == expected);
    store->close();
    CHECK(contents_of(*open(disk, kTiny)) == expected);
  }
}

TEST_CASE("Journal window: a line longer than any window goes around it, and the next ones through it") {
  SimulatedDisk disk;
  FaultFileSystem files{disk};
  const auto store = open(files, kWide);
  for (int round = 0; round < 3; ++round) {
    store->upsert("long", text_of(200'000, 'x'));
    store->upsert("a", std::to_string(round));
    files.reset_counts();
    for (int i = 0; i < 10; ++i) store->upsert("b", std::to_string(i));
    CHECK(files.count() == 0);
    CHECK(after_kill(disk) == contents_of(*store));
  }
}

TEST_CASE("Journal window: after a sync the next line vouches for what it has covered") {
  SimulatedDisk disk;
  const auto store = open(disk, kWide);
  for (int i = 0; i < 20; ++i) store->upsert("a", std::to_string(i));
  store->save();
  store->close();
  // A damaged byte in what was synced is damage now, and no torn end.
  support::DiskImage image = disk.visible();
  std::string text = image.at("/sim/data.json.journal").bytes;
  const std::size_t at = text.find("\"7\"");
  REQUIRE(at != std::string::npos);
  text[at + 1] = '8';
  image["/sim/data.json.journal"] = support::SparseText{text};
  SimulatedDisk damaged{image};
  CHECK_THROWS_AS(open(damaged, kWide), kvstore::CorruptionError);
}

TEST_CASE("Journal window: it is of the new journal after a compaction, and closes with the store") {
  SimulatedDisk disk;
  const auto store = open(disk, kTiny);
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 20; ++i) store->upsert("key" + std::to_string(i), std::to_string(round * i));
    store->compact();
    store->upsert("after", std::to_string(round));
    CHECK(after_kill(disk) == contents_of(*store));
  }
  const State expected = contents_of(*store);
  store->close();
  CHECK_THROWS_AS(store->upsert("late", "1"), kvstore::UsageError);
  CHECK(contents_of(*open(disk, kTiny)) == expected);
}

TEST_CASE("Journal window: a failed sync closes it, and the next save makes up for what it had") {
  SimulatedDisk disk;
  const auto store = open(disk, kWide);
  for (int i = 0; i < 20; ++i) store->upsert("key" + std::to_string(i), "before");
  disk.fail_sync(1);
  CHECK_THROWS_AS(store->save(), kvstore::StorageError);
  CHECK_THROWS_AS(store->upsert("key1", "after"), kvstore::StorageError);  // it is too early to try again
  store->save();
  for (int i = 0; i < 20; ++i) store->upsert("key" + std::to_string(i), "at last");
  CHECK(after_kill(disk) == contents_of(*store));
  const State expected = contents_of(*store);
  store->close();
  CHECK(contents_of(*open(disk, kWide)) == expected);
}

TEST_CASE("Journal window: the numbers of unsaved operations are those of operations, through all windows") {
  SimulatedDisk disk;
  const auto store = open(disk, kTiny);
  for (std::uint64_t i = 1; i <= 200; ++i) {
    store->upsert("a", text_of(i, 'x'));
    CHECK(store->unsaved() == i);
  }
  CHECK(store->metrics().applied == 200);
  store->save();
  CHECK(store->unsaved() == 0);
  store->upsert("a", "y");
  CHECK(store->unsaved() == 1);
  store->close();
  CHECK(store->metrics().applied == 201);
}

TEST_CASE("Journal window: the bytes of all lines are counted, whichever way they went") {
  SimulatedDisk disk;
  const auto store = open(disk, kTiny);
  const std::uint64_t begin = store->metrics().journal.bytes;
  for (std::size_t i = 0; i < 50; ++i) store->upsert("a", text_of(i * 13 % 400, 'x'));
  store->save();
  const auto metrics = store->metrics();
  CHECK(metrics.saves.bytes == metrics.journal.bytes - begin);
  CHECK(metrics.saves.bytes > 50 * 20);
  store->upsert("a", "y");
  store->upsert("a", "y");
  store->save();
  CHECK(store->metrics().saves.bytes >= metrics.saves.bytes + 2 * 17);
}

TEST_CASE("Journal window: threads that fill windows lose nothing and disturb no order of a key") {
  constexpr int kThreads = 4;
  constexpr int kWrites = 2000;
  const support::TempFolder folder;
  const std::filesystem::path path = folder / "data.json";
  const auto storage = [&] {
    return std::make_unique<kvstore::JsonJournal>(
        path, kvstore::detail::system_file_system(),
        JournalSpace{
            .step = std::uint64_t{64} << 10, .stage_from = 1, .compact_from = std::uint64_t{1} << 40});
  };
  State expected;
  {
    Store store{storage(), {.batch_size = 500, .auto_save_interval = std::chrono::milliseconds{1}}};
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&store, t] {
        for (int i = 0; i < kWrites; ++i) {
          store.upsert("shared" + std::to_string(i % 10), std::to_string(t) + text_of(100, 'x'));
          store.upsert("own" + std::to_string(t), std::to_string(i));
        }
      });
    }
    threads.clear();
    CHECK(store.metrics().applied == std::uint64_t{2} * kThreads * kWrites);
    expected = contents_of(store);
#ifndef _WIN32  // where nobody else may read a journal that is open
    // Without a close: what the kernel has is what a kill leaves. But not while a save goes on: then the copy
    // of the tail vouches for lines that the earlier copy of the journal has not.
    store.save();
    for (const char* suffix : {"", ".tail"})
      std::filesystem::copy_file(folder / "data.json.journal" += suffix,
                                 folder / "copy.json.journal" += suffix);
    const Store copy{std::make_unique<kvstore::JsonJournal>(folder / "copy.json")};
    CHECK(contents_of(copy) == expected);
#endif
  }
  Store store{storage()};
  CHECK(contents_of(store) == expected);
}

TEST_CASE(
    "Journal window: where space cannot be reserved, from any moment on, nothing is lost behind the end") {
  // On real files: what is stored behind the end of one is lost silently, or meets a signal.
  constexpr JournalSpace kPages{
      .step = std::uint64_t{64} << 10, .zero_from = std::uint64_t{1} << 20, .stage_from = 1};
  int met = 0;
  for (const bool forever : {true, false}) {
    for (std::uint64_t nth = 1; nth <= 5; ++nth) {
      const support::TempFolder folder;
      FaultFileSystem files;
      files.inject({.nth = nth,
                    .error = std::make_error_code(std::errc::no_space_on_device),
                    .call = Call::allocate,
                    .forever = forever});
      State held;
      {
        Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json", files, kPages),
                    {.batch_size = 100, .auto_save_interval = std::chrono::milliseconds{0}}};
        for (int i = 0; i < 2500; ++i) store.upsert(std::to_string(i), text_of(100, 'v'));
        held = contents_of(store);
        store.close();
      }
      met += files.failed() != 0 ? 1 : 0;
      const Store again{std::make_unique<kvstore::JsonJournal>(folder / "data.json"), {}};
      CHECK(contents_of(again) == held);
    }
  }
  CHECK(met >= 8);  // without mappings there are fewer calls
}

TEST_CASE(
    "Journal: zeros written ahead overwrite no line that was written where no space could be reserved") {
  const support::TempFolder folder;
  FaultFileSystem files;
  auto made = files.open(folder / "journal", kvstore::detail::OpenMode::exclusive, 0666);
  REQUIRE_FALSE(made.error);
  kvstore::detail::File& file = *made.value;
  constexpr JournalSpace kZeroing{.step = 4096, .zero_from = 1, .zero_batch = std::uint64_t{1} << 30};
  kvstore::detail::JournalFile journal{std::move(made.value), "0123456789abcdef", 0, 0, kZeroing};
  const auto add = [&] {
    journal.add([](kvstore::JsonWriter& out) { out.raw(text_of(64, 'x')); });
    REQUIRE_FALSE(journal.flush());
  };
  do { add(); } while (journal.end() + 80 < file.status().value.size);
  // The syncing thread has seen where the lines end, and waits, while the next line finds no space and is
  // written.
  using namespace std::chrono_literals;
  std::jthread syncing;
  int allocations = 0;
  files.before_each([&](Call call, const std::filesystem::path&) {
    if (call != Call::allocate) return;
    if (++allocations > 1) return std::this_thread::sleep_for(100ms);
    syncing = std::jthread{[&] { static_cast<void>(journal.sync()); }};
    std::this_thread::sleep_for(100ms);
    files.inject({.error = std::make_error_code(std::errc::no_space_on_device), .call = call});
  });
  add();
  syncing.join();
  files.before_each({});
  CHECK(allocations == 2);
  CHECK(files.failed() == 1);
  std::string text(static_cast<std::size_t>(journal.end()), '?');
  CHECK(kvstore::detail::read_full(journal.file(), 0, {text.data(), text.size()}).value == text.size());
  CHECK(text.find('\0') == std::string::npos);
}

TEST_CASE("Journal window: lines that were logged stand in it before any other, or it stays closed") {
  SimulatedDisk disk;
  auto file = disk.open("/sim/journal", kvstore::detail::OpenMode::exclusive, 0666);
  REQUIRE_FALSE(file.error);
  const auto tail = std::make_shared<kvstore::detail::TailFile>(disk, "/sim/data.json", kTiny.tail);
  kvstore::detail::JournalFile journal{std::move(file.value), "0123456789abcdef", 0, 0, kTiny, tail};
  journal.take_tail();
  kvstore::detail::LineWindow window;
  window.set_size(tail->round());
  journal.add([](kvstore::JsonWriter& out) { out.raw("first"); });
  REQUIRE_FALSE(journal.flush());
  const std::uint64_t begin = journal.end();

  CHECK_FALSE(journal.prepare_window([] { return true; }));  // its header is not on disk yet
  REQUIRE_FALSE(journal.sync());
  REQUIRE(journal.prepare_window([] { return true; }));
  CHECK_FALSE(journal.open_window(window, text_of(tail->round() - begin + 1, 'x'), 1));
  CHECK_FALSE(window.is_open());

  REQUIRE(journal.prepare_window([] { return true; }));
  static_cast<void>(window.count(2));  // they were logged
  REQUIRE(journal.open_window(window, "11111111 older\n22222222 old\n", 2));
  std::uint32_t last = 0;
  REQUIRE(window.put({"33333333", " new\n"}, 1, last));
  CHECK(last == 3);
  window.close();
  REQUIRE_FALSE(journal.flush());
  CHECK(journal.take_operations() == 3);
  CHECK(journal.end() == begin + 41);
  std::array<char, 41> text{};
  const auto got = kvstore::detail::read_full(journal.file(), begin, {text.data(), text.size()});
  CHECK(got.value == text.size());
  CHECK(std::string_view{text.data(), text.size()} == "11111111 older\n22222222 old\n33333333 new\n");
}

}  // namespace journal_window_test
