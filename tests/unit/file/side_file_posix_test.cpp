// SPDX-License-Identifier: MIT

// Something else at a name of a store: a pipe, a device, a link, a file of a stranger. It is refused by its
// name, never waited for, and never written.

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"
#if __has_include(<sqlite3.h>)
#include "kvstore/storage/sqlite.hpp"
#endif

namespace side_file_posix_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using kvstore::JsonFile;
using kvstore::JsonJournal;
using support::require_success;
using support::TempFolder;
using support::write_file;
using Names = std::set<std::string>;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
using Make = std::function<std::unique_ptr<kvstore::Storage>(const fs::path&)>;

namespace {

struct Kind {
  std::string name;
  Make make;
};

const Kind kJsonFile{"JsonFile", [](const fs::path& path) { return std::make_unique<JsonFile>(path); }};
const Kind kJsonJournal{"JsonJournal",
                        [](const fs::path& path) { return std::make_unique<JsonJournal>(path); }};
#if __has_include(<sqlite3.h>)
const Kind kSqliteFile{"SqliteFile",
                       [](const fs::path& path) { return std::make_unique<kvstore::SqliteFile>(path); }};
const std::vector<Kind> kKinds{kJsonFile, kJsonJournal, kSqliteFile};
#else
const std::vector<Kind> kKinds{kJsonFile, kJsonJournal};
#endif

/// Opens a store, adds an entry and closes it. @returns "opened", or the message of the error
std::string open_once(const Kind& kind, const fs::path& path, bool read_only = false) {
  kvstore::Options options{.batch_size = 0, .auto_save_interval = 0s};
  options.read_only = read_only;
  try {
    Store store{kind.make(path), options};
    if (!read_only) store.upsert("a", 2);
    store.close();
    return "opened";
  } catch (const kvstore::Error& error) { return error.what(); }
}

/// The same in a child, which is ended if it waits for something.
std::string open_in_time(const Kind& kind, const fs::path& path, bool read_only = false) {
  return support::in_child([&] {
    ::alarm(20);
    return open_once(kind, path, read_only);
  });
}

std::string open_as_nobody(const Kind& kind, const fs::path& path) {
  return support::in_child([&] {
    support::become_nobody();
    return open_once(kind, path);
  });
}

void make_pipe(const fs::path& path) { require_success(::mkfifo(path.c_str(), 0600), "mkfifo"); }

constexpr const char* kPipe = "a pipe, a socket or a device";

}  // namespace

TEST_CASE("Side file: a pipe at the lock's name is refused, and its kind is told") {
  for (const Kind& kind : kKinds) {
    CAPTURE(kind.name);
    const TempFolder folder;
    make_pipe(folder / "data.lock");
    const std::string words = open_in_time(kind, folder / "data");
    CHECK_THAT(words, ContainsSubstring("data.lock") && ContainsSubstring(kPipe));
    CHECK(folder.names() == Names{"data.lock"});
  }
}

TEST_CASE(
    "Side file: a lock file that is a hard link to another file is refused, also if it looks like one") {
  for (const Kind& kind : kKinds) {
    for (const char* text : {"", "123\n", "kept"}) {
      CAPTURE(kind.name, text);
      const TempFolder folder;
      write_file(folder / "victim", text);
      fs::create_hard_link(folder / "victim", folder / "data.lock");
      CHECK_THAT(open_once(kind, folder / "data"), ContainsSubstring("data.lock"));
      CHECK(support::read_file(folder / "victim") == text);
      CHECK(folder.names() == Names{"data.lock", "victim"});
    }
  }
}

#if __has_include(<sqlite3.h>)
TEST_CASE(
    "Side file: a hard link at a name of SQLite's is refused, and its other file keeps bytes and mode") {
  for (const std::string suffix : {"-wal", "-shm", "-journal"}) {
    for (const bool exists : {false, true}) {
      CAPTURE(suffix, exists);
      const TempFolder folder;
      if (exists) REQUIRE(open_once(kSqliteFile, folder / "data") == "opened");
      write_file(folder / "victim", "kept");
      fs::permissions(folder / "victim", fs::perms::owner_read);
      fs::create_hard_link(folder / "victim", folder / ("data" + suffix));
      CHECK_THAT(open_once(kSqliteFile, folder / "data"),
                 ContainsSubstring("data" + suffix) && ContainsSubstring("a hard link"));
      CHECK(support::read_file(folder / "victim") == "kept");
      CHECK(fs::status(folder / "victim").permissions() == fs::perms::owner_read);
    }
  }
}
#endif

TEST_CASE("Side file: nothing is made through a link that leads nowhere") {
  for (const Kind& kind : kKinds) {
    CAPTURE(kind.name);
    const TempFolder folder;
    fs::create_directory(folder / "sub");
    fs::create_symlink("sub/real", folder / "data");
    const std::string words = open_once(kind, folder / "data");
    CHECK_THAT(words, ContainsSubstring("is a symbolic link to " + (folder / "sub" / "real").string()));
    CHECK(fs::is_empty(folder / "sub"));
    Store copied{folder / "other", {.batch_size = 0, .auto_save_interval = 0s}};
    CHECK_THROWS_WITH(copied.checkpoint(folder / "data"), ContainsSubstring("is a symbolic link to "));
    CHECK(fs::is_empty(folder / "sub"));
  }
}

