// SPDX-License-Identifier: MIT

// The tail of a journal: what opening makes of it, what readers see, and that nothing old comes back from it.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/journal_lines.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"

namespace tail_test {

using kvstore::JsonJournal;
using kvstore::detail::JournalSpace;
using support::FaultFileSystem;
using support::SimulatedDisk;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;
using State = std::map<std::string, std::string>;
namespace fs = std::filesystem;

namespace {

constexpr const char* kPath = "/sim/data.json";
constexpr const char* kTail = "/sim/data.json.journal.tail";
/// Uses the tail from the second line on; a round has room for a few lines.
constexpr JournalSpace kSmall{
    .step = 4096, .tail = 1024, .zero_from = std::uint64_t{1} << 30, .stage_from = 1};

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}};

std::string line(std::string_view body) {
  const std::string rest = " " + std::string{body};
  const auto digits = kvstore::detail::crc_digits(kvstore::detail::crc32c(rest));
  return std::string{digits.data(), digits.size()} + rest + "\n";
}

std::unique_ptr<Store> open(kvstore::detail::FileSystem& files, const kvstore::Options& options = kManual,
                            const JournalSpace& space = kSmall) {
  return std::make_unique<Store>(std::make_unique<JsonJournal>(kPath, files, space), options);
}

State contents_of(const Store& store) {
  State state;
  store.for_each([&](const std::string& key, const std::string& value) { state[key] = value; });
  return state;
}

/// A disk as a killed process has left it: the journal has the first `written` entries, the tail the other
/// ones.
support::DiskImage killed(int written, int staged, std::vector<State>* states = nullptr,
                          bool compacting = false) {
  SimulatedDisk disk;
  FaultFileSystem files{disk};
  const auto store = open(files);
  for (int i = 0; i < written; ++i) store->upsert("key" + std::to_string(i), "written");
  if (compacting) {
    files.inject({.error = std::make_error_code(std::errc::io_error), .call = support::Call::rename});
    CHECK_THROWS_AS(store->compact(), kvstore::StorageError);
  }
  store->save();
  if (states != nullptr) states->push_back(contents_of(*store));
  for (int i = 0; i < staged; ++i) {
    store->upsert("key" + std::to_string(written + i), "staged");
    if (states != nullptr) states->push_back(contents_of(*store));
  }
  return disk.after_kill()->visible();
}

/// A file system that does something before the first read of a tail.
class DisturbedFiles final : public FaultFileSystem {
 public:
  kvstore::detail::Result<std::unique_ptr<kvstore::detail::File>> open(const fs::path& path,
                                                                       kvstore::detail::OpenMode mode,
                                                                       std::uint32_t permissions) override {
    auto opened = kvstore::detail::system_file_system().open(path, mode, permissions);
    if (opened.error || path.extension() != ".tail") return opened;
    return {std::make_unique<TailRead>(*this, path, std::move(opened.value)), {}};
  }

  std::function<void()> before_read;

 private:
  class TailRead final : public support::FaultFile {
   public:
    TailRead(DisturbedFiles& files, const fs::path& path, std::unique_ptr<kvstore::detail::File> real)
        : FaultFile{files, path, std::move(real)}, files_{files} {}
    kvstore::detail::Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
      if (const auto act = std::exchange(files_.before_read, nullptr)) act();
      return FaultFile::read_at(offset, out);
    }

   private:
    DisturbedFiles& files_;
  };
};

/// The headers of the journals in a folder, and the number of steps.
class HeaderReader final : public kvstore::JournalHandler {
 public:
  explicit HeaderReader(const fs::path& path) {
    kvstore::JournalLines lines{path};
    while (lines.next()) lines.read(*this);
  }
  void on_header(const kvstore::JournalHeader& found) override { header = found; }
  void on_base(const kvstore::BaseId&) override {}
  void on_change(const kvstore::Change&) override { ++changes; }
  void on_clear() override { ++changes; }

  kvstore::JournalHeader header;
  std::uint64_t changes = 0;
};

}  // namespace

TEST_CASE("Tail: opening moves its lines to the journal, syncs them, and removes it") {
  const support::DiskImage image = killed(3, 5);
  SimulatedDisk disk{image};
  {
    const auto store = open(disk);
    CHECK(store->size() == 8);
    const support::DiskImage certain = disk.certain();
    CHECK_FALSE(certain.contains(kTail));
    SimulatedDisk after_power_loss{certain};
    CHECK(open(after_power_loss)->size() == 8);
  }
  CHECK_FALSE(disk.visible().contains(kTail));
  CHECK(open(disk)->size() == 8);
}

