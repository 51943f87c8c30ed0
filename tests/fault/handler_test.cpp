// SPDX-License-Identifier: MIT

// Handlers that use the store whose failure is reported to them.

#include <chrono>
#include <exception>
#include <memory>
#include <system_error>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/temp_folder.hpp"

namespace handler_test {

using namespace std::chrono_literals;
using Store = kvstore::BatchPersistentKeyValueStore<int, int>;

TEST_CASE("Handlers: on_error may write to a store whose journal has just broken") {
  const support::TempFolder folder;
  support::FaultFileSystem files;
  Store* open = nullptr;
  int told = 0;
  const auto write_once = [&](const std::exception&) {
    if (++told == 1) open->upsert(2, 2);
  };
  {
    Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json", files),
                {.batch_size = 0, .auto_save_interval = 0s, .on_error = write_once}};
    open = &store;
    files.inject({.error = std::make_error_code(std::errc::io_error), .call = support::Call::write});
    store.upsert(1, 1);
    CHECK(files.failed() == 1);
    CHECK(told == 1);
  }
  const Store again{std::make_unique<kvstore::JsonJournal>(folder / "data.json")};
  CHECK(again.read(1) == 1);
  CHECK(again.read(2) == 2);
}

}  // namespace handler_test
