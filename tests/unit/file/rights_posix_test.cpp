// SPDX-License-Identifier: MIT

// The files that a store makes have the mode, the owner and the access control list of the file that they
// belong to, from the start and for as long as they exist.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/fault_file_system.hpp"
#include "support/temp_folder.hpp"
#if __has_include(<sqlite3.h>)
#include "kvstore/storage/sqlite.hpp"
#endif

namespace rights_posix_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using kvstore::JsonFile;
using kvstore::JsonJournal;
using support::Call;
using support::FaultFileSystem;
using support::require_success;
using support::TempFolder;
using support::write_file;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

struct Seen {
  unsigned mode;
  ::uid_t owner;
  ::gid_t group;
  bool operator==(const Seen&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Seen& seen) {
  return out << std::oct << seen.mode << std::dec << ' ' << seen.owner << ':' << seen.group;
}

Seen seen(const fs::path& path) {
  struct ::stat status{};
  require_success(::stat(path.c_str(), &status), "stat");
  return {status.st_mode & 07777U, status.st_uid, status.st_gid};
}

void set_mode(const fs::path& path, unsigned mode) { fs::permissions(path, static_cast<fs::perms>(mode)); }

// ---- Access control lists: as text without the library libacl ----------------------------------

constexpr const char* kAccess = "system.posix_acl_access";

struct AclEntry {
  std::uint16_t tag;
  std::uint16_t bits;
  std::uint32_t id = 0xFFFF'FFFF;
};

std::string acl_text(const std::vector<AclEntry>& entries) {
  std::string text{"\2\0\0\0", 4};
  const auto append = [&](std::uint32_t number, int bytes) {
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(number >> (8 * i) & 0xFFU);
  };
  for (const AclEntry& entry : entries) {
    append(entry.tag, 2);
    append(entry.bits, 2);
    append(entry.id, 4);
  }
  return text;
}

/// The owner and user 4321 may read and write; the owning group and all others are shut out.
const std::string kList = acl_text({{0x01, 6}, {0x02, 6, 4321}, {0x04, 0}, {0x10, 6}, {0x20, 0}});

/// False, with a warning, where the file system keeps no lists.
bool set_list(const fs::path& path, const std::string& list, const char* name = kAccess) {
  if (::setxattr(path.c_str(), name, list.data(), list.size(), 0) == 0) return true;
  WARN("skipped: this file system keeps no access control lists");
  return false;
}

std::string list_of(const fs::path& path) {
  std::array<char, 1024> text{};
  const ::ssize_t size = ::getxattr(path.c_str(), kAccess, text.data(), text.size());
  return size < 0 ? "" : std::string{text.data(), static_cast<std::size_t>(size)};
}

/// Opens a store through `files`, writes, saves, compacts and copies it to `copy`.
void use(std::unique_ptr<kvstore::Storage> storage, const fs::path& copy) {
  Store store{std::move(storage), kManual};
  store.upsert("a", "secret");
  store.save();
  store.compact();
  store.upsert("b", "secret");
  store.save();
  store.compact();
  store.upsert("c", "secret");
  store.checkpoint(copy);
  store.close();
}

std::unique_ptr<kvstore::Storage> storage_at(const fs::path& path, bool journaled, FaultFileSystem& files) {
  if (journaled) return std::make_unique<JsonJournal>(path, files);
  return std::make_unique<JsonFile>(path, files);
}

/// Calls `check(name)` for each file in the folder, before each call of the file system.
template <class Check>
void check_always(FaultFileSystem& files, const TempFolder& folder, const Check& check) {
  files.before_each([&folder, check](Call, const fs::path&) {
    for (const std::string& name : folder.names()) check(name);
  });
}

}  // namespace

TEST_CASE("Rights: nobody else may read a file of a private store, at any moment") {
  for (const bool journaled : {false, true}) {
    CAPTURE(journaled);
    const TempFolder folder;
    write_file(folder / "data.json", "{}");
    set_mode(folder / "data.json", 0600);
    FaultFileSystem files;
    std::set<std::string> open;
    check_always(files, folder, [&](const std::string& name) {
      if ((seen(folder / name).mode & 0077U) != 0) open.insert(name);
    });
    use(storage_at(folder / "data.json", journaled, files), folder / "copy.json");
    for (const std::string& name : folder.names()) CHECK(seen(folder / name).mode == 0600U);
    CHECK(open == std::set<std::string>{});
  }
}