TEST_CASE("Tail: one that is damaged at any byte gives a prefix, or is refused as no tail") {
  std::vector<State> states;
  const support::DiskImage image = killed(2, 4, &states);
  const std::string whole = image.at(kTail).text();
  std::size_t refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char bit : {'\x01', '\x80'}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ bit);
      support::DiskImage changed = image;
      changed[kTail] = support::SparseText{damaged};
      SimulatedDisk disk{changed};
      State found;
      try {
        found = contents_of(*open(disk));
      } catch (const kvstore::StorageError&) {
        ++refused;
        continue;
      }
      REQUIRE(std::ranges::count(states, found) == 1);
    }
  }
  CHECK(refused == 2 * kvstore::detail::kTailMark.size());
}

TEST_CASE("Tail: a shorter or longer file gives a prefix as well, and an empty one nothing") {
  std::vector<State> states;
  const support::DiskImage image = killed(2, 4, &states);
  const std::string whole = image.at(kTail).text();
  for (std::size_t length = 0; length < whole.size() + 100; length += 5) {
    std::string cut = whole;
    cut.resize(length);
    support::DiskImage changed = image;
    changed[kTail] = support::SparseText{cut};
    SimulatedDisk disk{changed};
    REQUIRE(std::ranges::count(states, contents_of(*open(disk))) == 1);
  }
}

TEST_CASE("Tail: what a hole in it has cut off does not come back behind newer lines") {
  const bool compacting = GENERATE(false, true);
  support::DiskImage image = killed(2, 5, nullptr, compacting);
  std::string text = image.at(kTail).text();
  const std::size_t first = text.find(compacting ? "key3" : "key2");
  REQUIRE(first != std::string::npos);
  text[first] = '\0';  // a page that power loss has left as it was
  image[kTail] = support::SparseText{text};
  for (std::size_t length = 0; length < 20;
       ++length) {  // one of them makes a line as long as the one that is lost
    SimulatedDisk disk{image};
    const auto store = open(disk, {.batch_size = 1, .auto_save_interval = std::chrono::milliseconds{0}});
    CHECK(store->size() == (compacting ? 3 : 2));
    store->upsert("kez2", std::string(length, 's'));
    for (const support::DiskImage& crash : disk.crash_states({.exhaustive_bits = 12})) {
      SimulatedDisk left{crash};
      REQUIRE(contents_of(*open(left)) == contents_of(*store));
    }
  }
}

TEST_CASE("Tail: without a journal it counts for nothing, and a file of another program is refused by name") {
  SimulatedDisk disk;
  support::DiskImage image = killed(2, 4);
  image.erase("/sim/data.json.journal");
  SimulatedDisk alone{image};
  CHECK(open(alone)->size() == 0);

  support::DiskImage foreign = killed(2, 4);
  foreign[kTail] = support::SparseText{"somebody's notes"};
  SimulatedDisk other{foreign};
  CHECK_THROWS_WITH(open(other),
                    Catch::Contains("data.json.journal.tail") && Catch::Contains("something else"));
  CHECK(other.visible().at(kTail).text() == "somebody's notes");
}

TEST_CASE("Tail: a reader in another process sees its lines, and follows them around") {
  const TempFolder folder;
  const auto storage = [&](const JournalSpace& space) {
    return std::make_unique<JsonJournal>(folder / "data.json", kvstore::detail::system_file_system(), space);
  };
  JournalSpace space = kSmall;
  space.tail = std::size_t{64} << 10;
  Store writer{storage(space), kManual};
  writer.upsert("first", "0");
  kvstore::Options reading = kManual;
  reading.read_only = true;
  Store reader{storage(space), reading};
  for (int i = 0; i < 5000; ++i) {
    writer.upsert("key" + std::to_string(i % 50), std::string(static_cast<std::size_t>(i % 100), 'v'));
    if (i % 7 != 0) continue;
    CHECK(reader.refresh());
    REQUIRE(contents_of(reader) == contents_of(writer));
    if (i % 700 == 0) REQUIRE(contents_of(Store{storage(space), reading}) == contents_of(writer));
  }
}

#ifndef _WIN32  // where nothing is mapped

