// SPDX-License-Identifier: MIT

// A store in a forked child. At the fork, another thread of the parent may have held any lock.

#include <chrono>
#include <functional>
#include <string>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

namespace forked_store_test {
namespace {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

/// The outcome of a call in a child.
std::string in_child(const std::function<void()>& call) {
  return support::in_child([&]() -> std::string {
    try {
      call();
    } catch (const kvstore::UsageError& error) {
      const std::string words = error.what();
      return words.find("after the fork") == std::string::npos ? words : "refused";
    }
    return "done";
  });
}

}  // namespace

TEST_CASE("Forked store: calls that read all of it are refused in a child, as writes are") {
  const support::TempFolder folder;
  Store store{folder / "data.json", {.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}}};
  store.upsert("a", 1);
  CHECK(in_child([&] { store.upsert("a", 2); }) == "refused");
  CHECK(in_child([&] { static_cast<void>(store.size()); }) == "refused");
  CHECK(in_child([&] { static_cast<void>(store.empty()); }) == "refused");
  CHECK(in_child([&] { store.for_each([](const std::string&, int) {}); }) == "refused");
  CHECK(in_child([&] { static_cast<void>(store.metrics()); }) == "refused");
  CHECK(in_child([&] { static_cast<void>(store.last_error()); }) == "refused");
  CHECK(in_child([&] { store.checkpoint(folder / "copy.json"); }) == "refused");
  CHECK(store.size() == 1);
}

TEST_CASE("Forked store: one that was opened read-only is refused to a child in the same way") {
  const support::TempFolder folder;
  support::write_file(folder / "data.json", "{\"a\": 1}\n");
  Store store{folder / "data.json", {.read_only = true}};
  CHECK(in_child([&] { static_cast<void>(store.size()); }) == "refused");
  CHECK(in_child([&] { static_cast<void>(store.refresh()); }) == "refused");
}

}  // namespace forked_store_test
