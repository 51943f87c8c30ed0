// SPDX-License-Identifier: MIT

// A journal that takes changes at saves: what a save writes, what is lost without one, and when everything is
// written.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/journal_lines.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/temp_folder.hpp"

namespace at_save_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using kvstore::JsonJournal;
using support::TempFolder;
using Names = std::set<std::string>;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};
const JsonJournal::Options kAtSave{.record = kvstore::Record::at_save};

std::unique_ptr<JsonJournal> at_save(const fs::path& path) {
  return std::make_unique<JsonJournal>(path, kAtSave);
}

/// The steps of a journal, one a line, without what stands before them.
std::string steps_of(const fs::path& journal) {
  struct Printer final : kvstore::JournalHandler {
    void on_header(const kvstore::JournalHeader& /*header*/) override {}
    void on_base(const kvstore::BaseId& /*base*/) override {}
    void on_change(const kvstore::Change& change) override {
      if (!change.value) text += '-';
      text += change.key;
      if (change.value) (text += '=') += *change.value;
      text += ' ';
    }
    void on_clear() override { text += "clear "; }
    std::string text;
  } printer;
  kvstore::JournalLines lines{journal};
  while (lines.next()) {
    const std::size_t before = printer.text.size();
    lines.read(printer);
    if (printer.text.size() != before) printer.text += '\n';
  }
  return printer.text;
}

std::map<std::string, int> contents(const Store& store) {
  std::map<std::string, int> result;
  store.for_each([&](const std::string& key, int value) { result[key] = value; });
  return result;
}

/// The contents of a store after its process was killed: those of a copy of its files.
std::map<std::string, int> after_kill(const TempFolder& folder) {
  const TempFolder copy;
  for (const std::string& name : folder.names()) {
    if (name != "data.json.lock") fs::copy(folder / name, copy / name);
  }
  return contents(Store{at_save(copy / "data.json"), kManual});
}

}  // namespace

TEST_CASE("At save: a save adds each changed entry once, removals first, in one line") {
  const TempFolder folder;
  Store store{at_save(folder / "data.json"), {.batch_size = 0, .auto_save_interval = 0s, .segments = 1}};
  store.upsert("a", 1);
  store.upsert("b", 2);
  store.upsert("a", 3);
  store.save();
  CHECK(steps_of(folder / "data.json.journal") == "a=3 b=2 \n");
  store.remove("a");
  store.upsert("c", 4);
  store.upsert("a", 5);
  store.remove("b");
  store.upsert("d", 6);
  store.remove("d");
  store.save();
  CHECK(steps_of(folder / "data.json.journal") == "a=3 b=2 \n-a -b -d a=5 c=4 \n");
  const std::uint64_t bytes = store.metrics().journal.bytes;
  CHECK(bytes > 100);
  store.save();
  CHECK(store.metrics().journal.bytes == bytes);
}

TEST_CASE("At save: a killed process loses what was not saved, and nothing else") {
  const TempFolder folder;
  Store store{at_save(folder / "data.json"), {.batch_size = 3, .auto_save_interval = 0s}};
  store.upsert("a", 1);
  store.upsert("b", 2);
  CHECK(after_kill(folder).empty());
  CHECK(store.unsaved() == 2);
  store.upsert("a", 3);
  CHECK(store.unsaved() == 0);
  CHECK(after_kill(folder) == contents(store));
  store.upsert("c", 4);
  store.remove("a");
  CHECK(after_kill(folder) == std::map<std::string, int>{{"a", 3}, {"b", 2}});
  store.close();
  CHECK(contents(Store{at_save(folder / "data.json"), kManual}) ==
        std::map<std::string, int>{{"b", 2}, {"c", 4}});
}

TEST_CASE("At save: clear and load_from write everything at the next save, not a file of removals") {
  const TempFolder folder;
  Store store{at_save(folder / "data.json"), kManual};
  for (int i = 0; i < 100; ++i) store.upsert("key " + std::to_string(i), i);
  store.save();
  store.clear();
  store.upsert("new", 1);
  CHECK(after_kill(folder).size() == 100);
  store.save();
  CHECK(support::read_file(folder / "data.json") == "{\n\"new\": 1\n}\n");
  CHECK(after_kill(folder) == contents(store));
  store.upsert("new", 2);
  store.save();
  CHECK(after_kill(folder) == contents(store));
}

TEST_CASE("At save: compact() and compact_on_close leave one JSON file") {
  const TempFolder folder;
  JsonJournal::Options options = kAtSave;
  {
    Store store{at_save(folder / "data.json"), kManual};
    store.upsert("a", 1);
    store.save();
    store.upsert("a", 2);
    store.compact();
    CHECK(support::read_file(folder / "data.json") == "{\n\"a\": 2\n}\n");
    CHECK(store.metrics().journal.compactions == 1);
  }
  CHECK(folder.names() == Names{"data.json"});
  options.compact_on_close = true;
  {
    Store store{std::make_unique<JsonJournal>(folder / "data.json", options), kManual};
    store.upsert("a", 3);
  }
  CHECK(folder.names() == Names{"data.json"});
  CHECK(support::read_file(folder / "data.json") == "{\n\"a\": 3\n}\n");
}