TEST_CASE("Rights: a private journal without a JSON file yet makes a private JSON file") {
  const TempFolder folder;
  {
    Store store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
    store.upsert("a", "secret");
  }
  REQUIRE_FALSE(fs::exists(folder / "data.json"));
  set_mode(folder / "data.json.journal", 0600);
  FaultFileSystem files;
  use(storage_at(folder / "data.json", true, files), folder / "copy.json");
  for (const std::string& name : folder.names()) {
    CAPTURE(name);
    CHECK(seen(folder / name).mode == 0600U);
  }
}

TEST_CASE("Rights: a journal from before its JSON file was made private is made private when it is opened") {
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  {
    Store store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
    store.upsert("a", "secret");
  }
  set_mode(folder / "data.json.journal", 0644);
  set_mode(folder / "data.json", 0600);
  Store store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
  CHECK(seen(folder / "data.json.journal").mode == 0600U);
}

TEST_CASE("Rights: a read-only JSON file does not keep root from opening the journal again") {
  if (!support::is_root()) return;  // anybody else is refused: below
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  set_mode(folder / "data.json", 0444);
  for (int opening = 0; opening < 2; ++opening) {
    Store store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
    store.upsert("a", "1");
    CHECK(seen(folder / "data.json.journal").mode == 0644U);
  }
}

TEST_CASE("Rights: root leaves no file that the store's owner cannot open") {
  if (!support::is_root()) {
    WARN("skipped: only root may give files away");
    return;
  }
  for (const bool journaled : {false, true}) {
    CAPTURE(journaled);
    const TempFolder folder;
    require_success(::chown(folder.path().c_str(), 65534, 65534), "chown");
    write_file(folder / "data.json", "{}");
    set_mode(folder / "data.json", 0640);
    require_success(::chown((folder / "data.json").c_str(), 65534, 2345), "chown");
    FaultFileSystem files;
    Store store{storage_at(folder / "data.json", journaled, files), kManual};
    store.upsert("a", "1");
    store.save();
    for (const std::string& name : folder.names()) {
      CAPTURE(name);
      CHECK(seen(folder / name) == Seen{name.ends_with(".lock") ? 0600U : 0640U, 65534, 2345});
    }
    store.close();
    CHECK(support::in_child([&]() -> std::string {
            support::become_nobody();
            FaultFileSystem plain;
            Store again{storage_at(folder / "data.json", journaled, plain), kManual};
            again.upsert("b", "2");
            again.close();
            return again.read("a");
          }) == "1");
  }
}

TEST_CASE(
    "Rights: a lock file is readable by those only who may write it, since a reader could take the lock") {
  for (const auto& [mode, lock] : {std::pair{0644U, 0600U}, {0664U, 0660U}, {0666U, 0666U}, {0640U, 0600U}}) {
    CAPTURE(mode, lock);
    const TempFolder folder;
    write_file(folder / "data.json", "{}");
    set_mode(folder / "data.json", mode);
    const Store store{folder / "data.json", kManual};
    CHECK(seen(folder / "data.json.lock").mode == lock);
  }
  for (const auto& [mask, lock] : {std::pair{022U, 0600U}, {002U, 0660U}, {077U, 0600U}}) {
    CAPTURE(mask, lock);
    const TempFolder folder;
    const ::mode_t before = ::umask(mask);
    const Store store{folder / "new.json", kManual};
    ::umask(before);
    CHECK(seen(folder / "new.json.lock").mode == lock);
  }
}

TEST_CASE("Rights: a list lets only those read the lock file who may write it") {
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  const std::string given =
      acl_text({{0x01, 6}, {0x02, 4, 4321}, {0x02, 6, 4322}, {0x04, 4}, {0x10, 6}, {0x20, 4}});
  if (!set_list(folder / "data.json", given)) return;
  const Store store{folder / "data.json", kManual};
  CHECK(list_of(folder / "data.json.lock") ==
        acl_text({{0x01, 6}, {0x02, 0, 4321}, {0x02, 6, 4322}, {0x04, 0}, {0x10, 6}, {0x20, 0}}));
}

