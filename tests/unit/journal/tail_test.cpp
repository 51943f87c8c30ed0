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
#include <optional>
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
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/journal_lines.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "support/catch.hpp"
#include "support/contents_of.hpp"
#include "support/fault_file_system.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"

namespace tail_test {

using kvstore::JsonJournal;
using kvstore::detail::JournalSpace;
using support::contents_of;
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

/// Whether a store opens on these files, and what it has then.
std::optional<State> opened(const support::DiskImage& image, SimulatedDisk*& disk) {
  static std::unique_ptr<SimulatedDisk> last;
  last = std::make_unique<SimulatedDisk>(image);
  disk = last.get();
  try {
    return contents_of(*open(*disk));
  } catch (const kvstore::Error& error) {
    CHECK_THAT(error.what(), Catch::Contains("data.json.journal.tail"));
    CHECK(disk->visible().at(kTail).text() == image.at(kTail).text());
    return std::nullopt;
  }
}

TEST_CASE("Tail: damaged at any byte, it is refused, or gives a prefix and keeps the lines behind") {
  std::vector<State> states;
  const support::DiskImage image = killed(2, 4, &states);
  const std::string whole = image.at(kTail).text();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char bit : {'\x01', '\x80'}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ bit);
      support::DiskImage changed = image;
      changed[kTail] = support::SparseText{damaged};
      SimulatedDisk* disk = nullptr;
      const std::optional<State> found = opened(changed, disk);
      REQUIRE(found.has_value() == (at >= kvstore::detail::kTailHead));
      if (!found) continue;
      REQUIRE(std::ranges::count(states, *found) == 1);
      const auto left = disk->visible();
      const auto torn = left.find("/sim/data.json.journal.torn");
      const std::string kept = torn == left.end() ? std::string{} : torn->second.text();
      const std::size_t first = found->size() - 1;  // lines behind the damaged one
      for (std::size_t i = first + 2; i < 6; ++i)
        REQUIRE_THAT(kept, Catch::Contains("key" + std::to_string(i)));
    }
  }
}

TEST_CASE("Tail: of another length it is refused; without a whole head it has nothing") {
  std::vector<State> states;
  const support::DiskImage image = killed(2, 4, &states);
  const std::string whole = image.at(kTail).text();
  for (std::size_t length = 0; length < whole.size() + 100; length += 4) {
    std::string cut = whole;
    cut.resize(length);
    support::DiskImage changed = image;
    changed[kTail] = support::SparseText{cut};
    SimulatedDisk* disk = nullptr;
    const std::optional<State> found = opened(changed, disk);
    if (length < kvstore::detail::kTailHead)
      REQUIRE(found == states.front());
    else
      REQUIRE(found.has_value() == (length == whole.size()));
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

TEST_CASE("Tail: without its journal it is refused by name, for readers too, and stays") {
  const bool compacting = GENERATE(false, true);
  const bool read_only = GENERATE(false, true);
  kvstore::Options options = kManual;
  options.read_only = read_only;
  support::DiskImage image = killed(2, 4, nullptr, compacting);
  const support::DiskImage whole = image;
  for (const char* suffix : {"", ".next"}) image.erase("/sim/data.json.journal" + std::string{suffix});
  SimulatedDisk disk{image};
  CHECK_THROWS_WITH(open(disk, options),
                    Catch::Contains("data.json.journal.tail") && Catch::Contains("put that journal back"));
  CHECK(disk.visible().at(kTail).text() == image.at(kTail).text());
  SECTION("the journal is put back") {
    SimulatedDisk again{whole};
    CHECK(open(again, options)->size() == 6);
  }
  SECTION("the tail is moved away too") {
    image.erase(kTail);
    options.read_only = false;
    SimulatedDisk without{image};
    CHECK(open(without, options)->empty());
  }
}

TEST_CASE("Tail: that of another store, or of no store, is refused by name, and stays") {
  const support::DiskImage other = killed(2, 4);
  const std::string tail = GENERATE_COPY(other.at(kTail).text(), std::string{"somebody's notes"});
  support::DiskImage image = killed(2, 4);
  image[kTail] = support::SparseText{tail};
  SimulatedDisk disk{image};
  CHECK_THROWS_WITH(open(disk), Catch::Contains("data.json.journal.tail"));
  CHECK(disk.visible().at(kTail).text() == tail);
}

TEST_CASE("Tail: its head counts as it was when a reader looked for the journals") {
  SimulatedDisk disk{killed(2, 4)};
  kvstore::detail::JournalSet found{disk, kPath};
  // A writer has begun a compaction since, whose journal the reader does not know.
  const auto tail = disk.open(kTail, kvstore::detail::OpenMode::update, 0);
  REQUIRE_FALSE(tail.error);
  const std::string head =
      kvstore::detail::tail_head("00000000000000ff", kSmall.tail - kvstore::detail::kTailHead);
  REQUIRE_FALSE(kvstore::detail::write_all(*tail.value, 0, head));
  found.survey();
  REQUIRE_NOTHROW(found.check_tail());
  kvstore::detail::JournalSet later{disk, kPath};
  later.survey();
  REQUIRE_THROWS_AS(later.check_tail(), kvstore::CorruptionError);
}

TEST_CASE("Tail: lines of it that vouch for what the journal has lost are no torn end") {
  SimulatedDisk disk;
  const auto store = open(disk);
  store->upsert("first", "saved");
  store->save();
  store->upsert("second", "saved");
  store->save();
  store->upsert("third", "staged");
  support::DiskImage image = disk.after_kill()->visible();
  std::string journal = image.at("/sim/data.json.journal").text();
  const std::size_t second = journal.find("\"second\"");
  REQUIRE(second != std::string::npos);
  journal.resize(journal.rfind('\n', second) + 1);
  image["/sim/data.json.journal"] = support::SparseText{journal};
  std::string tail = image.at(kTail).text();
  tail[tail.find("\"second\"")] = '\0';
  image[kTail] = support::SparseText{tail};
  SimulatedDisk cut{image};
  CHECK_THROWS_WITH(open(cut), Catch::Contains("synced once"));
}

#ifndef _WIN32  // where nothing is mapped

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
