// SPDX-License-Identifier: MIT

// A tail that fails, is lost, damaged or exchanged while its store is open.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/error.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "support/catch.hpp"
#include "support/contents_of.hpp"
#include "support/fault_file_system.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"

namespace tail_trouble_test {

using kvstore::JsonJournal;
using kvstore::detail::JournalSpace;
using support::Call;
using support::contents_of;
using support::FaultFileSystem;
using support::SimulatedDisk;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;
using State = std::map<std::string, std::string>;
namespace fs = std::filesystem;

namespace {

constexpr const char* kPath = "/sim/data.json";
constexpr JournalSpace kSmall{
    .step = 4096, .tail = 4096, .zero_from = std::uint64_t{1} << 30, .stage_from = 1};
constexpr JournalSpace kReal{.tail = std::size_t{64} << 10, .stage_from = 1};
const kvstore::Options kManual{
    .batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}, .complain = false};

std::unique_ptr<Store> open(kvstore::detail::FileSystem& files) {
  return std::make_unique<Store>(std::make_unique<JsonJournal>(kPath, files, kSmall), kManual);
}

std::unique_ptr<Store> open_there(const fs::path& folder, const JournalSpace& space = kReal) {
  return std::make_unique<Store>(
      std::make_unique<JsonJournal>(folder / "data.json", kvstore::detail::system_file_system(), space),
      kManual);
}

void fill(Store& store, const std::string& name, int count = 5) {
  for (int i = 0; i < count; ++i) store.upsert(name + std::to_string(i), "value");
}

#ifndef _WIN32  // where nothing is mapped

/// What a process finds that opens a copy of the files: what a kill leaves now.
State in_a_copy_of(const fs::path& folder) {
  const TempFolder copy;
  for (const char* name : {"data.json", "data.json.journal", "data.json.journal.next",
                           "data.json.journal.new", "data.json.journal.tail"}) {
    if (fs::exists(folder / name)) fs::copy_file(folder / name, copy / name);
  }
  return contents_of(*open_there(copy.path()));
}

#endif

}  // namespace

TEST_CASE("Tail: a store that ends after its journal and its new base have failed leaves what a kill would") {
  const bool kill = GENERATE(true, false);
  const Call failing = GENERATE(Call::write, Call::sync);
  SimulatedDisk disk;
  FaultFileSystem files{disk};
  State held;
  std::unique_ptr<SimulatedDisk> left;
  {
    const auto store = open(files);
    fill(*store, "saved");
    store->save();
    fill(*store, "acknowledged");
    held = contents_of(*store);
    files.before_each([&](Call call, const fs::path& path) {
      const bool fails = (call == failing && path.extension() == ".journal") ||
                         (call == Call::write && path.extension() == ".tmp");
      if (fails) files.inject({.error = std::make_error_code(std::errc::no_space_on_device), .call = call});
    });
    CHECK_THROWS_AS(store->save(), kvstore::StorageError);
    if (kill) left = disk.after_kill();
  }
  files.before_each({});
  files.heal();
  CHECK(contents_of(*open(kill ? *left : disk)) == held);
}

TEST_CASE("Tail: what was saved last is vouched for in it: damage is reported, not taken for a torn end") {
  SimulatedDisk disk;
  const auto store = open(disk);
  fill(*store, "saved", 20);
  store->save();
  fill(*store, "staged");
  support::DiskImage image = disk.after_kill()->visible();
  const std::string journal = image.at("/sim/data.json.journal").text();
  std::size_t damaged = 0;
  for (int i = 0; i < 19; ++i) {  // the last line of the file has nothing behind it that tells where it ended
    const std::size_t at = journal.find("saved" + std::to_string(i));
    if (at == std::string::npos) continue;
    ++damaged;
    std::string changed = journal;
    changed[at] = 'S';
    image["/sim/data.json.journal"] = support::SparseText{changed};
    SimulatedDisk found{image};
    CHECK_THROWS_AS(open(found), kvstore::CorruptionError);
  }
  CHECK(damaged >= 19);
}

#ifndef _WIN32  // where nothing is mapped

TEST_CASE("Tail: one that loses its name is noticed by the next save, as a journal is") {
  const bool replaced = GENERATE(false, true);
  const TempFolder folder;
  const fs::path tail = folder / "data.json.journal.tail";
  const auto store = open_there(folder.path());
  fill(*store, "first");
  store->save();
  fill(*store, "second");
  REQUIRE(fs::exists(tail));
  if (replaced) {
    support::write_file(folder / "other", "somebody's");
    fs::rename(folder / "other", tail);
  } else {
    fs::remove(tail);
  }
  store->save();
  fill(*store, "third");
  store->save();
  fill(*store, "fourth");
  if (replaced) {
    CHECK(support::read_file(tail) == "somebody's");
    fs::remove(tail);  // it is refused by its name when the store opens
  }
  CHECK(in_a_copy_of(folder.path()) == contents_of(*store));
}