TEST_CASE("At save: a journal that has outgrown its snapshot is replaced by a save of everything") {
  const TempFolder folder;
  const kvstore::detail::JournalSpace small{.compact_from = 4096};
  Store store{std::make_unique<JsonJournal>(folder / "data.json", kAtSave,
                                            kvstore::detail::system_file_system(), small),
              {.batch_size = 1, .auto_save_interval = 0s}};
  std::uint64_t most = 0;
  for (int i = 0; i < 300; ++i) {
    store.upsert("key", i);
    most = std::max(most, store.metrics().journal.bytes);
  }
  CHECK(most > 4096);
  CHECK(most < 8192);
  store.close();
  CHECK(contents(Store{at_save(folder / "data.json"), kManual}).at("key") == 299);
}

TEST_CASE("At save: changes that are too long for a line are saved with everything else") {
  const TempFolder folder;
  using Texts = kvstore::BatchPersistentKeyValueStore<int, std::string>;
  std::vector<std::string> errors;
  kvstore::Options options = kManual;
  options.on_error = [&](const std::exception& error) { errors.emplace_back(error.what()); };
  Texts store{at_save(folder / "data.json"), options};
  store.upsert(0, "small");
  store.save();
  for (int i = 1; i <= 5; ++i) store.upsert(i, std::string(std::size_t{15} << 20U, 'x'));
  store.save();
  CHECK(errors.empty());
  CHECK(store.unsaved() == 0);
  CHECK(fs::file_size(folder / "data.json") > std::size_t{75} << 20U);
  CHECK(store.metrics().saves.bytes < std::size_t{80} << 20U);  // what was thrown away does not count
  store.upsert(0, "other");
  store.close();
  const Texts again{at_save(folder / "data.json"), kManual};
  CHECK(again.size() == 6);
  CHECK(again.read(0) == "other");
}

TEST_CASE("At save: what one kind of journal has left, the other takes over") {
  const TempFolder folder;
  for (int i = 0; i < 6; ++i) {
    auto storage =
        i % 2 == 0 ? at_save(folder / "data.json") : std::make_unique<JsonJournal>(folder / "data.json");
    Store store{std::move(storage), kManual};
    CHECK(store.size() == static_cast<std::size_t>(i));
    store.upsert("key " + std::to_string(i), i);
    store.save();
    store.upsert("shared", i);
    store.remove("shared");
  }
}

TEST_CASE("At save: threads write, save, checkpoint and clear, and every save is a point in time") {
  // Two entries always change together, so whatever a kill leaves has both alike.
  const TempFolder folder;
  using Pairs = kvstore::BatchPersistentKeyValueStore<int, int>;
  Pairs store{at_save(folder / "data.json"), {.batch_size = 16, .auto_save_interval = 1ms, .segments = 8}};
  const auto write = [&](unsigned seed) {
    std::mt19937 random{seed};
    for (int i = 0; i < 3000; ++i) {
      const int key = static_cast<int>(random() % 64);
      kvstore::WriteBatch<int, int> batch;
      if (random() % 4 == 0)
        batch.upsert(key, 0).upsert(-1 - key, 0).remove(key).remove(-1 - key);
      else
        batch.upsert(key, i).upsert(-1 - key, i);
      store.apply(batch);
      if (i % 1000 == 999) store.clear();
    }
  };
  const auto contents_of = [](const Pairs& pairs) {
    std::map<int, int> result;
    pairs.for_each([&](int key, int value) { result[key] = value; });
    return result;
  };
  const auto is_whole = [](const std::map<int, int>& pairs) {
    return std::all_of(pairs.begin(), pairs.end(), [&](const auto& entry) {
      const auto other = pairs.find(-1 - entry.first);
      return other != pairs.end() && other->second == entry.second;
    });
  };
  std::vector<std::thread> threads;
  for (const unsigned seed : {1U, 2U}) threads.emplace_back(write, seed);
  for (int i = 0; i < 20; ++i) {
    store.checkpoint(folder / "copy.json");
    const TempFolder copy;
    fs::copy(folder / "copy.json", copy / "data.json");
    CHECK(is_whole(contents_of(Pairs{copy / "data.json", kManual})));
    store.save();
  }
  for (std::thread& thread : threads) thread.join();
  const std::map<int, int> held = contents_of(store);
  store.close();
  CHECK(contents_of(Pairs{at_save(folder / "data.json"), kManual}) == held);
}