TEST_CASE("Rights: a lock file that others may read is made anew, as one of them may have it open") {
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  write_file(folder / "data.json.lock", "1\n");
  set_mode(folder / "data.json.lock", 0644);
  const int reader = ::open((folder / "data.json.lock").c_str(), O_RDONLY | O_CLOEXEC);
  Store store{folder / "data.json", kManual};
  CHECK(seen(folder / "data.json.lock").mode == 0600U);
  struct ::stat old{};
  require_success(::fstat(reader, &old), "fstat");
  CHECK(old.st_nlink == 0);
  ::close(reader);
  CHECK_THROWS_AS((Store{folder / "data.json", kManual}), kvstore::LockedError);
}

TEST_CASE("Rights: a file that its user may not write is refused at opening, and read only it opens") {
  if (!support::is_root()) return;  // root alone can become another user
  using Catch::Matchers::ContainsSubstring;
  for (const bool journaled : {false, true}) {
    for (const bool own : {false, true}) {
      CAPTURE(journaled, own);
      const TempFolder folder;
      set_mode(folder.path(), 0777);
      write_file(folder / "data.json", "{}");
      set_mode(folder / "data.json", own ? 0444 : 0644);
      if (own) require_success(::chown((folder / "data.json").c_str(), 65534, 65534), "chown");
      const auto open = [&](bool read_only) {
        return support::in_child([&]() -> std::string {
          support::become_nobody();
          FaultFileSystem files;
          try {
            Store store{storage_at(folder / "data.json", journaled, files), {.read_only = read_only}};
            return "opened";
          } catch (const kvstore::StorageError& error) { return error.what(); }
        });
      };
      CHECK_THAT(open(false), ContainsSubstring("data.json: may not be written by this user: ") &&
                                  ContainsSubstring("chmod") && ContainsSubstring("Options::read_only"));
      CHECK(folder.names() == std::set<std::string>{"data.json"});
      CHECK(open(true) == "opened");
    }
  }
}

TEST_CASE("Rights: an access control list is kept, and gives nobody more at any moment") {
  for (const bool journaled : {false, true}) {
    CAPTURE(journaled);
    const TempFolder folder;
    write_file(folder / "data.json", "{}");
    if (!set_list(folder / "data.json", kList)) return;
    FaultFileSystem files;
    std::set<std::string> open;
    check_always(files, folder, [&](const std::string& name) {
      // Without the list, the group's bits are rights of the group, which was shut out.
      if (list_of(folder / name) != kList && (seen(folder / name).mode & 0077U) != 0) open.insert(name);
    });
    use(storage_at(folder / "data.json", journaled, files), folder / "copy.json");
    CHECK(open == std::set<std::string>{});
    for (const std::string& name : folder.names()) {
      CAPTURE(name);
      CHECK(list_of(folder / name) == kList);
      CHECK(seen(folder / name).mode == 0660U);
    }
  }
}

TEST_CASE("Rights: a list that a folder gives new files does not widen a store without one") {
  const TempFolder folder;
  write_file(folder / "data.json", "{}");
  set_mode(folder / "data.json", 0640);
  if (!set_list(folder.path(), kList, "system.posix_acl_default")) return;
  FaultFileSystem files;
  use(storage_at(folder / "data.json", true, files), folder / "copy.json");
  for (const std::string& name : folder.names()) {
    CAPTURE(name);
    CHECK(list_of(folder / name).empty());
    CHECK(seen(folder / name).mode == 0640U);
  }
}

#if __has_include(<sqlite3.h>)

TEST_CASE("Rights: the files that SQLite keeps beside a database have its access control list") {
  const TempFolder folder;
  { const Store made{std::make_unique<kvstore::SqliteFile>(folder / "data.db"), kManual}; }
  if (!set_list(folder / "data.db", kList)) return;
  Store store{std::make_unique<kvstore::SqliteFile>(folder / "data.db"), kManual};
  store.upsert("a", "secret");
  store.save();
  store.checkpoint(folder / "copy.json");
  for (const std::string& name : folder.names()) {
    CAPTURE(name);
    CHECK(list_of(folder / name) == kList);
    CHECK(seen(folder / name).mode == 0660U);
  }
}

#endif

}  // namespace rights_posix_test