TEST_CASE("Tail: none is made in a folder that took the place of the store's") {
  const TempFolder folder;
  fs::create_directory(folder / "a");
  fs::create_directory(folder / "b");
  const auto store = open_there(folder / "a", {.stage_from = 1000});
  store->upsert("first", "1");
  fs::rename(folder / "a", folder / "c");
  fs::rename(folder / "b", folder / "a");
  fill(*store, "second", 200);
  CHECK(fs::is_empty(folder / "a"));
  CHECK(in_a_copy_of(folder / "c") == contents_of(*store));
}

TEST_CASE("Tail: its rights become those of the base file with the next journal, wider or narrower") {
  const auto [before, after] = GENERATE(std::pair{0600U, 0644U}, std::pair{0644U, 0600U});
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  support::write_file(path, "{}");
  fs::permissions(path, static_cast<fs::perms>(before));
  const auto store = open_there(folder.path());
  fill(*store, "first");
  const auto mode = [&](const char* name) {
    return static_cast<unsigned>(fs::status(folder / name).permissions());
  };
  CHECK(mode("data.json.journal.tail") == before);
  fs::permissions(path, static_cast<fs::perms>(after));
  store->compact();
  fill(*store, "second");
  store->save();
  fill(*store, "third");
  CHECK(mode("data.json.journal") == after);
  CHECK(mode("data.json.journal.tail") == after);
}

TEST_CASE("Tail: replaced by a copy of itself while the store is open, it goes with its journal") {
  const int how = GENERATE(0, 1, 2, 3);
  const TempFolder folder;
  const fs::path tail = folder / "data.json.journal.tail";
  State held;
  {
    const auto store = open_there(folder.path());
    fill(*store, "first");
    fs::copy_file(tail, folder / "copy");
    fs::rename(folder / "copy", tail);
    fill(*store, "second");
    if (how == 1) store->save();
    if (how == 2) store->compact();
    if (how == 3) {
      store->save();
      fill(*store, "third");
      kvstore::Options reading = kManual;
      reading.read_only = true;
      const Store reader{std::make_unique<JsonJournal>(folder / "data.json"), reading};
      CHECK(contents_of(reader) == contents_of(*store));
    }
    held = contents_of(*store);
    store->close();
  }
  CHECK_FALSE(fs::exists(tail));
  CHECK(contents_of(*open_there(folder.path())) == held);
}

TEST_CASE("Tail: a file that somebody makes at its name while the store is open is left alone") {
  const TempFolder folder;
  const fs::path tail = folder / "data.json.journal.tail";
  {
    const auto store = open_there(folder.path());
    support::write_file(tail, "");
    fill(*store, "first");
  }
  CHECK(fs::exists(tail));
}

#endif

TEST_CASE("Tail: a huge file at its name is no tail, and is not read") {
  const TempFolder folder;
  { fill(*open_there(folder.path()), "first"); }
  const fs::path tail = folder / "data.json.journal.tail";
  support::write_file(tail, kvstore::detail::kTailMark);
  fs::resize_file(tail, std::uintmax_t{17} << 20);
  CHECK_THROWS_WITH(open_there(folder.path()), Catch::Contains("data.json.journal.tail"));
  kvstore::Options reading = kManual;
  reading.read_only = true;
  CHECK_THROWS_WITH((Store{std::make_unique<JsonJournal>(folder / "data.json"), reading}),
                    Catch::Contains("data.json.journal.tail"));
}

TEST_CASE("Tail: a folder at its name is to be moved away, for readers too") {
  const TempFolder folder;
  { fill(*open_there(folder.path()), "first"); }
  fs::create_directory(folder / "data.json.journal.tail");
  CHECK_THROWS_WITH(open_there(folder.path()),
                    Catch::Contains("data.json.journal.tail: ") && Catch::Contains("move it away"));
  kvstore::Options reading = kManual;
  reading.read_only = true;
  CHECK_THROWS_WITH((Store{std::make_unique<JsonJournal>(folder / "data.json"), reading}),
                    Catch::Contains("move it away"));
}

}  // namespace tail_trouble_test
