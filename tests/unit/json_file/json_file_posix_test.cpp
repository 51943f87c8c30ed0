// SPDX-License-Identifier: MIT

// The behaviour of a JSON file storage on a POSIX system: the permissions that it keeps, the links that it
// follows, and the files that it locks and refuses.

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

#include "kvstore/error.hpp"
#include "kvstore/storage/json_file.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/fault_file_system.hpp"
#include "support/open_json_file.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace json_file_posix_test {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using kvstore::JsonFile;
using support::Call;
using support::ChildProcess;
using support::in_child;
using support::load_from;
using support::OpenJsonFile;
using support::read_file;
using support::save_to;
using support::TempFolder;
using support::TextEntries;
using support::write_file;
using Names = std::set<std::string>;

namespace {

struct ::stat status_of(const fs::path& path) {
  struct ::stat status{};
  support::require_success(::stat(path.c_str(), &status), "stat");
  return status;
}

unsigned mode_of(const fs::path& path) { return status_of(path).st_mode & 07777U; }

void set_mode(const fs::path& path, unsigned mode) { fs::permissions(path, static_cast<fs::perms>(mode)); }

/// The error with which opening a storage ends.
std::error_code open_error(const fs::path& path) {
  try {
    const JsonFile storage{path};
    return {};
  } catch (const kvstore::StorageError& error) { return error.code(); }
}

/// Opens and saves once. Returns "saved" or throws.
std::string save_once(const fs::path& path) {
  JsonFile storage{path};
  save_to(storage, {{"key", "1"}});
  return "saved";
}

}  // namespace

TEST_CASE("JsonFile: a new file has the permissions that the umask leaves") {
  const TempFolder folder;
  const ::mode_t umask_before = ::umask(027);
  save_once(folder / "data.json");
  ::umask(umask_before);
  CHECK(mode_of(folder / "data.json") == 0640);
}

TEST_CASE("JsonFile: a save keeps the permissions, more or fewer than the umask leaves") {
  const TempFolder folder;
  for (const unsigned mode : {0600U, 0666U, 0640U, 0755U}) {
    write_file(folder / "data.json", "{}");
    set_mode(folder / "data.json", mode);
    save_once(folder / "data.json");
    CHECK(mode_of(folder / "data.json") == mode);
  }
}

TEST_CASE("JsonFile: what replaces a private file is private from the start") {
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  set_mode(folder / "data.json", 0600);
  unsigned seen = 0;
  support::FaultFileSystem files;
  files.before_each([&](Call call, const fs::path& path) {
    if (call == Call::write && path.extension() == ".tmp") seen = mode_of(path);
  });
  JsonFile storage{folder / "data.json", files};
  save_to(storage, {{"a", "1"}});
  CHECK(seen == 0600);
}

TEST_CASE("JsonFile: owner and group are kept where that is allowed") {
  if (!support::is_root()) {
    WARN("skipped: only root may give files away");
    return;
  }
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  set_mode(folder / "data.json", 0660);
  REQUIRE(::chown((folder / "data.json").c_str(), 1234, 2345) == 0);
  save_once(folder / "data.json");
  CHECK(status_of(folder / "data.json").st_uid == 1234);
  CHECK(status_of(folder / "data.json").st_gid == 2345);
  CHECK(mode_of(folder / "data.json") == 0660);
}

TEST_CASE("JsonFile: where the group cannot be kept, its rights do not go to another group") {
  if (!support::is_root()) {
    WARN("skipped: only root can make a file of another user");
    return;
  }
  const TempFolder folder;
  set_mode(folder.path(), 0777);
  write_file(folder / "data.json", "{}");
  set_mode(folder / "data.json", 0664);
  const std::string words = in_child([&]() -> std::string {  // its owner, who is not in its group
    if (::chown((folder / "data.json").c_str(), support::kNobody, 0) != 0) return "not given";
    support::become_nobody();
    return save_once(folder / "data.json");
  });
  CHECK(words == "saved");
  CHECK(mode_of(folder / "data.json") == 0644);
  CHECK(status_of(folder / "data.json").st_gid != 0);
}

TEST_CASE("JsonFile: a symbolic link is followed and stays one") {
  const TempFolder folder;
  fs::create_directory(folder / "sub");
  write_file(folder / "sub" / "real.json", R"({"old": 1})");
  fs::create_symlink("sub/real.json", folder / "data.json");
  JsonFile storage{folder / "data.json"};
  CHECK(storage.path() == folder / "sub" / "real.json");
  CHECK(load_from(storage) == TextEntries{{"old", "1"}});
  save_to(storage, {{"new", "2"}});
  CHECK(fs::read_symlink(folder / "data.json") == "sub/real.json");
  CHECK(read_file(folder / "sub" / "real.json") == "{\n\"new\": 2\n}\n");
  CHECK(folder.names() == Names{"data.json", "sub"});
}

TEST_CASE("JsonFile: a file and a link to it are one file to the lock") {
  const TempFolder folder;
  write_file(folder / "real.json", "{}");
  fs::create_symlink("real.json", folder / "data.json");
  const OpenJsonFile storage{folder / "data.json"};
  CHECK_THROWS_AS(OpenJsonFile{folder / "real.json"}, kvstore::LockedError);
}

TEST_CASE("JsonFile: a relative path keeps its meaning when the process changes its folder") {
  const TempFolder folder;
  const std::string words = in_child([&] {
    fs::current_path(folder.path());
    JsonFile storage{"data.json"};
    fs::current_path("/");
    save_to(storage, {{"a", "1"}});
    return storage.path().string();
  });
  CHECK(words == (folder / "data.json").string());
  CHECK(fs::exists(folder / "data.json"));
}

