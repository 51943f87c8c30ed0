// SPDX-License-Identifier: MIT

// Opening under faults: a failed opening leaves nothing behind that was not there before.

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <system_error>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/temp_folder.hpp"

namespace failed_opening_test {

using support::Call;
using support::FaultFileSystem;
using support::TempFolder;
using Names = std::set<std::string>;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}};

/// Opens a store in a folder that holds `text` (if that is empty: nothing), while the nth call fails once.
/// @returns false if there was no nth call
template <class Storage>
bool open_with_failure(std::uint64_t nth, const std::string& text) {
  const TempFolder folder;
  if (!text.empty()) support::write_file(folder / "data.json", text);
  const Names before = folder.names();
  FaultFileSystem files;
  files.inject({.nth = nth, .error = std::error_code{EIO, std::generic_category()}});
  INFO("call " << nth);
  try {
    const Store store{std::make_unique<Storage>(folder / "data.json", files), kManual};
  } catch (const kvstore::StorageError&) { CHECK(folder.names() == before); }
  return files.failed() != 0;
}

template <class Storage>
void fail_each_call() {
  for (const std::string text : {"", "{\"a\": 1}"}) {
    std::uint64_t nth = 1;
    while (open_with_failure<Storage>(nth, text)) ++nth;
    CHECK(nth > 12);
  }
}

}  // namespace

TEST_CASE("Failed opening: whichever call fails, a JSON file is left alone in its folder") {
  fail_each_call<kvstore::JsonFile>();
}

TEST_CASE("Failed opening: whichever call fails, no empty journal and no lock file is left") {
  fail_each_call<kvstore::JsonJournal>();
}

TEST_CASE("Journal: what keeps space from being reserved does not keep a line from being written") {
  for (const int code : {EDQUOT, EFBIG, ENOSYS, ENOTSUP, EOPNOTSUPP, EINVAL, ENOSPC}) {
    const TempFolder folder;
    FaultFileSystem files;
    files.inject({.error = {code, std::generic_category()}, .call = Call::allocate, .forever = true});
    INFO(std::error_code(code, std::generic_category()).message());
    {
      Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json", files), {.batch_size = 1}};
      store.upsert("a", 1);
      CHECK(files.failed() > 1);
    }
    const Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json")};
    CHECK(store.read("a") == 1);
  }
}

}  // namespace failed_opening_test
