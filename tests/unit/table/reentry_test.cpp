// SPDX-License-Identifier: MIT

// Every public member of a store is called from every kind of callback of the same store. It is refused by
// name, unless it is one of the few members that need no lock of the data. No call hangs.

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "kvstore/spin_shared_mutex.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"
#include "support/temp_folder.hpp"

namespace reentry_test {

using namespace std::chrono_literals;
using kvstore::ReentryError;
using support::TempFolder;

namespace {

using Base = kvstore::KeyValueStore<std::string, int>;

template <class Mutex>
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int, kvstore::Hash<std::string>,
                                                    std::equal_to<>, Mutex>;

kvstore::Options quiet(bool read_only = false) {
  return {.batch_size = 0, .auto_save_interval = 0s, .segments = 4, .read_only = read_only};
}

template <class S>
using Calls = std::vector<std::pair<const char*, std::function<void(S&)>>>;

/// The members of a store in memory. A persistent store has them as well.
template <class S>
Calls<S> verbs() {
  const auto ignore = [](auto&&...) {};
  return {
      {"create", [](S& store) { store.create("new", 1); }},
      {"try_create", [](S& store) { store.try_create("new", 1); }},
      {"read", [](S& store) { (void)store.read("key"); }},
      {"try_read", [](S& store) { (void)store.try_read("key"); }},
      {"read_many", [](S& store) { (void)store.read_many({"key", "other"}); }},
      {"update", [](S& store) { store.update("key", 2); }},
      {"try_update", [](S& store) { store.try_update("key", 2); }},
      {"remove", [](S& store) { store.remove("key"); }},
      {"try_remove", [](S& store) { store.try_remove("key"); }},
      {"upsert", [](S& store) { store.upsert("key", 2); }},
      {"visit", [=](S& store) { store.visit("key", ignore); }},
      {"visit_many", [=](S& store) { store.visit_many({"key", "other"}, ignore); }},
      {"modify", [=](S& store) { store.modify("key", [](int&) {}); }},
      {"compare_exchange", [](S& store) { store.compare_exchange("key", 1, 2); }},
      {"contains", [](S& store) { (void)store.contains("key"); }},
      {"size", [](S& store) { (void)store.size(); }},
      {"empty", [](S& store) { (void)store.empty(); }},
      {"for_each", [=](S& store) { store.for_each(ignore); }},
      {"clear", [](S& store) { store.clear(); }},
      {"apply",
       [](S& store) {
         kvstore::WriteBatch<std::string, int> batch;
         store.apply(std::move(batch.upsert("key", 2)));
       }},
      {"apply of nothing", [](S& store) { store.apply({}); }},
  };
}

/// The members that only a persistent store has.
template <class S>
Calls<S> persistent_members(const std::filesystem::path& path) {
  return {
      {"save", [](S& store) { store.save(); }},
      {"compact", [](S& store) { store.compact(); }},
      {"close", [](S& store) { store.close(); }},
      {"checkpoint", [=](S& store) { store.checkpoint(path); }},
      {"load_from a file", [=](S& store) { store.load_from(path); }},
      {"load_from a storage",
       [](S& store) {
         kvstore::MemoryStorage storage;
         store.load_from(storage);
       }},
      {"refresh", [](S& store) { store.refresh(); }},
      {"metrics", [](S& store) { (void)store.metrics(); }},
  };
}

/// Runs `act` from within each kind of callback.
template <class S>
Calls<S> callbacks(const std::function<void(S&)>& act) {
  return {
      {"visit", [=](S& store) { store.visit("key", [&](int) { act(store); }); }},
      {"visit_many", [=](S& store) { store.visit_many({"key"}, [&](std::size_t, int) { act(store); }); }},
      {"for_each", [=](S& store) { store.for_each([&](const std::string&, int) { act(store); }); }},
      {"visit within another store's visit",
       [=](S& store) {
         Base other;
         other.create("key", 1);
         store.visit("key", [&](int) { other.visit("key", [&](int) { act(store); }); });
       }},
      {"modify", [=](S& store) { store.modify("key", [&](int&) { act(store); }); }},
  };
}

template <class S>
void check_each_refused(S& store, const Calls<S>& members) {
  for (const auto& [member, call] : members) {
    int calls = 0;
    const auto& call_member = call;
    const auto act = [&](S& from) {
      ++calls;
      CHECK_THROWS_AS(call_member(from), ReentryError);
    };
    for (const auto& [callback, run] : callbacks<S>(act)) {
      calls = 0;
      INFO(member << " from " << callback);
      try {
        run(store);
      } catch (const kvstore::UsageError&) {  // thrown by modify, if the store is read-only
        CHECK(calls == 0);
        continue;
      }
      CHECK(calls == 1);
    }
  }
  CHECK(store.read("key") == 1);
  CHECK(store.size() == 1);
}

template <class S>
void check_answers(S& store) {
  const auto act = [&](S& from) {
    CHECK(from.unsaved() < 1000);
    CHECK_FALSE(from.last_error().has_value());
  };
  for (const auto& [callback, run] : callbacks<S>(act)) {
    if (std::string{callback} != "modify") run(store);
  }
}

}  // namespace

TEST_CASE("Reentry: a store in memory refuses every member from every callback") {
  Base store;
  store.create("key", 1);
  check_each_refused(store, verbs<Base>());
}

TEMPLATE_TEST_CASE("Reentry: a persistent store refuses every member from every callback", "",
                   std::shared_mutex, kvstore::SpinSharedMutex) {
  using S = Store<TestType>;
  const TempFolder folder;
  { S{folder / "data.json", quiet()}.create("key", 1); }
  for (const bool read_only : {false, true}) {
    for (const bool is_open : {false, true}) {  // whether readers enter without the lock
      CAPTURE(read_only, is_open);
      S store{folder / "data.json", quiet(read_only)};
      for (int i = 0; is_open && i < 100; ++i) (void)store.read("key");
      check_each_refused(store, verbs<S>());
      check_each_refused(store, persistent_members<S>(folder / "other.json"));
      CHECK_FALSE(std::filesystem::exists(folder / "other.json"));
      check_answers(store);
    }
  }
}

TEST_CASE("Reentry: a refresh or close from a handler that a refresh calls is refused") {
  using S = Store<std::shared_mutex>;
  const auto disk = std::make_shared<support::Disk>();
  disk->entries["key"] = "1";
  S* store = nullptr;
  int calls = 0;
  kvstore::Options options = quiet(true);
  options.on_progress = [&](const kvstore::Progress&) {
    if (store == nullptr) return;
    ++calls;
    CHECK(store->read("key") == 1);
    CHECK_THROWS_AS(store->refresh(), ReentryError);
    CHECK_THROWS_AS(store->close(), ReentryError);
  };
  S follower{support::storage_on(disk), options};
  store = &follower;
  CHECK(follower.refresh());
  CHECK(calls > 0);
  store = nullptr;
  follower.close();
}

}  // namespace reentry_test
