// SPDX-License-Identifier: MIT

// A JSON file that another program changes while a store has it open. The store overwrites nobody's work.

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/open_json_file.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace conflict_test {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using kvstore::ConflictError;
using kvstore::JsonFile;
using support::Call;
using support::FaultFileSystem;
using support::load_from;
using support::OpenJsonFile;
using support::read_file;
using support::save_to;
using support::TempFolder;
using support::TextEntries;
using support::write_file;
using Names = std::set<std::string>;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

const std::string kTheirs = "{\"volume\": 9}";
const std::string kOurs = "{\n\"a\": 1\n}\n";
const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}};

/// Edits as a person does: later than all changes before.
void edit(const fs::path& path, const std::string& text = kTheirs) {
  const bool existed = fs::exists(path);
  const auto before = existed ? fs::last_write_time(path) : fs::file_time_type{};
  write_file(path, text);
  if (existed) fs::last_write_time(path, before + std::chrono::seconds{1});
}

/// Edits as most editors do: by writing another file and renaming it.
void replace(const fs::path& path, const std::string& text = kTheirs) {
  fs::path other = path;
  other += ".swp";
  write_file(other, text);
  fs::rename(other, path);
}

std::optional<ConflictError> conflict(JsonFile& storage, const TextEntries& entries = {{"a", "1"}}) {
  try {
    save_to(storage, entries);
    return std::nullopt;
  } catch (const ConflictError& error) { return error; }
}

}  // namespace

TEST_CASE("Conflict: a save leaves a file alone that was edited meanwhile, and says where ours is") {
  for (const auto& change :
       {std::function<void(const fs::path&)>{[](const fs::path& path) { edit(path); }},
        std::function<void(const fs::path&)>{[](const fs::path& path) { replace(path); }}}) {
    const TempFolder folder;
    const fs::path path = folder / "data.json";
    write_file(path, "{}");
    OpenJsonFile storage{path};
    change(path);
    const auto error = conflict(storage);
    REQUIRE(error);
    CHECK(error->path() == path);
    CHECK(error->ours() == folder / "data.json.ours");
    CHECK_THAT(error->what(), ContainsSubstring(path.string() + ": another program has changed this file"));
    CHECK_THAT(error->what(), ContainsSubstring("saved as data.json.ours beside it"));
    CHECK_THAT(error->what(), ContainsSubstring("move data.json away or remove it"));
    CHECK_THAT(error->what(), ContainsSubstring("load_from()"));
    const auto nested = kvstore::StorageError::not_on_disk(path, {}, error->what());
    CHECK_THAT(nested.what(), ContainsSubstring("saving failed (another program has changed this file"));
    CHECK(read_file(path) == kTheirs);
    CHECK(read_file(error->ours()) == kOurs);
    CHECK(folder.names() == Names{"data.json", "data.json.lock", "data.json.ours"});
  }
}

TEST_CASE("Conflict: an edit of a file that the store has saved itself is noticed too") {
  const TempFolder folder;
  OpenJsonFile storage{folder / "data.json"};
  save_to(storage, {{"a", "0"}});
  edit(folder / "data.json");
  CHECK(conflict(storage));
  CHECK(read_file(folder / "data.json") == kTheirs);
}

TEST_CASE("Conflict: a file that appears where none was is somebody else's") {
  const TempFolder folder;
  OpenJsonFile storage{folder / "data.json"};
  write_file(folder / "data.json", kTheirs);
  CHECK(conflict(storage));
  CHECK(read_file(folder / "data.json") == kTheirs);
}

TEST_CASE("Conflict: an edit while a save is being written is noticed before the rename") {
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  FaultFileSystem files;
  OpenJsonFile storage{folder / "data.json", files};
  files.before_each([&](Call call, const fs::path&) {
    if (call == Call::close) edit(folder / "data.json");
  });
  CHECK(conflict(storage));
  CHECK(read_file(folder / "data.json") == kTheirs);
}

TEST_CASE("Conflict: saves go on beside the file, the newest entries each time") {
  const TempFolder folder;
  OpenJsonFile storage{folder / "data.json"};
  write_file(folder / "data.json", kTheirs);
  CHECK(conflict(storage, {{"a", "0"}}));
  const auto error = conflict(storage);
  REQUIRE(error);
  CHECK(error->ours() == folder / "data.json.ours");
  CHECK(read_file(error->ours()) == kOurs);
}

TEST_CASE("Conflict: once the other file is out of the way the store's entries are saved and ours is gone") {
  const TempFolder folder;
  OpenJsonFile storage{folder / "data.json"};
  write_file(folder / "data.json", kTheirs);
  REQUIRE(conflict(storage));
  fs::rename(folder / "data.json", folder / "theirs.json");
  CHECK_FALSE(conflict(storage));
  CHECK(read_file(folder / "data.json") == kOurs);
  CHECK(folder.names() == Names{"data.json", "data.json.lock", "theirs.json"});
}

TEST_CASE("Conflict: after the file was loaded again it is the store's") {
  const TempFolder folder;
  OpenJsonFile storage{folder / "data.json"};
  write_file(folder / "data.json", kTheirs);
  REQUIRE(conflict(storage));
  CHECK(load_from(storage) == TextEntries{{"volume", "9"}});
  CHECK_FALSE(conflict(storage, {{"volume", "8"}}));
  CHECK(folder.names() == Names{"data.json", "data.json.lock"});
}

