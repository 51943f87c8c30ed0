// SPDX-License-Identifier: MIT

// A journal whose store has lost its lock, its folder or its JSON file while it was open. No other store is
// harmed, and nothing is lost silently.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <system_error>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

#ifndef _WIN32
#include <fcntl.h>
#include <sys/file.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/child_process.hpp"
#endif

namespace lost_journal_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using kvstore::JsonJournal;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
using Contents = std::map<std::string, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};
const kvstore::Options kEach{.batch_size = 1, .auto_save_interval = 0s};

std::unique_ptr<Store> open(const fs::path& path, const kvstore::Options& options = kManual) {
  return std::make_unique<Store>(std::make_unique<JsonJournal>(path), options);
}

Contents reopened(const fs::path& path) {
  Contents result;
  open(path)->for_each([&](const std::string& key, int value) { result[key] = value; });
  return result;
}

}  // namespace

TEST_CASE("Lost snapshot: one that vanishes while the journal holds no changes is written anew") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  const bool by_save = GENERATE(true, false);
  auto store = open(path, kEach);
  store->create("a", 1);
  store->compact();
  fs::remove(path);
  if (by_save) store->save();
  store->close();
  CHECK(reopened(path) == Contents{{"a", 1}});
}

TEST_CASE(
    "Lost snapshot: one that vanishes after it was loaded is written anew, whatever the journal holds") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  const int changes = GENERATE(0, 1);
  support::write_file(path, R"({"a": 1})");
  auto store = open(path, kEach);
  if (changes != 0) store->create("b", 2);
  fs::remove(path);
  store->save();
  store->close();
  CHECK(reopened(path).count("a") == 1);
}

TEST_CASE("Lost snapshot: a store that ends without writing it anew leaves the journal, which tells of it") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  auto store = open(path, kEach);
  store->create("a", 1);
  store->compact();
  store.reset();
  {
    JsonJournal short_lived{path};
    support::load_from(short_lived);
    fs::remove(path);
  }
  CHECK_THROWS_WITH(reopened(path), ContainsSubstring("continues a JSON file that is missing"));
}

#ifndef _WIN32
TEST_CASE("Lost lock: no store opens a journal that another still adds to, and that one goes unharmed") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  const int changes = GENERATE(0, 1);
  auto store = open(path, kEach);
  if (changes != 0) store->create("a", 1);
  fs::remove(folder / "data.json.lock");
  const std::string before = support::read_file(folder / "data.json.journal");
  CHECK_THROWS_WITH(open(path), ContainsSubstring("data.json: already open for writing by a store whose lock "
                                                  "file was removed, and which still adds to "
                                                  "data.json.journal"));
  CHECK(support::read_file(folder / "data.json.journal") == before);
  CHECK_THROWS_WITH(store->create("b", 2), ContainsSubstring("data.json.lock was removed"));
  store.reset();
  CHECK(reopened(path).count("a") == static_cast<std::size_t>(changes));
}

TEST_CASE("Lost lock: a journal that a compaction has begun counts as well") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  support::FaultFileSystem files;
  Store store{std::make_unique<JsonJournal>(path, files), kEach};
  store.create("a", 1);
  std::string refusal;
  files.before_each([&](support::Call call, const fs::path& name) {
    if (call != support::Call::open || name.extension() != ".tmp" || !refusal.empty()) return;
    refusal = "none";
    fs::rename(folder / "data.json.lock", folder / "lock");
    fs::rename(folder / "data.json.journal", folder / "journal");  // the journal is locked as well
    try {
      open(path);
    } catch (const kvstore::LockedError& error) { refusal = error.what(); }
    fs::rename(folder / "journal", folder / "data.json.journal");
    fs::rename(folder / "lock", folder / "data.json.lock");
  });
  store.compact();
  CHECK_THAT(refusal, ContainsSubstring("which still adds to data.json.journal.next"));
}

TEST_CASE("Lost lock: whatever a user who may only read a journal locks, its store is opened and saves") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  open(path, kEach)->create("a", 1);
  const fs::path journal = folder / "data.json.journal";
  const int reader = ::open(journal.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(reader >= 0);
  struct ::flock lock{};
  lock.l_type = F_RDLCK;
  const bool of_bytes = GENERATE(true, false);
  REQUIRE((of_bytes ? ::fcntl(reader, F_OFD_SETLK, &lock) : ::flock(reader, LOCK_EX)) == 0);
  {
    auto store = open(path, kEach);
    store->create("b", 2);
    CHECK_THROWS_AS(open(path), kvstore::LockedError);
    store->compact();
    store->create("c", 3);
  }
  ::close(reader);
  CHECK(reopened(path) == Contents{{"a", 1}, {"b", 2}, {"c", 3}});
}

TEST_CASE("Lost lock: nobody who may only read a journal takes away its writer's lock") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  auto store = open(path, kEach);
  const int reader = ::open((folder / "data.json.journal").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(reader >= 0);
  struct ::flock lock{};
  lock.l_type = F_RDLCK;
  CHECK(::fcntl(reader, F_OFD_SETLK, &lock) != 0);
  CHECK(::flock(reader, LOCK_EX | LOCK_NB) == 0);
  fs::remove(folder / "data.json.lock");
  CHECK_THROWS_WITH(open(path), ContainsSubstring("which still adds to data.json.journal"));
  ::close(reader);
}

