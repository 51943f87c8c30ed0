// SPDX-License-Identifier: MIT

// The files and folders of a JSON file storage: the storage writes, makes, leaves and locks them.

#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "kvstore/error.hpp"
#include "kvstore/storage/json_file.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/open_json_file.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace json_file_test {

namespace fs = std::filesystem;
using kvstore::JsonFile;
using support::Call;
using support::load_from;
using support::OpenJsonFile;
using support::read_file;
using support::save_to;
using support::TempFolder;
using support::TextEntries;
using support::write_file;
using Names = std::set<std::string>;

TEST_CASE("JsonFile: entries are written one a line, with keys escaped and values as they are") {
  const TempFolder folder;
  JsonFile storage{folder / "data.json"};
  save_to(storage, {{"plain", "1"}, {"quote\" \\ \n \xc3\xa9", R"({"a": [true, "x"]})"}, {"", "null"}});
  CHECK(read_file(folder / "data.json") ==
        "{\n"
        "\"plain\": 1,\n"
        "\"quote\\\" \\\\ \\n \xc3\xa9\": {\"a\": [true, \"x\"]},\n"
        "\"\": null\n"
        "}\n");
}

TEST_CASE("JsonFile: an empty store is an empty object") {
  const TempFolder folder;
  JsonFile storage{folder / "data.json"};
  save_to(storage, {});
  CHECK(read_file(folder / "data.json") == "{}\n");
  CHECK(load_from(storage).empty());
}

TEST_CASE("JsonFile: it wants everything in each save") {
  const TempFolder folder;
  CHECK(JsonFile{folder / "data.json"}.scope() == kvstore::SaveScope::everything);
}

TEST_CASE("JsonFile: what was saved is loaded, whatever the block size") {
  const TempFolder folder;
  TextEntries entries;
  for (std::size_t i = 0; i < 40; ++i) {
    entries.emplace_back("key " + std::to_string(i), '"' + std::string(i * i, 'v') + '"');
  }
  for (const std::size_t block : {1U, 2U, 3U, 64U, 100U, 1000U, 1U << 20U}) {
    JsonFile storage{folder / "data.json", kvstore::detail::system_file_system(), block};
    save_to(storage, entries);
    CHECK(load_from(storage) == entries);
  }
}

TEST_CASE("JsonFile: however large the store, a save writes blocks of a mebibyte") {
  const TempFolder folder;
  support::FaultFileSystem files;
  OpenJsonFile storage{folder / "data.json", files};
  files.reset_counts();
  const std::string value = '"' + std::string(998, 'x') + '"';
  save_to(storage, TextEntries(10'000, {"key", value}));
  CHECK(files.count(Call::write) == fs::file_size(folder / "data.json") / (1U << 20U) + 1);
}

TEST_CASE("JsonFile: while it is open only the lock stands beside the file, and nothing afterwards") {
  const TempFolder folder;
  {
    JsonFile storage{folder / "data.json"};
    save_to(storage, {{"a", "1"}});
    CHECK(folder.names() == Names{"data.json", "data.json.lock"});
  }
  CHECK(folder.names() == Names{"data.json"});
}

TEST_CASE("JsonFile: opening alone makes no file") {
  const TempFolder folder;
  const JsonFile storage{folder / "data.json"};
  CHECK(folder.names().empty());
}

TEST_CASE("JsonFile: what a crashed save left behind is removed when the file is opened") {
  const TempFolder folder;
  write_file(folder / "data.json", R"({"a": 1})");
  write_file(folder / "data.json.tmp", "{\n\"torn");
  OpenJsonFile storage{folder / "data.json"};
  CHECK_FALSE(fs::exists(folder / "data.json.tmp"));
  CHECK(load_from(storage) == TextEntries{{"a", "1"}});
}

TEST_CASE("JsonFile: a source that throws abandons the save and leaves the file as it was") {
  struct Thrower : kvstore::ChangeSource {
    bool next(kvstore::Change&) override { throw kvstore::UsageError{"enough"}; }
  };
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  JsonFile storage{folder / "data.json"};
  Thrower thrower;
  CHECK_THROWS_AS(storage.save(thrower), kvstore::UsageError);
  CHECK(read_file(folder / "data.json") == "{}");
  CHECK_FALSE(fs::exists(folder / "data.json.tmp"));
}

TEST_CASE("JsonFile: a second storage in the same process is refused") {
  const TempFolder folder;
  const OpenJsonFile storage{folder / "data.json"};
  CHECK_THROWS_AS(OpenJsonFile{folder / "data.json"}, kvstore::LockedError);
}

TEST_CASE("JSON file: a tool can tell what an interrupted save has left from a file of somebody else") {
  const TempFolder folder;
  CHECK_NOTHROW(JsonFile::check_leftover(folder / "data.json"));
  write_file(folder / "data.json.tmp", "{\n\"a\": ");
  CHECK_NOTHROW(JsonFile::check_leftover(folder / "data.json"));
  write_file(folder / "data.json.tmp", "my notes");
  CHECK_THROWS_WITH(JsonFile::check_leftover(folder / "data.json"),
                    Catch::Matchers::ContainsSubstring("data.json.tmp"));
}

}  // namespace json_file_test