TEST_CASE("JsonFile: a save neither writes through a link in the temporary file's place nor removes it") {
  const TempFolder folder;
  write_file(folder / "victim", "kept");
  OpenJsonFile storage{folder / "data.json"};
  fs::create_symlink("victim", folder / "data.json.tmp");
  CHECK_THROWS_WITH(save_to(storage, {{"a", "1"}}), ContainsSubstring("data.json.tmp"));
  CHECK(read_file(folder / "victim") == "kept");
  CHECK(fs::is_symlink(folder / "data.json.tmp"));
  fs::remove(folder / "data.json.tmp");
  save_to(storage, {{"a", "1"}});
  CHECK(folder.names() == Names{"data.json", "data.json.lock", "victim"});
}

TEST_CASE("JsonFile: a file that another process holds is refused with its id until it dies") {
  const TempFolder folder;
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  ChildProcess holder{[&]() -> std::string {
    const OpenJsonFile storage{folder / "data.json"};
    support::require_success(::write(pipe[1], "r", 1) == 1 ? 0 : -1, "write");
    ::pause();
    return {};
  }};
  char ready = 0;
  REQUIRE(::read(pipe[0], &ready, 1) == 1);
  CHECK_THROWS_WITH(OpenJsonFile{folder / "data.json"},
                    ContainsSubstring("open for writing by process " + std::to_string(holder.id())));
  holder.kill();
  REQUIRE(fs::exists(folder / "data.json.lock"));
  CHECK(save_once(folder / "data.json") == "saved");
  CHECK(folder.names() == Names{"data.json"});
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_CASE("JsonFile: a folder, a pipe, or nothing at all in place of the file is refused") {
  const TempFolder folder;
  CHECK(open_error(folder.path()) == std::errc::is_a_directory);
  CHECK(open_error(folder.path() / "") == std::errc::is_a_directory);
  CHECK_THROWS_WITH(JsonFile{""}, ContainsSubstring("names no file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(JsonFile{folder / "pipe"}, ContainsSubstring("neither a regular file nor missing"));
  CHECK(folder.names() == Names{"pipe"});
}

TEST_CASE("JsonFile: a folder that is missing or is no folder is refused by name") {
  const TempFolder folder;
  write_file(folder / "file", "");
  CHECK(open_error(folder / "no" / "data.json") == std::errc::no_such_file_or_directory);
  CHECK_THROWS_WITH(JsonFile{folder / "no" / "data.json"},
                    ContainsSubstring("make folder " + (folder / "no").string() + " first"));
  CHECK(open_error(folder / "file" / "data.json") == std::errc::not_a_directory);
}

TEST_CASE("JsonFile: a folder in which nothing can be made is refused when the file is opened") {
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  set_mode(folder / "data.json", 0666);
  set_mode(folder.path(), 0555);
  const std::string words = in_child([&]() -> std::string {
    if (support::is_root()) support::become_nobody();
    save_once(folder / "data.json");
    return {};
  });
  set_mode(folder.path(), 0755);
  CHECK_THAT(words, ContainsSubstring("which is not writable") && ContainsSubstring("read_only"));
}

TEST_CASE(
    "A folder that cannot be read, and so not synced, is refused with the remedy, and stays as it was") {
  for (const bool journaled : {false, true}) {
    const TempFolder folder;
    set_mode(folder.path(), 0333);
    const std::string words = in_child([&]() -> std::string {
      if (support::is_root()) support::become_nobody();
      if (!journaled) return save_once(folder / "data.json");
      kvstore::JsonJournal storage{folder / "data.json"};
      load_from(storage);
      return "opened";
    });
    set_mode(folder.path(), 0755);
    CHECK_THAT(words, ContainsSubstring("give this user the permission to read it: Permission denied"));
    CHECK(folder.names().empty());
  }
}

TEST_CASE("JsonFile: a name is long enough if the names of its own side files fit") {
  constexpr std::size_t kMaxName = 255 - std::string_view{".lock"}.size();
  for (const std::size_t length : {kMaxName, kMaxName - 9}) {
    const TempFolder folder;
    const fs::path path = folder / std::string(length, 'n');
    CHECK(save_once(path) == "saved");
    JsonFile storage{path};
    CHECK(load_from(storage) == TextEntries{{"key", "1"}});
    JsonFile followed{path};
    support::CollectingSink sink;
    followed.load({.purpose = kvstore::LoadPurpose::read_only}, sink);
    CHECK(sink.entries == TextEntries{{"key", "1"}});
  }
  const TempFolder folder;
  const fs::path path = folder / std::string(kMaxName + 1, 'n');
  CHECK_THROWS_WITH(save_once(path), ContainsSubstring("lock file") && ContainsSubstring("too long"));
}

TEST_CASE("JsonFile: a file that may not be read is an error when it is loaded, and stays") {
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  set_mode(folder / "data.json", 0222);
  set_mode(folder.path(), 0777);
  const std::string words = in_child([&]() -> std::string {
    if (support::is_root()) support::become_nobody();
    JsonFile storage{folder / "data.json"};
    load_from(storage);
    return "loaded";
  });
  CHECK_THAT(words, ContainsSubstring("cannot open: Permission denied"));
  CHECK(fs::file_size(folder / "data.json") == 2);
}

}  // namespace json_file_posix_test
