// SPDX-License-Identifier: MIT

// The cost of reading the changes of another process's store when there are few or none.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace journal_follow_test {

using namespace std::chrono_literals;
using kvstore::JsonJournal;
using kvstore::LoadPurpose;
using support::CollectingSink;
using support::TempFolder;
using support::TextEntries;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

/// The journal of a store without the store, so that a test can act between any two of its steps.
class Owner {
 public:
  explicit Owner(const std::filesystem::path& path) : storage_{path} { support::load_from(storage_); }

  void set(const std::string& key, const std::string& value) {
    const kvstore::Change change{key, value};
    REQUIRE(storage_.append({&change, 1}));
    storage_.flush();
  }
  [[nodiscard]] JsonJournal& storage() { return storage_; }

 private:
  JsonJournal storage_;
};

/// The changes since the last call; one entry named "everything" if they cannot be determined.
TextEntries news(JsonJournal& reader) {
  CollectingSink sink;
  if (!reader.load_changes(sink)) return {{"everything", ""}};
  return sink.entries;
}

}  // namespace

TEST_CASE("Following a journal: a look reads what is new, and not what was allocated ahead") {
  const TempFolder folder;
  Store owner{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
  for (int i = 0; i < 20'000; ++i) owner.upsert("key " + std::to_string(i), i);
  owner.save();
  REQUIRE(std::filesystem::file_size(folder / "data.json.journal") > 700'000);
  support::FaultFileSystem files;
  std::size_t bytes = 0;
  files.after_reads([&](const std::filesystem::path&, std::span<char> got) { bytes += got.size(); });
  kvstore::Options options = kManual;
  options.read_only = true;
  Store reader{std::make_unique<JsonJournal>(folder / "data.json", files), options};
  bytes = 0;
  CHECK_FALSE(reader.refresh());
  CHECK(bytes <= 13'000);
  owner.upsert("new", 1);
  bytes = 0;
  CHECK(reader.refresh());
  CHECK(reader.read("new") == 1);
  CHECK(bytes <= 18'000);
}

TEST_CASE("Following a journal: a line of the next one that is half written at a look is read again") {
  const TempFolder folder;
  support::FaultFileSystem broken;
  kvstore::Options options = kManual;
  options.batch_size = 1;
  Store writer{std::make_unique<JsonJournal>(folder / "data.json", broken), options};
  writer.upsert("first", 1);
  options.read_only = true;
  support::FaultFileSystem files;
  int half_written = 0;  // reads that find a line so
  files.after_reads([&](const std::filesystem::path& path, std::span<char> got) {
    if (half_written == 0 || path.extension() != ".next") return;
    const std::size_t at = std::string_view{got.data(), got.size()}.find("\"half\"");
    if (at == std::string_view::npos) return;
    got[at] = '\0';
    --half_written;
  });
  Store reader{std::make_unique<JsonJournal>(folder / "data.json", files), options};
  broken.inject({.error = std::make_error_code(std::errc::io_error), .call = support::Call::rename});
  CHECK_THROWS_AS(writer.compact(), kvstore::StorageError);  // from now on lines go to `.next`
  for (const char* key : {"before", "half", "behind", "last"}) writer.upsert(key, 1);
  half_written = 2;
  CHECK(reader.refresh());
  CHECK(half_written == 0);
  CHECK(reader.size() == writer.size());
}

TEST_CASE("Following a journal: as long as nothing was written after a compaction began, there is no news") {
  const TempFolder folder;
  Owner owner{folder / "data.json"};
  owner.set("a", "1");
  JsonJournal reader{folder / "data.json"};
  CollectingSink loaded;
  reader.load({.purpose = LoadPurpose::read_only}, loaded);
  REQUIRE(loaded.entries == TextEntries{{"a", "1"}});
  owner.storage().prepare(false);
  CHECK(news(reader).empty());
  owner.storage().rotate();
  CHECK(news(reader).empty());
  owner.set("b", "2");
  CHECK(news(reader) == TextEntries{{"b", "2"}});
  CHECK(news(reader).empty());
}

TEST_CASE("Following a journal: news of before a compaction began come before it has written") {
  const TempFolder folder;
  Owner owner{folder / "data.json"};
  owner.set("a", "1");
  JsonJournal reader{folder / "data.json"};
  CollectingSink loaded;
  reader.load({.purpose = LoadPurpose::read_only}, loaded);
  owner.set("b", "2");
  owner.storage().prepare(false);
  CHECK(news(reader) == TextEntries{{"b", "2"}});
  owner.storage().rotate();
  owner.set("c", "3");
  CHECK(news(reader) == TextEntries{{"c", "3"}});
}

TEST_CASE("Following a journal: a long one that is damaged is not read a hundred times before that is told") {
  const TempFolder folder;
  const auto path = folder / "data.json.journal";
  {
    Owner owner{folder / "data.json"};
    for (int i = 0; i < 8; ++i) owner.set(std::to_string(i), std::to_string(i));
    owner.set("long", '"' + std::string(9U << 20U, 'x') + '"');
    owner.storage().sync();
    owner.set("last", "1");  // vouches for the lines before it
  }
  support::FaultFileSystem files;
  const auto read = [&] {
    files.reset_counts();
    JsonJournal reader{folder / "data.json", files};
    CollectingSink sink;
    reader.load({.purpose = LoadPurpose::read_only}, sink);
  };
  read();
  const std::uint64_t once = files.count(support::Call::read);
  std::string text = support::read_file(path);
  text[text.find("[\"3\",3]") + 2] ^= 1;
  support::write_file(path, text);
  CHECK_THROWS_AS(read(), kvstore::CorruptionError);
  CHECK(files.count(support::Call::read) < 4 * once);
}

TEST_CASE("Following a journal: a line that is not whole yet is no news and no damage") {
  const TempFolder folder;
  Owner owner{folder / "data.json"};
  owner.set("a", "1");
  JsonJournal reader{folder / "data.json"};
  CollectingSink loaded;
  reader.load({.purpose = LoadPurpose::read_only}, loaded);
  const std::string before = support::read_file(folder / "data.json.journal");
  owner.set("b", "2");
  owner.set("c", "3");
  const std::string after = support::read_file(folder / "data.json.journal");
  const std::size_t start = before.find_last_not_of('\0') + 1;
  std::string half = after;
  half.replace(start + 4, 4, 4, '\0');  // another processor may see the stores into a mapping in any order
  support::write_file(folder / "copy.json.journal", before);
  JsonJournal other{folder / "copy.json"};
  CollectingSink copied;
  other.load({.purpose = LoadPurpose::read_only}, copied);
  const auto rewrite = [&](const std::string& text) {  // overwrites the file in place
    std::fstream file{folder / "copy.json.journal", std::ios::in | std::ios::out | std::ios::binary};
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
  };
  rewrite(half);
  CHECK(news(other).empty());
  rewrite(after);
  CHECK(news(other) == TextEntries{{"b", "2"}, {"c", "3"}});
}

}  // namespace journal_follow_test
