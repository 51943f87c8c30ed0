// SPDX-License-Identifier: MIT

// The behaviour of files and locks on a POSIX system: links, devices, users, and processes that fork or die.

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>

#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/file/posix.hpp"
#include "kvstore/error.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/fault_file_system.hpp"
#include "support/open_file.hpp"
#include "support/temp_folder.hpp"

namespace file_system_posix_test {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using kvstore::detail::FileKind;
using kvstore::detail::FileLock;
using kvstore::detail::OpenMode;
using kvstore::detail::system_file_system;
using support::Call;
using support::FaultFileSystem;
using support::in_child;
using support::opened;
using support::read_file;
using support::TempFolder;
using support::try_lock;
using support::write_file;

TEST_CASE("Files: an exclusive open refuses an existing file, and no mode that writes follows a link") {
  const TempFolder folder;
  auto& files = system_file_system();
  write_file(folder / "a", "kept");
  fs::create_symlink("a", folder / "link");
  CHECK(kvstore::detail::open_file(files, folder / "a", OpenMode::exclusive).error == std::errc::file_exists);
  const auto levels = std::errc::too_many_symbolic_link_levels;
  CHECK(kvstore::detail::open_file(files, folder / "link", OpenMode::update).error == levels);
  CHECK(kvstore::detail::open_file(files, folder / "link", OpenMode::truncate).error == levels);
  CHECK(read_file(folder / "a") == "kept");
  opened(files, folder / "a", OpenMode::truncate);
  CHECK(read_file(folder / "a").empty());
}

TEST_CASE("Files: no open file is inherited by a program that is started") {
  const TempFolder folder;
  auto& files = system_file_system();
  write_file(folder / "read", "");
  const auto read = opened(files, folder / "read", OpenMode::read);
  const auto update = opened(files, folder / "update", OpenMode::update);
  const FileLock lock{files, folder / "locked"};
  int seen = 0;
  for (const auto& entry : fs::directory_iterator{"/proc/self/fd"}) {
    std::error_code gone;
    if (fs::read_symlink(entry.path(), gone).parent_path() != folder.path()) continue;
    ++seen;
    const auto info = read_file("/proc/self/fdinfo" / entry.path().filename());
    const auto flags = std::stoul(info.substr(info.find("flags:") + 6), nullptr, 8);
    CHECK((flags & static_cast<unsigned>(O_CLOEXEC)) != 0);
  }
  CHECK(seen == 3);
}

TEST_CASE("Files: the status tells a file, a folder, a device and nothing apart") {
  const TempFolder folder;
  auto& files = system_file_system();
  write_file(folder / "a", "abc");
  const auto status = files.status(folder / "a");
  CHECK(status.value.kind == FileKind::regular);
  CHECK(status.value.size == 3);
  CHECK(files.status(folder.path()).value.kind == FileKind::folder);
  CHECK(files.status("/dev/null").value.kind == FileKind::other);
  CHECK(files.status(folder / "b").value.kind == FileKind::missing);
  CHECK(files.status(folder / "a" / "b").error == std::errc::not_a_directory);
}

TEST_CASE("Files: the identity is that of the status, without times") {
  const TempFolder folder;
  auto& files = system_file_system();
  write_file(folder / "file", "text");
  fs::create_symlink(folder / "file", folder / "link");
  const auto known = files.status(folder / "file").value;
  const auto open = files.open(folder / "file", OpenMode::read, 0);
  REQUIRE_FALSE(open.error);
  for (const auto& found :
       {files.identity(folder / "file"), files.identity(folder / "link"), open.value->identity()}) {
    CHECK_FALSE(found.error);
    CHECK(found.value.kind == FileKind::regular);
    CHECK(found.value.size == 4);
    CHECK(found.value.device == known.device);
    CHECK(found.value.inode == known.inode);
    CHECK(found.value.modified == 0);
  }
  CHECK(files.identity(folder / "none").value.kind == FileKind::missing);
  CHECK_FALSE(files.identity(folder / "none").error);
  CHECK(files.identity(folder / "file" / "below").error == std::errc::not_a_directory);
}

TEST_CASE("Files: a path is followed through links to where a file would be made") {
  const TempFolder folder;
  auto& files = system_file_system();
  fs::create_directory(folder / "sub");
  fs::create_symlink("sub/second", folder / "first");
  fs::create_symlink(folder / "target", folder / "sub" / "second");
  CHECK(kvstore::detail::resolve(files, folder / "first").value == folder / "target");
  CHECK(kvstore::detail::resolve(files, folder / "plain").value == folder / "plain");
  CHECK(kvstore::detail::resolve(files, "plain").value == fs::current_path() / "plain");
}

TEST_CASE("Files: links in a circle are an error") {
  const TempFolder folder;
  fs::create_symlink("b", folder / "a");
  fs::create_symlink("a", folder / "b");
  const auto resolved = kvstore::detail::resolve(system_file_system(), folder / "a");
  CHECK(resolved.error == std::errc::too_many_symbolic_link_levels);
}

TEST_CASE("Files: nothing is allocated beyond the limit on the sizes of files, which would end the program") {
  static volatile std::sig_atomic_t signals = 0;
  const support::TempFolder folder;
  auto opened = kvstore::detail::open_file(kvstore::detail::system_file_system(), folder / "file",
                                           kvstore::detail::OpenMode::update);
  REQUIRE_FALSE(opened.error);
  signals = 0;
  const auto handler = std::signal(SIGXFSZ, [](int) { signals = 1; });
  ::rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const ::rlimit low{8192, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &low);
  const auto within = opened.value->allocate(4096, 4096);
  const auto beyond = opened.value->allocate(4096, 4097);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK_FALSE(within);
  CHECK(beyond == std::errc::file_too_large);
  CHECK(signals == 0);
}

TEST_CASE("Files: a mapping is only for file systems that overwrite allocated blocks in place") {
  using kvstore::detail::overwrites_in_place;
  CHECK(overwrites_in_place(EXT4_SUPER_MAGIC));
  CHECK(overwrites_in_place(TMPFS_MAGIC));
  constexpr std::uint64_t kBcachefs = 0xCA45'1A4E;
  constexpr std::uint64_t kZfs = 0x2FC1'2FC1;
  for (const std::uint64_t type :
       {std::uint64_t{BTRFS_SUPER_MAGIC}, std::uint64_t{XFS_SUPER_MAGIC}, std::uint64_t{F2FS_SUPER_MAGIC},
        std::uint64_t{OVERLAYFS_SUPER_MAGIC}, std::uint64_t{NFS_SUPER_MAGIC}, std::uint64_t{FUSE_SUPER_MAGIC},
        kBcachefs, kZfs, std::uint64_t{0}}) {
    INFO(type);
    CHECK_FALSE(overwrites_in_place(type));
  }
}

TEST_CASE(
    "Files: a file system that has no way to sync a folder is no failure, and any other reason is one") {
  using kvstore::detail::cannot_sync_folders;
  for (const int code : {EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP, EBADF})
    CHECK(cannot_sync_folders({code, std::generic_category()}));
  for (const int code : {0, EIO, ENOSPC, EDQUOT, EROFS, EPERM, EACCES, EINTR})
    CHECK_FALSE(cannot_sync_folders({code, std::generic_category()}));
}

TEST_CASE("Lock: another process is refused and told the holder") {
  const TempFolder folder;
  const FileLock lock{system_file_system(), folder / "a"};
  const std::string words = in_child([&] { return try_lock(folder / "a"); });
  CHECK_THAT(words, ContainsSubstring("already open for writing by process " + std::to_string(::getpid())));
}

TEST_CASE("Lock: what a killed process left behind is taken over") {
  const TempFolder folder;
  CHECK(in_child([&]() -> std::string {
          static std::optional<FileLock> lock;
          lock.emplace(system_file_system(), folder / "a");
          return "held";  // ends without destructors
        }) == "held");
  REQUIRE(fs::exists(folder / "a.lock"));
  CHECK(try_lock(folder / "a") == "taken");
  CHECK(folder.names().empty());
}

TEST_CASE("Lock: a forked child that destroys its copy does not give up its parent's") {
  const TempFolder folder;
  std::optional<FileLock> lock{std::in_place, system_file_system(), folder / "a"};
  in_child([&]() -> std::string {
    lock.reset();
    return {};
  });
  CHECK_THROWS_AS(try_lock(folder / "a"), kvstore::LockedError);
}

TEST_CASE("Lock: a lock file that is removed before it is locked does not count") {
  const TempFolder folder;
  FaultFileSystem files;
  int tries = 0;
  files.before_each([&](Call call, const fs::path& path) {
    if (call == Call::try_lock && ++tries == 1) fs::remove(path);
  });
  const FileLock lock{files, folder / "a"};
  CHECK(tries == 2);
  CHECK_THROWS_AS(try_lock(folder / "a"), kvstore::LockedError);
}

TEST_CASE("Lock: another user's stale lock file is replaced") {
  if (!support::is_root()) {
    WARN("skipped: only root can act as two users");
    return;
  }
  const TempFolder folder;
  fs::permissions(folder.path(), fs::perms::all);
  write_file(folder / "a.lock", "1\n");
  CHECK(in_child([&] {
          support::become_nobody();
          return try_lock(folder / "a");
        }) == "taken");
  CHECK(folder.names().empty());
}

TEST_CASE("Lock: it never writes through a link that lies in its place") {
  const TempFolder folder;
  write_file(folder / "victim", "kept");
  fs::create_symlink("victim", folder / "a.lock");
  CHECK_THROWS_AS(try_lock(folder / "a"), kvstore::StorageError);
  CHECK(read_file(folder / "victim") == "kept");
}

namespace {

/// The result of a check of a held lock after `change`; before `change` the check must pass.
std::string said_after(const fs::path& file, const std::function<void()>& change) {
  FileLock lock{system_file_system(), file};
  lock.check_still_held();
  change();
  try {
    lock.check_still_held();
    return "held";
  } catch (const kvstore::StorageError& error) {
    CHECK(error.path() == file);
    return error.what();
  }
}

}  // namespace

TEST_CASE("Lock: it notices that its file was removed") {
  const TempFolder folder;
  const std::string words = said_after(folder / "a", [&] { fs::remove(folder / "a.lock"); });
  CHECK_THAT(words, ContainsSubstring("lock file " + (folder / "a.lock").string() + " was removed"));
  CHECK_THAT(words, ContainsSubstring("checkpoint()"));
  CHECK(folder.names().empty());
}

TEST_CASE("Lock: it notices that another store has the name, and leaves that one's lock file alone") {
  const TempFolder folder;
  std::optional<FileLock> other;
  const std::string words = said_after(folder / "a", [&] {
    fs::remove(folder / "a.lock");
    other.emplace(system_file_system(), folder / "a");
  });
  CHECK_THAT(words, ContainsSubstring("was removed"));
  CHECK(folder.names() == std::set<std::string>{"a.lock"});
  CHECK_THROWS_AS(try_lock(folder / "a"), kvstore::LockedError);
  CHECK_NOTHROW(other->check_still_held());
}

TEST_CASE("Lock: it notices that the link to its folder leads elsewhere") {
  const TempFolder folder;
  fs::create_directory(folder / "r1");
  fs::create_directory(folder / "r2");
  fs::create_symlink("r1", folder / "current");
  std::optional<FileLock> other;
  const std::string words = said_after(folder / "current" / "a", [&] {
    fs::create_symlink("r2", folder / "next");
    fs::rename(folder / "next", folder / "current");
    other.emplace(system_file_system(), folder / "current" / "a");
  });
  CHECK_THAT(words, ContainsSubstring("its folder exchanged"));
  CHECK(fs::exists(folder / "r2" / "a.lock"));
}

TEST_CASE("Lock: it notices that its folder was moved away and made anew") {
  const TempFolder folder;
  fs::create_directory(folder / "data");
  const std::string words = said_after(folder / "data" / "a", [&] {
    fs::rename(folder / "data", folder / "old");
    fs::create_directory(folder / "data");
  });
  CHECK_THAT(words, ContainsSubstring("its folder exchanged"));
  CHECK(fs::is_empty(folder / "data"));
}

TEST_CASE("Lock: where it cannot be locked or written, no lock file is left, and one that was there stays") {
  for (const Call call : {Call::try_lock, Call::truncate}) {
    const TempFolder folder;
    FaultFileSystem files;
    files.inject({.error = std::make_error_code(std::errc::no_lock_available), .call = call});
    CHECK_THROWS_AS((FileLock{files, folder / "a"}), kvstore::StorageError);
    CHECK(folder.names().empty());
  }
  const TempFolder folder;
  write_file(folder / "a.lock", "1\n");
  FaultFileSystem files;
  files.inject({.error = std::make_error_code(std::errc::no_lock_available), .call = Call::try_lock});
  CHECK_THROWS_AS((FileLock{files, folder / "a"}), kvstore::StorageError);
  CHECK(read_file(folder / "a.lock").starts_with("1\n"));
}

}  // namespace file_system_posix_test