TEST_CASE("Conflict: a file called .ours that was there before, or was edited since, is never touched") {
  const TempFolder folder;
  write_file(folder / "data.json.ours", "a person's");
  OpenJsonFile storage{folder / "data.json"};
  write_file(folder / "data.json", kTheirs);
  auto error = conflict(storage);
  REQUIRE(error);
  CHECK(error->ours() == folder / "data.json.ours.1");
  edit(folder / "data.json.ours.1", "merged by hand");
  error = conflict(storage);
  REQUIRE(error);
  CHECK(error->ours() == folder / "data.json.ours.2");
  fs::remove(folder / "data.json");
  CHECK_FALSE(conflict(storage));
  CHECK(read_file(folder / "data.json.ours") == "a person's");
  CHECK(read_file(folder / "data.json.ours.1") == "merged by hand");
  CHECK_FALSE(fs::exists(folder / "data.json.ours.2"));
}

TEST_CASE("Conflict: an .ours that was edited after the last conflict outlives the next save") {
  const TempFolder folder;
  OpenJsonFile storage{folder / "data.json"};
  write_file(folder / "data.json", kTheirs);
  REQUIRE(conflict(storage));
  edit(folder / "data.json.ours", "merged by hand");
  fs::remove(folder / "data.json");
  CHECK_FALSE(conflict(storage));
  CHECK(read_file(folder / "data.json.ours") == "merged by hand");
}

TEST_CASE("Conflict: a file that is gone is written anew, as private as it was") {
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  fs::permissions(folder / "data.json", fs::perms::owner_read | fs::perms::owner_write);
  const auto before = fs::status(folder / "data.json").permissions();
  OpenJsonFile storage{folder / "data.json"};
  fs::remove(folder / "data.json");
  CHECK_FALSE(conflict(storage));
  CHECK(read_file(folder / "data.json") == kOurs);
  CHECK(fs::status(folder / "data.json").permissions() == before);
}

TEST_CASE("Conflict: a touch, other permissions, or the same contents put back are none") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  write_file(path, "{\"x\": 1}");
  OpenJsonFile storage{path};
  for (int round = 0; round < 2; ++round) {
    fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds{5});
    CHECK_FALSE(conflict(storage));
    fs::permissions(path, fs::perms::owner_all);
    CHECK_FALSE(conflict(storage));
    fs::copy_file(path, folder / "backup");
    fs::rename(folder / "backup", path);
    CHECK_FALSE(conflict(storage));
  }
  CHECK(folder.names() == Names{"data.json", "data.json.lock"});
}

TEST_CASE("Conflict: a save that failed after its rename is no foreign change") {
  for (const Call call : {Call::rename, Call::sync_folder}) {
    const TempFolder folder;
    write_file(folder / "data.json", "{}");
    FaultFileSystem files;
    OpenJsonFile storage{folder / "data.json", files};
    files.inject(
        {.error = std::make_error_code(std::errc::io_error), .call = call, .effect = support::Effect::full});
    CHECK_THROWS_AS(save_to(storage, {{"a", "2"}}), kvstore::StorageError);
    CHECK(read_file(folder / "data.json") == "{\n\"a\": 2\n}\n");
    CHECK_FALSE(conflict(storage));
    CHECK(read_file(folder / "data.json") == kOurs);
  }
}

TEST_CASE("Conflict: a checksum taken while several threads load is that of the file") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  constexpr std::size_t kBlock = 256;
  {
    Store store{std::make_unique<JsonFile>(path), kManual};
    for (int i = 0; i < 2000; ++i) store.upsert(std::to_string(i), i);
  }
  kvstore::Options options = kManual;
  options.threads = 4;
  Store store{std::make_unique<JsonFile>(path, kvstore::detail::system_file_system(), kBlock), options};
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds{5});
  store.upsert("more", 1);
  CHECK_NOTHROW(store.save());
  CHECK(folder.names() == Names{"data.json", "data.json.lock"});
}

TEST_CASE("Conflict: what keeps ours from being written is an error that leaves both files alone") {
  const TempFolder folder;
  FaultFileSystem files;
  OpenJsonFile storage{folder / "data.json", files};
  write_file(folder / "data.json", kTheirs);
  files.inject({.error = std::make_error_code(std::errc::io_error), .call = Call::rename});
  CHECK_THROWS_AS(save_to(storage, {{"a", "1"}}), kvstore::StorageError);
  CHECK(read_file(folder / "data.json") == kTheirs);
  CHECK(folder.names() == Names{"data.json", "data.json.lock"});
}

TEST_CASE("Conflict: a checkpoint over a file that is being edited leaves that alone") {
  const TempFolder folder;
  write_file(folder / "copy.json", "{}");
  FaultFileSystem files;
  JsonFile copy{folder / "copy.json", files};
  files.before_each([&](Call call, const fs::path&) {
    if (call == Call::close) edit(folder / "copy.json");
  });
  CHECK(conflict(copy));
  CHECK(read_file(folder / "copy.json") == kTheirs);
}

}  // namespace conflict_test
