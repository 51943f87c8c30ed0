// SPDX-License-Identifier: MIT

// A store whose lock file is removed, or whose folder is exchanged, while it is open. The store must not
// write there any more, since another store may now own these names.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/open_json_file.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace exchanged_folder_test {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using support::Call;
using support::FaultFileSystem;
using support::OpenJsonFile;
using support::read_file;
using support::save_to;
using support::TempFolder;
using support::TextEntries;

namespace {

const TextEntries kOurs{{"ours", "1"}};
const TextEntries kTheirs{{"theirs", "2"}};
const std::string kTheirText = "{\n\"theirs\": 2\n}\n";

/// A store at current/data.json. `current` is a link to r1.
struct Exchange {
  Exchange() {
    fs::create_directory(folder / "r1");
    fs::create_directory(folder / "r2");
    fs::create_symlink("r1", folder / "current");
    storage = std::make_unique<OpenJsonFile>(path, files);
    save_to(*storage, kOurs);
  }

  void remove_lock() const { fs::remove(folder / "r1" / "data.json.lock"); }
  void flip_link() const {
    fs::create_symlink("r2", folder / "next");
    fs::rename(folder / "next", folder / "current");
  }
  void exchange_folder() const {
    fs::rename(folder / "r1", folder / "old");
    fs::create_directory(folder / "r1");
  }
  std::vector<std::function<void()>> ways() const {
    return {[this] { remove_lock(); }, [this] { flip_link(); }, [this] { exchange_folder(); }};
  }
  /// Opens another store under the same name, and keeps it open.
  void let_another_in() {
    other = std::make_unique<OpenJsonFile>(path);
    save_to(*other, kTheirs);
  }
  std::string save() const {
    try {
      save_to(*storage, {{"ours", "3"}});
      return "saved";
    } catch (const kvstore::StorageError& error) { return error.what(); }
  }

  TempFolder folder;
  fs::path path = folder / "current" / "data.json";
  FaultFileSystem files;
  std::unique_ptr<OpenJsonFile> storage;
  std::unique_ptr<OpenJsonFile> other;
};

constexpr int kWays = 3;

}  // namespace

TEST_CASE("Exchanged folder: a save writes nothing where another store has the name by now") {
  for (int way = 0; way < kWays; ++way) {
    Exchange at;
    at.ways()[static_cast<std::size_t>(way)]();
    at.let_another_in();
    INFO("way " << way);
    const std::string words = at.save();
    CHECK_THAT(words, ContainsSubstring("nothing more is written") &&
                          ContainsSubstring("data.json.lock was removed"));
    CHECK(read_file(at.path) == kTheirText);
    CHECK_FALSE(fs::exists(at.path.parent_path() / "data.json.ours"));
    at.storage.reset();
    CHECK(fs::exists(at.path.parent_path() / "data.json.lock"));
    CHECK_THROWS_AS(OpenJsonFile{at.path}, kvstore::LockedError);
  }
}

TEST_CASE("Exchanged folder: a save writes nothing where nobody is yet, and says what to do") {
  for (int way = 0; way < kWays; ++way) {
    Exchange at;
    at.ways()[static_cast<std::size_t>(way)]();
    INFO("way " << way);
    CHECK_THAT(at.save(), ContainsSubstring("keep this one's entries by checkpoint() under another name"));
    CHECK_FALSE(fs::exists(at.path.parent_path() / "data.json.tmp"));
  }
}

TEST_CASE("Exchanged folder: an exchange during a save is noticed before its rename, and their .tmp stays") {
  for (int way = 0; way < kWays; ++way) {
    Exchange at;
    at.files.before_each([&, done = false](Call call, const fs::path&) mutable {
      if (call != Call::close || done) return;
      done = true;
      at.ways()[static_cast<std::size_t>(way)]();
      at.let_another_in();
      support::write_file(at.path.parent_path() / "data.json.tmp", "theirs, half written");
    });
    INFO("way " << way);
    CHECK_THAT(at.save(), ContainsSubstring("nothing more is written"));
    CHECK(read_file(at.path) == kTheirText);
    at.files.before_each(nullptr);
    CHECK(read_file(at.path.parent_path() / "data.json.tmp") == "theirs, half written");
  }
}

TEST_CASE("Exchanged folder: once the link leads back, saves go on") {
  Exchange at;
  at.flip_link();
  CHECK_THAT(at.save(), ContainsSubstring("nothing more is written"));
  fs::create_symlink("r1", at.folder / "next");
  fs::rename(at.folder / "next", at.folder / "current");
  CHECK(at.save() == "saved");
}

TEMPLATE_TEST_CASE("Exchanged folder: the figures of a store tell of it until its folder is back", "",
                   kvstore::JsonFile, kvstore::JsonJournal) {
  const TempFolder folder;
  fs::create_directory(folder / "here");
  kvstore::BatchPersistentKeyValueStore<std::string, int> store{
      std::make_unique<TestType>(folder / "here" / "data.json"), {.batch_size = 100}};
  store.upsert("a", 1);
  store.save();
  store.upsert("a", 2);
  fs::rename(folder / "here", folder / "there");
  CHECK_THROWS_AS(store.save(), kvstore::StorageError);
  CHECK_THAT(store.last_error().value_or("none"), ContainsSubstring("folder exchanged"));
  CHECK(store.metrics().saves.failed >= 1);
  fs::rename(folder / "there", folder / "here");
  store.save();
  CHECK(store.last_error().value_or("none") == "none");
  fs::rename(folder / "here", folder / "there");
  CHECK_THROWS_AS(store.save(), kvstore::StorageError);  // refused even though there is nothing to save
  CHECK(store.last_error().has_value());
  fs::rename(folder / "there", folder / "here");
  store.close();
  CHECK(store.last_error().value_or("none") == "none");
}

}  // namespace exchanged_folder_test
