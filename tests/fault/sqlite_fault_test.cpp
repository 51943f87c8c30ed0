// SPDX-License-Identifier: MIT

#if __has_include(<sqlite3.h>)

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "kvstore/error.hpp"
#include "kvstore/kvstore.hpp"
#include "kvstore/storage/sqlite.hpp"
#include "support/catch.hpp"
#include "support/failing_vfs.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace sqlite_fault_test {

using kvstore::SqliteFile;
using support::FailingVfs;
using support::load_from;
using support::save_to;
using support::sorted;
using support::TempFolder;
using support::TextEntries;
using namespace std::chrono_literals;

namespace {

const TextEntries kOld{{"a", "1"}, {"b", "\"old\""}};
const TextEntries kNew{{"a", "2"}, {"c", '"' + std::string(9000, 'n') + '"'}};  // several pages
const TextEntries kNext{{"d", "3"}};

std::unique_ptr<SqliteFile> open(const std::filesystem::path& path) {
  auto storage = std::make_unique<SqliteFile>(path, kvstore::SqliteOptions{.vfs = FailingVfs::kName});
  return storage;
}

TextEntries entries_at(const std::filesystem::path& path) {
  SqliteFile storage{path};
  return sorted(load_from(storage));
}

/// The entries that another program sees.
TextEntries seen_at(const std::filesystem::path& path) {
  support::CollectingSink seen;
  SqliteFile{path}.load({.purpose = kvstore::LoadPurpose::copy}, seen);
  return sorted(seen.entries);
}

std::optional<kvstore::StorageError> save_error(SqliteFile& storage, const TextEntries& entries) {
  try {
    save_to(storage, entries);
    return std::nullopt;
  } catch (const kvstore::StorageError& error) { return error; }
}

/// Makes a save with the nth call failing. @returns false if the save had fewer calls
bool save_with(std::uint64_t nth, int code, bool forever) {
  const TempFolder folder;
  const auto path = folder / "data.db";
  const FailingVfs vfs;
  FailingVfs::heal();
  {
    const auto storage = open(path);
    load_from(*storage);
    save_to(*storage, kOld);
    FailingVfs::fail(nth, code, forever);
    const auto error = save_error(*storage, kNew);
    const bool met = FailingVfs::failed() != 0;
    FailingVfs::heal();
    CHECK_FALSE((error && !met));
    if (error) CHECK(error->path() == path);
    // Another program with a connection of its own must see all of the old entries or all of the new ones.
    CHECK(seen_at(path) == (error ? kOld : kNew));
    if (error && code != SQLITE_FULL) CHECK(storage->scope() == kvstore::SaveScope::everything);
    save_to(*storage, kNext);
    if (!met) return false;
  }
  CHECK(entries_at(path) == kNext);
  return true;
}

}  // namespace

TEST_CASE(
    "SqliteFile under faults: whichever call of a save fails, old or new entries are there, and the error "
    "said "
    "so") {
  for (const int code : {SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC, SQLITE_FULL}) {
    for (const bool forever : {false, true}) {
      std::uint64_t nth = 1;
      for (bool met = true; met; ++nth) {
        INFO("call " << nth << ", code " << code << (forever ? ", and all later ones" : ""));
        met = save_with(nth, code, forever);
      }
      CHECK(nth > 4);
    }
  }
}

TEST_CASE("SqliteFile under faults: whichever call of an opening fails, what is stored stays") {
  for (const int code : {SQLITE_IOERR_WRITE, SQLITE_FULL}) {
    for (const bool exists : {true, false}) {
      for (std::uint64_t nth = 1;; ++nth) {
        INFO("call " << nth << ", code " << code << (exists ? "" : ", making it"));
        const TempFolder folder;
        const auto path = folder / "data.db";
        const FailingVfs vfs;
        if (exists) {
          FailingVfs::heal();
          const auto storage = open(path);
          load_from(*storage);
          save_to(*storage, kOld);
        }
        FailingVfs::fail(nth, code);
        try {
          const auto storage = open(path);
          const TextEntries found = sorted(load_from(*storage));  // may throw, so not in CHECK
          CHECK(found == (exists ? kOld : TextEntries{}));
        } catch (const kvstore::StorageError& error) { CHECK(error.path() == path); }
        const bool met = FailingVfs::failed() != 0;
        FailingVfs::heal();
        CHECK(entries_at(path) == (exists ? kOld : TextEntries{}));
        if (!met) break;
      }
    }
  }
}

