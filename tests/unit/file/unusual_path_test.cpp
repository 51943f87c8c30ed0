// SPDX-License-Identifier: MIT

// Paths that do not always refer to the same file: pipes, devices, files without a name, links that are
// switched. A path that cannot be read as a file is refused by its name, and never taken for an empty store.

#ifndef _WIN32

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"
#if __has_include(<sqlite3.h>)
#include "kvstore/storage/sqlite.hpp"
#endif

namespace unusual_path_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using kvstore::JsonFile;
using kvstore::JsonJournal;
using kvstore::LoadPurpose;
using support::require_success;
using support::TempFolder;
using support::write_file;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

kvstore::Options reading(bool allow_missing = false) {
  kvstore::Options options = kManual;
  options.read_only = true;
  options.allow_missing = allow_missing;
  return options;
}

/// A descriptor that is closed at the end. `path` is the kernel's name for the open file.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_{number} { require_success(number < 0 ? -1 : 0, "open"); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(number_); }
  [[nodiscard]] fs::path path() const { return "/dev/fd/" + std::to_string(number_); }

 private:
  int number_;
};

/// Requires that every way to read or own `path` is refused by its name.
void check_refused(const fs::path& path, std::string_view why) {
  CAPTURE(path, why);
  const auto named = ContainsSubstring(path.string() + ": ");
  const auto reasoned = ContainsSubstring(std::string{why});
  const auto refused = named && reasoned;
  const TempFolder folder;
  Store store{folder / "data.json", kManual};
  store.upsert("a", 1);
  CHECK_THROWS_WITH(store.load_from(path), refused);
  CHECK(store.read("a") == 1);
  CHECK_THROWS_WITH(store.checkpoint(path), refused);
  for (const bool allow_missing : {false, true})
    CHECK_THROWS_WITH((Store{path, reading(allow_missing)}), refused);
  CHECK_THROWS_WITH((Store{path, kManual}), refused);
  CHECK_THROWS_WITH((Store{std::make_unique<JsonJournal>(path), kManual}), refused);
  CHECK_THROWS_WITH((Store{std::make_unique<JsonJournal>(path), reading(true)}), refused);
#if __has_include(<sqlite3.h>)
  CHECK_THROWS_WITH((Store{std::make_unique<kvstore::SqliteFile>(path), reading(true)}), refused);
#endif
}

}  // namespace

