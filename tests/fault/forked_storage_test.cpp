// SPDX-License-Identifier: MIT

// Storages in a forked child. They belong to the parent, so their end in the child touches no file.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/lifecycle_storage.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace forked_storage_test { namespace {

using kvstore::detail::AtomicFile;
using kvstore::detail::FileLock;
using kvstore::detail::system_file_system;
using support::in_child;
using Files = std::map<std::string, std::string>;

Files contents(const support::TempFolder& folder) {
  Files files;
  for (const std::string& name : folder.names()) files[name] = support::read_file(folder / name);
  return files;
}

/// The differences between two listings of a folder.
std::string changes(const Files& before, const Files& after) {
  std::string names;
  for (const auto& [name, text] : before) {
    const auto found = after.find(name);
    if (found == after.end())
      names += " " + name + " is gone;";
    else if (found->second != text)
      names += " " + name + " has changed;";
  }
  for (const auto& [name, text] : after) names += before.contains(name) ? "" : " " + name + " is new;";
  return names;
}

/// A loaded storage with one saved entry, and, in a journal, one that only the system has.
std::unique_ptr<kvstore::Storage> used_storage(const std::string& name, const support::TempFolder& folder) {
  auto storage = support::open_lifecycle_storage(name, folder.path());
  support::load_from(*storage);
  support::save_to(*storage, {{"saved", "1"}});
  if (auto* const journal = storage->journal()) {
    const std::array change{kvstore::Change{"appended", "2"}};
    REQUIRE(journal->append(change));
    journal->flush();
  }
  return storage;
}

std::string any_storage() { return GENERATE(from_range(support::lifecycle_storages())); }

TEST_CASE("Forked storage: its end in a child changes no file") {
  const support::TempFolder folder;
  const std::string name = any_storage();
  INFO(name);
  auto storage = used_storage(name, folder);
  const Files before = contents(folder);
  in_child([&] {
    storage.reset();
    return std::string{};
  });
  CHECK(changes(before, contents(folder)) == "");
}

TEST_CASE("Forked storage: its end in a child that has outlived the parent changes no file") {
  const support::TempFolder folder;
  const std::string name = any_storage();
  INFO(name);
  const std::string changed = in_child([&] {
    auto storage = used_storage(name, folder);
    const Files before = contents(folder);
    std::array<int, 2> life{};
    support::require_success(::pipe(life.data()), "pipe");
    if (::fork() != 0) ::_exit(0);
    ::close(life[1]);
    char none = 0;
    static_cast<void>(!::read(life[0], &none, 1));  // returns when the parent is gone
    storage.reset();
    return changes(before, contents(folder));
  });
  CHECK(changed == "");
}

TEST_CASE("Forked storage: one that only the child has loaded is the child's, and ends as usual") {
  const support::TempFolder folder;
  kvstore::JsonJournal storage{folder / "data.json"};
  const std::string changed = in_child([&] {
    auto own = std::make_unique<kvstore::JsonJournal>(folder / "other.json");
    support::load_from(*own);
    own.reset();
    support::load_from(storage);
    std::destroy_at(&storage);
    return changes({}, contents(folder));
  });
  CHECK(changed == "");
}

TEST_CASE("Forked storage: the parent goes on after the child's end") {
  const support::TempFolder folder;
  const std::string name = any_storage();
  auto storage = used_storage(name, folder);
  in_child([&] {
    storage.reset();
    return std::string{};
  });
  support::TextEntries expected{{"after", "3"}, {"saved", "1"}};
  if (auto* const journal = storage->journal()) {
    const std::array change{kvstore::Change{"after", "3"}};
    REQUIRE(journal->append(change));
    journal->flush();
    expected.insert(expected.begin() + 1, {"appended", "2"});
  } else {
    support::save_to(*storage, expected);
  }
  storage.reset();
  const auto again = support::open_lifecycle_storage(name, folder.path());
  CHECK(support::sorted(support::load_from(*again)) == expected);
}

TEST_CASE("AtomicFile: a child leaves the file that its parent is writing") {
  const support::TempFolder folder;
  std::optional<AtomicFile> file{std::in_place, system_file_system(), folder / "data.json"};
  file->append("{}");
  in_child([&] {
    file.reset();
    return std::string{};
  });
  CHECK(folder.names() == std::set<std::string>{"data.json.tmp"});
  file->commit();
  CHECK(support::read_file(folder / "data.json") == "{}");
}

TEST_CASE("FileLock: a child that lives on does not keep the lock of a parent that is killed") {
  const support::TempFolder folder;
  std::array<int, 2> life{};
  std::array<int, 2> begun{};
  support::require_success(::pipe(life.data()), "pipe");
  support::require_success(::pipe(begun.data()), "pipe");
  const ::pid_t parent = ::fork();
  if (parent == 0) {
    const FileLock lock{system_file_system(), folder / "data.json"};
    if (::fork() == 0) {
      ::close(life[1]);
      ::close(begun[1]);
      char none = 0;
      static_cast<void>(!::read(life[0], &none, 1));  // lives until the test lets go
      ::_exit(0);
    }
    ::kill(::getpid(), SIGKILL);
  }
  ::close(life[0]);
  ::close(begun[1]);
  ::waitpid(parent, nullptr, 0);
  char none = 0;
  CHECK(::read(begun[0], &none, 1) == 0);  // the child lives, and its handler for forks has run
  CHECK_NOTHROW(FileLock{system_file_system(), folder / "data.json"});
  ::close(life[1]);
  ::close(begun[0]);
}

TEST_CASE("FileLock: its end in a child closes no file that the child has opened since") {
  const support::TempFolder folder;
  std::optional<FileLock> lock{std::in_place, system_file_system(), folder / "data.json"};
  CHECK(in_child([&] {
          const int number = ::open("/dev/null", O_RDONLY);  // the number that the lock file had
          lock.reset();
          return std::string{::fcntl(number, F_GETFD) < 0 ? "closed" : "open"};
        }) == "open");
}

TEST_CASE("FileLock: a child's own lock is its own, and kept from its children") {
  const support::TempFolder folder;
  std::optional<FileLock> lock{std::in_place, system_file_system(), folder / "data.json"};
  CHECK(in_child([&]() -> std::string {
          std::optional<FileLock> own{std::in_place, system_file_system(), folder / "own.json"};
          lock.reset();
          return in_child([&]() -> std::string {
            const FileLock third{system_file_system(), folder / "third.json"};
            own.reset();
            try {
              const FileLock taken{system_file_system(), folder / "own.json"};
            } catch (const kvstore::LockedError&) { return "locked"; }
            return "free";
          });
        }) == "locked");
}

TEST_CASE("FileLock: a child's end does not give its parent's lock up") {
  const support::TempFolder folder;
  std::optional<FileLock> lock{std::in_place, system_file_system(), folder / "data.json"};
  in_child([&] {
    lock.reset();
    return std::string{};
  });
  CHECK_THROWS_AS((FileLock{system_file_system(), folder / "data.json"}), kvstore::LockedError);
}

}  // namespace
}  // namespace forked_storage_test
