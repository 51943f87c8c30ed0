// SPDX-License-Identifier: MIT

// Readers of a store whose newest lines are in the tail of its journal, while the writer goes on.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "support/catch.hpp"
#include "support/contents_of.hpp"
#include "support/fault_file_system.hpp"
#include "support/temp_folder.hpp"

namespace tail_readers_test {

using kvstore::JsonJournal;
using kvstore::detail::JournalSpace;
using support::contents_of;
using support::FaultFileSystem;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;
namespace fs = std::filesystem;

namespace {

constexpr JournalSpace kSpace{
    .step = 4096, .tail = std::size_t{64} << 10, .zero_from = std::uint64_t{1} << 30, .stage_from = 1};
const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}};

#ifndef _WIN32  // where nothing is mapped

/// Lets `act` happen, once, before the next read of a tail.
void before_read(FaultFileSystem& files, std::function<void()> act) {
  files.before_each([act = std::move(act)](support::Call call, const fs::path& path) mutable {
    if (call != support::Call::read || path.extension() != ".tail" || act == nullptr) return;
    std::exchange(act, nullptr)();
  });
}

#endif

}  // namespace

TEST_CASE("Tail: a reader in another process sees its lines, and follows them around") {
  const TempFolder folder;
  const auto storage = [&] {
    return std::make_unique<JsonJournal>(folder / "data.json", kvstore::detail::system_file_system(), kSpace);
  };
  Store writer{storage(), kManual};
  writer.upsert("first", "0");
  kvstore::Options reading = kManual;
  reading.read_only = true;
  Store reader{storage(), reading};
  for (int i = 0; i < 5000; ++i) {
    writer.upsert("key" + std::to_string(i % 50), std::string(static_cast<std::size_t>(i % 100), 'v'));
    if (i % 7 != 0) continue;
    CHECK(reader.refresh());
    REQUIRE(contents_of(reader) == contents_of(writer));
    if (i % 700 == 0) REQUIRE(contents_of(Store{storage(), reading}) == contents_of(writer));
  }
}

#ifndef _WIN32  // where nothing is mapped

TEST_CASE("Tail: a reader that a writer overtakes, by any number of lines, misses none") {
  for (int steps = 0; steps < 60; ++steps) {
    const TempFolder folder;
    FaultFileSystem files;
    Store writer{
        std::make_unique<JsonJournal>(folder / "data.json", kvstore::detail::system_file_system(), kSpace),
        kManual};
    writer.upsert("first", "0");
    kvstore::Options reading = kManual;
    reading.read_only = true;
    Store reader{std::make_unique<JsonJournal>(folder / "data.json", files, kSpace), reading};
    for (int i = 0; i < 10; ++i) writer.upsert("key" + std::to_string(i), std::string(3000, 'a'));
    const auto overtake = [&] {
      for (int i = 0; i < steps; ++i) {
        const std::size_t length = i % 20 == 19 ? 50'000 : 2500;  // a long one goes around the tail
        writer.upsert("more" + std::to_string(i), std::string(length, 'b'));
      }
    };
    before_read(files, overtake);
    REQUIRE(reader.refresh());
    REQUIRE(contents_of(reader) == contents_of(writer));
    for (int i = 0; i < 10; ++i) writer.upsert("key" + std::to_string(i), std::string(3000, 'c'));
    before_read(files, overtake);
    const Store another{std::make_unique<JsonJournal>(folder / "data.json", files, kSpace), reading};
    REQUIRE(contents_of(another) == contents_of(writer));
  }
}

TEST_CASE("Tail: a reader whose journal is replaced after a failure, just as it looks, misses nothing") {
  const TempFolder folder;
  FaultFileSystem broken;
  FaultFileSystem files;
  Store writer{std::make_unique<JsonJournal>(folder / "data.json", broken, kSpace), kManual};
  writer.upsert("first", "0");
  writer.save();
  kvstore::Options reading = kManual;
  reading.read_only = true;
  Store reader{std::make_unique<JsonJournal>(folder / "data.json", files, kSpace), reading};
  bool replaced = false;
  const auto replace = [&] {
    replaced = true;
    broken.inject({.error = std::make_error_code(std::errc::io_error), .call = support::Call::write});
    writer.save();  // fails, and goes to a new base and a new journal, which has the tail from now on
    CHECK(broken.failed() != 0);
    for (int i = 0; i < 20; ++i) writer.upsert("later" + std::to_string(i), "1");
  };
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) writer.upsert("staged" + std::to_string(i), std::to_string(round));
    before_read(files, replace);
    replaced = false;
    CHECK(reader.refresh());
    CHECK(replaced);
    CHECK(contents_of(reader) == contents_of(writer));
  }
}

#endif

}  // namespace tail_readers_test