TEST_CASE("At save: marks that are given up in the middle of a batch disturb none of its changes") {
  // Keys of 100 bytes, so that few of them are more than a segment keeps. The removals before the batch make
  // it give up at its first change, whichever that is.
  const auto key = [](int number) { return std::string(100, 'k') + std::to_string(number); };
  for (const int before : {0, 100, 300, 500}) {
    const TempFolder folder;
    Store store{at_save(folder / "data.json"), {.batch_size = 0, .auto_save_interval = 0s, .segments = 1}};
    for (int i = 0; i < 700; ++i) store.upsert(key(i), i);
    store.save();
    for (int i = 0; i < before; ++i) store.remove(key(i));
    kvstore::WriteBatch<std::string, int> batch;
    for (int i = before; i < 690; ++i) batch.remove(key(i));
    batch.upsert(key(695), -1).create("new", 1).create("newer", 2);
    store.apply(batch);
    store.update("new", 3);
    store.remove(key(696));
    store.save();
    CHECK(after_kill(folder) == contents(store));
    store.upsert("last", 4);
    store.remove("newer");
    store.save();
    CHECK(after_kill(folder) == contents(store));
  }
}

TEST_CASE("At save: a thread saves, and no operation waits for that") {
  const TempFolder folder;
  const fs::path path = folder / "counters.json";
  const auto at_most_ten_seconds = std::chrono::steady_clock::now() + 10s;
  // clang-format off
  kvstore::JsonJournalOptions at_save{.record = kvstore::Record::at_save};
  kvstore::DurableMap<std::string, int> counters{
      std::make_unique<kvstore::JsonJournal>(path, at_save),
      {.auto_save_interval = 1s, .batch_save = kvstore::BatchSave::background}};
  // clang-format on
  for (int i = 0; i < 5000; ++i) counters.upsert("clicks", i);
  while (counters.unsaved() != 0 && std::chrono::steady_clock::now() < at_most_ten_seconds)
    std::this_thread::sleep_for(10ms);
  CHECK(counters.unsaved() == 0);
  CHECK(counters.metrics().saves.bytes < 5000);  // each save has the entry once
}

TEST_CASE("At save: removals are saved although the store that they have emptied is cleared") {
  const TempFolder folder;
  Store store{at_save(folder / "data.json"), kManual};
  store.upsert("a", 1);
  store.upsert("b", 2);
  store.save();
  store.remove("a");
  store.remove("b");
  store.clear();
  CHECK(store.unsaved() == 2);
  store.upsert("c", 3);
  store.close();
  CHECK(contents(Store{at_save(folder / "data.json"), kManual}) == std::map<std::string, int>{{"c", 3}});
}

TEST_CASE("At save: keys that come and go are kept once, and given up where they outnumber the entries") {
  const TempFolder folder;
  Store store{at_save(folder / "data.json"), {.batch_size = 0, .auto_save_interval = 0s, .segments = 2}};
  for (int i = 0; i < 100; ++i) store.upsert("stays " + std::to_string(i), i);
  store.upsert("goes", 1);
  store.save();
  const std::uint64_t before = store.metrics().saves.bytes;
  store.remove("goes");
  for (int i = 0; i < 30'000; ++i) {
    store.create("comes and goes", i);
    store.remove("comes and goes");
  }
  store.save();
  CHECK(store.metrics().saves.bytes - before < 100'000);
  CHECK(after_kill(folder) == contents(store));
  CHECK(store.metrics().journal.compactions == 0);
  for (int i = 0; i < 30'000; ++i) {
    store.create("comes and goes " + std::to_string(i), i);
    store.remove("comes and goes " + std::to_string(i));
  }
  store.update("stays 1", -1);
  store.save();
  CHECK(store.metrics().journal.compactions == 1);
  CHECK(store.metrics().saves.bytes - before < 100'000);
  CHECK(after_kill(folder) == contents(store));
}

#ifndef _WIN32  // Wine replaces no file that is open for reading, and cuts none that is open

TEST_CASE("At save: a follower sees what counts, also while the names of the files are not exchanged yet") {
  const TempFolder folder;
  support::FaultFileSystem files;
  Store store{std::make_unique<JsonJournal>(folder / "data.json", kAtSave, files), kManual};
  store.upsert("a", 1);
  store.save();
  Store follower{at_save(folder / "data.json"), {.read_only = true}};
  CHECK_FALSE(follower.refresh());
  store.upsert("a", 2);
  // The snapshot gets its name, the journal does not.
  files.inject({.nth = 2, .error = std::make_error_code(std::errc::io_error), .call = support::Call::rename});
  CHECK_THROWS_AS(store.compact(), kvstore::StorageError);
  REQUIRE(files.failed() == 1);
  CHECK(follower.refresh());
  CHECK(follower.read("a") == 2);
  files.heal();
  store.upsert("a", 3);
  store.save();
  CHECK(follower.refresh());
  CHECK(follower.read("a") == 3);
  CHECK_FALSE(follower.refresh());
}

TEST_CASE("At save: a journal that somebody has cut is replaced by a save of everything") {
  const TempFolder folder;
  Store store{at_save(folder / "data.json"), kManual};
  store.upsert("a", 1);
  store.save();
  store.upsert("b", 2);
  store.save();
  fs::resize_file(folder / "data.json.journal", 100);
  store.upsert("c", 3);
  store.save();
  CHECK(after_kill(folder) == contents(store));
}

#endif

}  // namespace at_save_test