TEST_CASE("Tail: a reader that a writer overtakes, by any number of lines, misses none") {
  for (int steps = 0; steps < 60; ++steps) {
    const TempFolder folder;
    JournalSpace space = kSmall;
    space.tail = std::size_t{64} << 10;
    DisturbedFiles files;
    Store writer{
        std::make_unique<JsonJournal>(folder / "data.json", kvstore::detail::system_file_system(), space),
        kManual};
    writer.upsert("first", "0");
    kvstore::Options reading = kManual;
    reading.read_only = true;
    Store reader{std::make_unique<JsonJournal>(folder / "data.json", files, space), reading};
    for (int i = 0; i < 10; ++i) writer.upsert("key" + std::to_string(i), std::string(3000, 'a'));
    const auto overtake = [&] {
      for (int i = 0; i < steps; ++i) {
        const std::size_t length = i % 20 == 19 ? 50'000 : 2500;  // a long one goes around the tail
        writer.upsert("more" + std::to_string(i), std::string(length, 'b'));
      }
    };
    files.before_read = overtake;
    REQUIRE(reader.refresh());
    REQUIRE(contents_of(reader) == contents_of(writer));
    for (int i = 0; i < 10; ++i) writer.upsert("key" + std::to_string(i), std::string(3000, 'c'));
    files.before_read = overtake;
    const Store another{std::make_unique<JsonJournal>(folder / "data.json", files, space), reading};
    REQUIRE(contents_of(another) == contents_of(writer));
  }
}

TEST_CASE("Tail: a reader whose journal is replaced after a failure, just as it looks, misses nothing") {
  const TempFolder folder;
  JournalSpace space = kSmall;
  space.tail = std::size_t{64} << 10;
  FaultFileSystem broken;
  DisturbedFiles files;
  Store writer{std::make_unique<JsonJournal>(folder / "data.json", broken, space), kManual};
  writer.upsert("first", "0");
  writer.save();
  kvstore::Options reading = kManual;
  reading.read_only = true;
  Store reader{std::make_unique<JsonJournal>(folder / "data.json", files, space), reading};
  const auto replace = [&] {
    broken.inject({.error = std::make_error_code(std::errc::io_error), .call = support::Call::write});
    writer.save();  // fails, and goes to a new base and a new journal, which has the tail from now on
    CHECK(broken.failed() != 0);
    for (int i = 0; i < 20; ++i) writer.upsert("later" + std::to_string(i), "1");
  };
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) writer.upsert("staged" + std::to_string(i), std::to_string(round));
    files.before_read = replace;
    CHECK(reader.refresh());
    CHECK(files.before_read == nullptr);
    CHECK(contents_of(reader) == contents_of(writer));
  }
}

TEST_CASE("Tail: the journal's tool reads its lines") {
  const TempFolder folder;
  JournalSpace space = kSmall;
  space.tail = std::size_t{64} << 10;
  Store store{
      std::make_unique<JsonJournal>(folder / "data.json", kvstore::detail::system_file_system(), space),
      kManual};
  for (int i = 0; i < 40; ++i) store.upsert("a", std::to_string(i));
  REQUIRE(fs::exists(folder / "data.json.journal.tail"));
  CHECK(HeaderReader{folder / "data.json.journal"}.changes == 40);
}

#endif

TEST_CASE("Tail: a journal of version 1 goes on without one, and a compaction carries it over") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  support::write_file(
      folder / "data.json.journal",
      line(R"({"kvstore_journal":1,"id":"00000000000000aa","snapshot":null})") + line(R"(["a","1"])"));
  Store store{std::make_unique<JsonJournal>(path, kvstore::detail::system_file_system(), kSmall), kManual};
  for (int i = 0; i < 100; ++i) store.upsert("b", std::to_string(i));
  CHECK_FALSE(fs::exists(folder / "data.json.journal.tail"));
  CHECK(HeaderReader{folder / "data.json.journal"}.header.version == 1);
  CHECK(HeaderReader{folder / "data.json.journal"}.changes == 101);
  store.compact();
  store.upsert("c", "1");
  CHECK(HeaderReader{folder / "data.json.journal"}.header.version == 2);
  CHECK(store.read("b") == "99");
}

TEST_CASE("Journal: the revision in its header goes on across compactions and restarts") {
  const TempFolder folder;
  const auto header = [&] { return HeaderReader{folder / "data.json.journal"}.header; };
  const auto open_there = [&] {
    return std::make_unique<Store>(
        std::make_unique<JsonJournal>(folder / "data.json", kvstore::detail::system_file_system(), kSmall),
        kManual);
  };
  auto store = open_there();
  CHECK(header().revision == 0);
  for (int i = 0; i < 10; ++i) store->upsert("a", std::to_string(i));
  kvstore::WriteBatch<std::string, std::string> batch;
  batch.upsert("b", "1").upsert("c", "2").remove("a");
  store->apply(batch);
  store->save();
  store->compact();
  CHECK(header().revision == 13);
  store->upsert("a", "again");
  store.reset();
  store = open_there();
  store->upsert("a", "at last");
  store->compact();
  CHECK(header().revision == 15);
  store->upsert("a", "end");
  store->clear();
  store->save();
  CHECK(header().revision == 15);
  CHECK(HeaderReader{folder / "data.json.journal"}.changes == 2);
}

}  // namespace tail_test
