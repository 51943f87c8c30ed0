// SPDX-License-Identifier: MIT

// The files of the operating system as storages use them, the helpers that complete interrupted and short
// calls, and the lock.

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>

#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/error.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/open_file.hpp"
#include "support/temp_folder.hpp"

namespace file_system_test {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using kvstore::detail::FileLock;
using kvstore::detail::OpenMode;
using kvstore::detail::system_file_system;
using support::Call;
using support::FaultFileSystem;
using support::opened;
using support::read_file;
using support::TempFolder;
using support::try_lock;
using support::write_file;

namespace {

const std::error_code kInterrupted = std::make_error_code(std::errc::interrupted);

}  // namespace

TEST_CASE("Files: a write that is interrupted and cut short is continued to its end") {
  const TempFolder folder;
  FaultFileSystem files;
  const auto file = opened(files, folder / "a", OpenMode::exclusive);
  files.inject({.nth = 1, .error = kInterrupted, .call = Call::write});
  CHECK_FALSE(kvstore::detail::write_all(*file, 0, "0123456789"));
  files.inject({.nth = 1, .call = Call::write, .effect = support::Effect::partial, .forever = true});
  CHECK_FALSE(kvstore::detail::write_all(*file, 10, "abcdefghij"));
  CHECK(files.failed() == 4);  // 5 + 3 + 1 + 1 bytes
  CHECK(read_file(folder / "a") == "0123456789abcdefghij");
}

TEST_CASE("Files: a read that is interrupted and cut short is continued to the end of the file") {
  const TempFolder folder;
  write_file(folder / "a", "0123456789");
  FaultFileSystem files;
  const auto file = opened(files, folder / "a", OpenMode::read);
  std::array<char, 16> out{};
  files.inject({.nth = 1, .error = kInterrupted, .call = Call::read});
  CHECK(kvstore::detail::read_full(*file, 2, out).value == 8);
  files.inject({.nth = 1, .call = Call::read, .effect = support::Effect::partial, .forever = true});
  const auto got = kvstore::detail::read_full(*file, 0, out);
  CHECK(std::string(out.data(), got.value) == "0123456789");
}

TEST_CASE("Files: allocated space grows the file, and truncating gives it back") {
  const TempFolder folder;
  const auto file = opened(system_file_system(), folder / "a", OpenMode::update);
  REQUIRE_FALSE(file->allocate(0, 8192));
  CHECK(file->status().value.size == 8192);
  REQUIRE_FALSE(file->truncate(3));
  CHECK(fs::file_size(folder / "a") == 3);
}

TEST_CASE("Files: syncing a folder that is missing is an error") {
  const TempFolder folder;
  CHECK_FALSE(system_file_system().sync_folder(folder.path()));
  CHECK(system_file_system().sync_folder(folder / "no") == std::errc::no_such_file_or_directory);
}

TEST_CASE("Lock: a second one in the same process is refused and names this process") {
  const TempFolder folder;
  const FileLock lock{system_file_system(), folder / "a"};
  try {
    try_lock(folder / "a");
    FAIL("taken twice");
  } catch (const kvstore::LockedError& error) {
    const long here = system_file_system().process_id();
    CHECK(error.holder() == here);
    CHECK(error.path() == folder / "a");
    CHECK_THAT(error.what(), ContainsSubstring("process " + std::to_string(here)));
  }
}

TEST_CASE("Lock: giving it up removes the lock file") {
  const TempFolder folder;
  std::optional<FileLock> lock{std::in_place, system_file_system(), folder / "a"};
  CHECK(folder.names() == std::set<std::string>{"a.lock"});
  lock.reset();
  CHECK(folder.names().empty());
  CHECK(try_lock(folder / "a") == "taken");
}

TEST_CASE("Lock: every call that fails is reported, and the file can be locked afterwards") {
  for (const bool forever : {false, true}) {
    for (std::uint64_t nth = 1;; ++nth) {
      const TempFolder folder;
      FaultFileSystem files;
      files.inject({.nth = nth, .error = std::make_error_code(std::errc::io_error), .forever = forever});
      INFO("failed call " << nth);
      try {
        const FileLock lock{files, folder / "a"};
      } catch (const kvstore::StorageError& error) { CHECK(error.code() == std::errc::io_error); }
      if (files.failed() == 0) break;
      CHECK(try_lock(folder / "a") == "taken");
    }
  }
}

}  // namespace file_system_test