TEST_CASE(
    "Lost lock: a store that has ended can be opened again while a child that it was forked with lives") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  auto store = open(path, kEach);
  store->create("a", 1);
  std::array<int, 2> life{};
  support::require_success(::pipe(life.data()), "pipe");
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::close(life[1]);
    char none = 0;
    static_cast<void>(!::read(life[0], &none, 1));  // returns when the parent allows it
    ::_exit(0);
  }
  store.reset();
  CHECK_NOTHROW(reopened(path));
  ::close(life[1]);
  ::close(life[0]);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("Lost folder: a journal that ends leaves the one of a store that has its place by now") {
  const TempFolder folder;
  const fs::path path = folder / "here" / "data.json";
  fs::create_directory(folder / "here");
  const int changes = GENERATE(0, 1);
  auto old = open(path, kEach);
  if (changes != 0) old->create("old", 1);
  fs::rename(folder / "here", folder / "there");
  fs::create_directory(folder / "here");
  auto store = open(path, kEach);
  store->create("a", 1);
  const std::string before = support::read_file(path.string() + ".journal");
  old.reset();
  CHECK(fs::exists(path.string() + ".journal"));
  CHECK(support::read_file(path.string() + ".journal") == before);
  store.reset();
  CHECK(reopened(path) == Contents{{"a", 1}});
}
#endif

TEST_CASE("Lost names: what another program puts where an open store begins a journal stays, and is named") {
  const TempFolder folder;
  const std::string suffix = GENERATE(".next", ".new", "");
  CAPTURE(suffix);
  const fs::path path = folder / "data.json";
  auto store = open(path, kEach);
  store->create("a", 1);
  const fs::path name = path.string() + ".journal" + suffix;
  fs::remove(name);
  support::write_file(name, "my notes\n");
  CHECK_THROWS_WITH((store->compact(), store->close()),
                    ContainsSubstring(name.string() + ": ") && ContainsSubstring("holds something else"));
  CHECK(support::read_file(name) == "my notes\n");
  fs::remove(name);
  store->compact();
  store->close();
  CHECK(folder.names() == std::set<std::string>{"data.json"});
}

TEST_CASE("Full disk: before a snapshot is written, the journal gives back what was allocated ahead") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  const bool failed = GENERATE(false, true);
  support::FaultFileSystem files;
  Store store{std::make_unique<JsonJournal>(path, files), kEach};
  store.create("a", 1);
  const auto error = std::make_error_code(std::errc::io_error);
  std::string journal;
  files.before_each([&](support::Call call, const fs::path& name) {
    if (call == support::Call::open && name.extension() == ".tmp")
      journal = support::read_file(folder / "data.json.journal");
  });
  if (failed) {
    files.inject({.error = error, .call = support::Call::sync});
    CHECK_THROWS_AS(store.create("b", 2), kvstore::StorageError);
    store.save();
  } else {
    store.compact();
  }
  REQUIRE_FALSE(journal.empty());
  CHECK(journal.back() == '\n');
}

#ifndef _WIN32  // where a folder cannot be renamed while a file in it is open
TEST_CASE("Lost folder: one that is exchanged at any call of an opening leaves both stores whole") {
  for (std::uint64_t nth = 1, calls = nth; nth <= calls; ++nth) {
    const TempFolder folder;
    const Contents mine{{"mine", 1}};
    Contents theirs;
    fs::create_directory(folder / "a");
    fs::create_directory(folder / "b");
    open(folder / "a/data.json", kEach)->upsert("mine", 1);
    std::ofstream{folder / "a/data.json.journal", std::ios::app} << "torn";  // so that an opening cuts it
    {
      const auto other = open(folder / "b/data.json", kEach);
      for (int i = 0; i < 50; ++i)
        other->upsert("theirs" + std::to_string(i), theirs["theirs" + std::to_string(i)] = i);
    }
    support::FaultFileSystem files;
    std::uint64_t call = 0;
    files.before_each([&](support::Call, const fs::path&) {
      if (++call != nth) return;
      fs::rename(folder / "a", folder / "c");
      fs::rename(folder / "b", folder / "a");
    });
    INFO("exchanged before call " << nth);
    try {
      Store store{std::make_unique<JsonJournal>(folder / "a/data.json", files), kManual};
      calls = call;  // the opening took as many
      store.close();
    } catch (const kvstore::StorageError&) {
      calls = std::max(calls, call);
    } catch (const kvstore::CorruptionError&) {  // it has read a snapshot here and a journal there
      calls = std::max(calls, call);
    }
    if (call < nth) break;
    REQUIRE(reopened(folder / "a/data.json") == theirs);
    REQUIRE(reopened(folder / "c/data.json") == mine);
  }
}
#endif

}  // namespace lost_journal_test