TEST_CASE("Unusual path: one that holds a zero byte is refused, and the message shows all of it") {
  const TempFolder folder;
  const std::string path = folder.path().string() + "/a" + std::string(1, '\0') + "b.json";
  CHECK_THROWS_WITH(Store(path), ContainsSubstring("a?b.json: a path that holds a zero byte names no file"));
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("Unusual path: a pipe is refused by name, whichever name it has") {
  const TempFolder folder;
  const fs::path named = folder / "pipe";
  require_success(::mkfifo(named.c_str(), 0600), "mkfifo");
  check_refused(named, "a pipe, a socket or a device");
  int ends[2];
  require_success(::pipe(ends), "pipe");
  const Descriptor reading_end{ends[0]};
  const Descriptor writing_end{ends[1]};
  check_refused(reading_end.path(), "a pipe, a socket or a device");
  CHECK(folder.names() == std::set<std::string>{"pipe"});
}

TEST_CASE("Unusual path: a socket and a device are refused by name") {
  const TempFolder folder;
  const Descriptor socket{::socket(AF_UNIX, SOCK_STREAM, 0)};
  check_refused(socket.path(), "a pipe, a socket or a device");
  check_refused("/dev/null", "a pipe, a socket or a device");
}

TEST_CASE("Unusual path: an open file that was removed or replaced is refused by name") {
  const TempFolder folder;
  write_file(folder / "gone.json", R"({"old": 1})");
  const Descriptor gone{::open((folder / "gone.json").c_str(), O_RDONLY | O_CLOEXEC)};
  fs::remove(folder / "gone.json");
  check_refused(gone.path(), "has no name any more");
  write_file(folder / "gone.json", R"({"new": 1})");
  check_refused(gone.path(), "has no name any more");
}

TEST_CASE("Unusual path: an open file that has its name is read by its descriptor") {
  const TempFolder folder;
  write_file(folder / "data.json", R"({"a": 1})");
  const Descriptor file{::open((folder / "data.json").c_str(), O_RDONLY | O_CLOEXEC)};
  CHECK(Store{file.path(), reading()}.read("a") == 1);
}

TEST_CASE("Unusual path: a pipe that takes a file's place is refused when it is read, and not waited for") {
  for (const char* name : {"data.json", "data.json.journal", "data.json.journal.next", "data.json.tmp"}) {
    for (const LoadPurpose purpose : {LoadPurpose::exclusive, LoadPurpose::read_only, LoadPurpose::copy}) {
      if (std::string_view{name}.ends_with(".tmp") && purpose != LoadPurpose::exclusive) continue;
      CAPTURE(name);
      const TempFolder folder;
      if (name != std::string_view{"data.json"}) write_file(folder / "data.json", R"({"a": 1})");
      JsonJournal storage{folder / "data.json"};
      require_success(::mkfifo((folder / name).c_str(), 0600), "mkfifo");
      support::CollectingSink sink;
      CHECK_THROWS_WITH(
          storage.load({.purpose = purpose}, sink),
          ContainsSubstring((folder / name).string()) && ContainsSubstring("a pipe, a socket or a device"));
      CHECK(fs::is_fifo(folder / name));
    }
  }
}

TEST_CASE("Unusual path: a reader sees the file that a link leads to now") {
  const TempFolder folder;
  for (const char* version : {"1", "2"})
    write_file(folder / (std::string{"v"} + version), std::string{R"({"version": )"} + version + "}");
  const auto publish = [&](const char* target) {
    fs::create_symlink(target, folder / "fresh");
    fs::rename(folder / "fresh", folder / "current.json");
  };
  const auto follow = [&](auto open) {
    publish("v1");
    Store reader{open(folder / "current.json"), reading()};
    CHECK(reader.read("version") == 1);
    CHECK_FALSE(reader.refresh());
    publish("v2");
    CHECK(reader.refresh());
    CHECK(reader.read("version") == 2);
    CHECK_FALSE(reader.refresh());
    publish("nowhere");
    CHECK_THROWS_WITH(reader.refresh(), ContainsSubstring((folder / "nowhere").string()));
    CHECK(reader.read("version") == 2);
    publish("v1");
    CHECK(reader.refresh());
    CHECK(reader.read("version") == 1);
  };
  follow([](const fs::path& path) { return std::make_unique<JsonFile>(path); });
  follow([](const fs::path& path) { return std::make_unique<JsonJournal>(path); });
}

TEST_CASE("Unusual path: a relative one keeps its meaning to a reader when the process changes its folder") {
  const TempFolder folder;
  write_file(folder / "data.json", R"({"a": 1})");
  const std::string words = support::in_child([&] {
    fs::current_path(folder.path());
    Store reader{"data.json", reading()};
    fs::current_path("/");
    write_file(folder / "data.json", R"({"a": 20})");
    reader.refresh();
    return std::to_string(reader.read("a"));
  });
  CHECK(words == "20");
}

TEST_CASE("Unusual path: a file of equal size and time that got the inode of the last one is another file") {
  const TempFolder folder;
  const auto moment = fs::file_time_type::clock::now();
  const auto follow = [&](auto open) {
    write_file(folder / "data.json", R"({"a": 1000})");
    fs::last_write_time(folder / "data.json", moment);
    Store reader{open(folder / "data.json"), reading()};
    for (int round = 1001; round < 1020; ++round) {
      for (const int value : {9999, round}) {  // the second file gets the inode of the file before the first
        write_file(folder / "next", R"({"a": )" + std::to_string(value) + "}");
        fs::last_write_time(folder / "next", moment);
        fs::rename(folder / "next", folder / "data.json");
      }
      CHECK(reader.refresh());
      CHECK(reader.read("a") == round);
    }
  };
  follow([](const fs::path& path) { return std::make_unique<JsonFile>(path); });
  follow([](const fs::path& path) { return std::make_unique<JsonJournal>(path); });
}

}  // namespace unusual_path_test

#endif