TEST_CASE("Side file: a link to a store that exists is followed") {
  for (const Kind& kind : kKinds) {
    CAPTURE(kind.name);
    const TempFolder folder;
    fs::create_directory(folder / "sub");
    CHECK(open_once(kind, folder / "sub" / "real") == "opened");  // of a journal, only that is there
    fs::create_symlink("sub/real", folder / "data");
    CHECK(open_once(kind, folder / "data") == "opened");
    CHECK(open_once(kind, folder / "data", true) == "opened");
    CHECK(folder.names() == Names{"data", "sub"});
  }
}

TEST_CASE("Side file: what was dropped of a journal does not get into a pipe or a file with a second name") {
  for (const bool pipe : {true, false}) {
    const TempFolder folder;
    REQUIRE(open_once(kJsonJournal, folder / "data") == "opened");
    write_file(folder / "victim", "");
    const std::string torn = support::read_file(folder / "data.journal") + "torn";
    write_file(folder / "data.journal", torn);
    const fs::path kept = folder / "data.journal.torn";
    if (pipe)
      make_pipe(kept);
    else
      fs::create_hard_link(folder / "victim", kept);
    const std::string words = open_in_time(kJsonJournal, folder / "data");
    CHECK_THAT(words,
               ContainsSubstring("data.journal.torn") && ContainsSubstring(pipe ? kPipe : "a hard link"));
    CHECK(support::read_file(folder / "victim").empty());
    CHECK(support::read_file(folder / "data.journal") == torn);
  }
}

TEST_CASE("Side file: in a sticky folder, a stranger's file beside a store is refused and stays") {
  if (!support::is_root()) {
    WARN("skipped: only root can act as two users");
    return;
  }
  for (const Kind& kind : {kJsonFile, kJsonJournal}) {
    for (const char* name :
         {"data.lock", "data.tmp", "data.journal", "data.journal.next", "data.journal.new"}) {
      if (kind.name == "JsonFile" && fs::path{name}.native().find("journal") != std::string::npos) continue;
      CAPTURE(kind.name, name);
      const TempFolder folder;
      fs::permissions(folder.path(), fs::perms::all | fs::perms::sticky_bit);
      write_file(folder / name, "");
      require_success(::chown((folder / name).c_str(), 1234, 1234), "chown");
      CHECK_THAT(open_as_nobody(kind, folder / "data"),
                 ContainsSubstring(name) && ContainsSubstring("belongs to another user, number 1234"));
      CHECK(fs::exists(folder / name));
      fs::remove(folder / name);
      CHECK(open_as_nobody(kind, folder / "data") == "opened");
    }
  }
}

TEST_CASE("Side file: in a sticky folder, a store that a stranger has made is read and not written to") {
  if (!support::is_root()) {
    WARN("skipped: only root can act as two users");
    return;
  }
  std::vector<Kind> kinds{kJsonFile, kJsonJournal};
#if __has_include(<sqlite3.h>)
  kinds.push_back(kSqliteFile);
#endif
  for (const Kind& kind : kinds) {
    CAPTURE(kind.name);
    const TempFolder folder;
    REQUIRE(open_once(kind, folder / "data") == "opened");
    fs::permissions(folder.path(), fs::perms::all | fs::perms::sticky_bit);
    for (const auto& entry : fs::directory_iterator{folder.path()}) {
      require_success(::chown(entry.path().c_str(), 1234, 1234), "chown");
      require_success(::chmod(entry.path().c_str(), 0666), "chmod");
    }
    const auto before = folder.names();
    CHECK_THAT(open_as_nobody(kind, folder / "data"),
               ContainsSubstring("belongs to another user, number 1234"));
    CHECK_THAT(open_once(kind, folder / "data"), ContainsSubstring("belongs to another user, number 1234"));
    CHECK(folder.names() == before);
    fs::permissions(folder.path(), fs::perms::sticky_bit, fs::perm_options::remove);
    CHECK(open_as_nobody(kind, folder / "data") == "opened");
  }
}

#if __has_include(<sqlite3.h>)

TEST_CASE("Side file: a pipe or a link at a name of SQLite's own is refused, and not waited for") {
  for (const char* suffix : {"-journal", "-wal", "-shm"}) {
    for (const bool read_only : {false, true}) {
      for (const bool pipe : {false, true}) {
        CAPTURE(suffix, read_only, pipe);
        const TempFolder folder;
        REQUIRE(open_once(kSqliteFile, folder / "data") == "opened");
        const fs::path name = folder / (std::string{"data"} + suffix);
        if (pipe)
          make_pipe(name);
        else
          fs::create_symlink("elsewhere", name);
        const std::string words = open_in_time(kSqliteFile, folder / "data", read_only);
        CHECK_THAT(words, ContainsSubstring(name.string()));
        CHECK_THAT(words, ContainsSubstring(pipe ? kPipe : "a symbolic link"));
        CHECK_FALSE(fs::exists(folder / "elsewhere"));
      }
    }
  }
}

#endif

}  // namespace side_file_posix_test