TEST_CASE(
    "SqliteFile under faults: a log that has filled the disk is emptied, so that the next save finds room") {
  const TempFolder folder;
  const FailingVfs vfs;
  FailingVfs::heal();
  const auto path = folder / "data.db";
  {
    kvstore::BatchPersistentKeyValueStore<int, std::string> store{
        open(path), {.batch_size = 0, .auto_save_interval = 0s, .complain = false}};
    FailingVfs::leave_room(100'000);  // below the size at which SQLite empties the log by itself
    int failures = 0;
    for (int i = 0; i < 200; ++i) {
      store.upsert(i % 10, std::string(1000, 'v') + std::to_string(i));
      try {
        store.save();
      } catch (const kvstore::StorageError& error) {
        ++failures;
        CHECK(error.code() == std::errc::no_space_on_device);
        CHECK_NOTHROW(store.save());
      }
    }
    CHECK(failures > 0);
  }
  CHECK(entries_at(path).size() == 10);
}

TEST_CASE(
    "SqliteFile under faults: a failed save that the log holds all the same does not stop later saves") {
  for (std::uint64_t nth = 1; nth < 24; ++nth) {
    CAPTURE(nth);
    const TempFolder folder;
    const FailingVfs vfs;
    FailingVfs::heal();
    const auto path = folder / "data.db";
    const auto storage = open(path);
    load_from(*storage);
    save_to(*storage, kOld);
    FailingVfs::fail(nth, SQLITE_IOERR_FSYNC, true);  // for ever, so that closing cannot tidy the log either
    static_cast<void>(save_error(*storage, kNew));
    static_cast<void>(save_error(*storage, kNext));
    FailingVfs::heal();
    save_to(*storage, kNext);
    CHECK(seen_at(path) == kNext);
  }
}

#ifdef __GLIBC__

TEST_CASE("SqliteFile under faults: while it cannot save, a store keeps what changed, and not how often") {
  const TempFolder folder;
  const auto path = folder / "data.db";
  using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;
  const auto open_store = [&path] {
    return std::make_unique<Store>(
        std::make_unique<SqliteFile>(path, kvstore::SqliteOptions{.busy_timeout = 1ms}),
        kvstore::Options{.batch_size = 0, .auto_save_interval = 20ms});
  };
  const auto in_use = [] {
    const auto heap = ::mallinfo2();  // zeros under a sanitizer
    return heap.uordblks + heap.hblkhd;
  };
  constexpr int kUpdates = 1'000'000;
  const auto value = [](int i) { return std::to_string(i) + std::string(100, 'v'); };
  {
    const auto store = open_store();
    store->upsert("counter", value(0));
    store->save();
    kvstore::detail::SqliteDatabase other{path, SQLITE_OPEN_READWRITE, 1s, nullptr};
    other.run("begin immediate", "another program");
    const std::size_t before = in_use();
    std::size_t most = before;
    for (int i = 1; i <= kUpdates; ++i) {
      store->upsert("counter", value(i));
      if (i % 10'000 == 0) most = std::max(most, in_use());
    }
    CHECK((most - before) >> 20 < 8);
    CHECK(store->unsaved() == kUpdates);
    other.run("rollback", "another program");
    store->close();
  }
  CHECK(open_store()->read("counter") == value(kUpdates));
}

#endif

#endif

}  // namespace sqlite_fault_test
