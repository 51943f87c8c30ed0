// SPDX-License-Identifier: MIT

// Requirements on every storage: saves, failed saves, and closing.

#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/hooked_storage.hpp"
#include "support/storages.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"
#include "unit/storages/storage_conformance.hpp"

namespace storage_conformance_saving_test {

using Catch::Matchers::ContainsSubstring;
using kvstore::LoadPurpose;
using support::StorageCase;
using support::TempFolder;
using support::TextEntries;
using namespace std::chrono_literals;
using storage_conformance::contents_of;
using storage_conformance::for_each_storage;
using storage_conformance::kManual;
using storage_conformance::Store;

TEST_CASE("Storage: nothing is there at first") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    Store<std::string, int> store{storage.open(folder.path()), kManual};
    REQUIRE(store.empty());
    store.close();
    REQUIRE(Store<std::string, int>{storage.open(folder.path()), kManual}.empty());
  });
}

TEST_CASE("Storage: after any mixture of operations, what is saved is what was in memory") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    std::map<int, int> model;
    std::mt19937 random{11};
    for (int run = 0; run < 6; ++run) {
      Store<int, int> store{storage.open(folder.path()), {.batch_size = run % 2 == 0 ? 1U : 7U}};
      REQUIRE(contents_of(store) == model);
      for (int step = 0; step < 60; ++step) {
        const int key = static_cast<int>(random() % 20);
        switch (random() % 8) {
          case 0:
            store.try_remove(key);
            model.erase(key);
            break;
          case 1: {
            kvstore::WriteBatch<int, int> batch;
            for (int i = 0; i < 5; ++i) batch.upsert(key + i, model[key + i] = step);
            store.apply(batch);
            break;
          }
          case 2:
            if (step % 10 != 0) break;
            store.clear();
            model.clear();
            break;
          case 3:
            store.compact();
            break;
          default:
            store.upsert(key, model[key] = step);
        }
      }
    }
    REQUIRE(contents_of(Store<int, int>{storage.open(folder.path())}) == model);
  });
}

TEST_CASE("Storage: a save that fails on the way leaves what was there") {
  class Broken final : public kvstore::ChangeSource {
   public:
    bool next(kvstore::Change& change) override {
      if (left_-- == 0) throw std::runtime_error{"no more"};
      change = {"a", "9"};
      return true;
    }

   private:
    int left_ = 1;
  };
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    const auto one = storage.open(folder.path());
    support::load_from(*one);
    support::save_to(*one, {{"a", "1"}, {"b", "2"}});
    Broken broken;
    REQUIRE_THROWS_WITH(one->save(broken), "no more");
    support::CollectingSink sink;
    one->load({.purpose = LoadPurpose::copy}, sink);
    REQUIRE(support::sorted(sink.entries) == TextEntries{{"a", "1"}, {"b", "2"}});
  });
}

TEST_CASE("Storage: a save that failed once works when it is tried again") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    bool fails = false;
    const auto open = [&] {
      return std::make_unique<support::HookedStorage>(storage.open(folder.path()), [&fails] {
        if (std::exchange(fails, false)) throw kvstore::StorageError{"here", {}, "cannot save"};
      });
    };
    std::map<int, int> model;
    {
      Store<int, int> store{open(), kManual};
      for (int i = 0; i < 10; ++i) {
        fails = i % 2 == 0;
        store.upsert(i, model[i] = i);
        store.upsert(0, model[0] = -i);
        if (fails) REQUIRE_THROWS_WITH(store.save(), ContainsSubstring("cannot save"));
        if (i % 3 == 2) store.remove(i);
        if (i % 3 == 2) model.erase(i);
        if (i % 4 != 0) store.save();
      }
      store.close();
    }
    REQUIRE(contents_of(Store<int, int>{open(), kManual}) == model);
  });
}

TEST_CASE("Storage: a load may come twice, and again after a save") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    const auto one = storage.open(folder.path());
    REQUIRE(support::load_from(*one).empty());
    support::save_to(*one, {{"a", "1"}, {"b", "2"}});
    const TextEntries saved{{"a", "1"}, {"b", "2"}};
    REQUIRE(support::sorted(support::load_from(*one)) == saved);
    REQUIRE(support::sorted(support::load_from(*one)) == saved);
    support::save_to(*one, {{"c", "3"}});
    REQUIRE(support::load_from(*one) == TextEntries{{"c", "3"}});
  });
}

TEST_CASE("Storage: closing twice is closing once") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    Store<int, int> store{storage.open(folder.path()), kManual};
    store.upsert(1, 1);
    store.close();
    store.close();
    REQUIRE(Store<int, int>{storage.open(folder.path()), kManual}.size() == 1);
  });
}

TEST_CASE("Storage: after a close that failed, closing again works, or the next store opens what was saved") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    bool fails = false;
    const auto open = [&] {
      return std::make_unique<support::HookedStorage>(storage.open(folder.path()), [&fails] {
        if (fails) throw kvstore::StorageError{"here", {}, "cannot save"};
      });
    };
    {
      Store<int, int> store{open(), kManual};
      store.upsert(1, 1);
      fails = true;
      REQUIRE_THROWS_WITH(store.close(), ContainsSubstring("cannot save"));
      store.upsert(2, 2);  // the store is still open
      fails = false;
      store.close();
    }
    {
      Store<int, int> store{open(), kManual};
      REQUIRE(store.size() == 2);
      store.upsert(3, 3);
      fails = true;
      REQUIRE_THROWS_WITH(store.close(), ContainsSubstring("cannot save"));
    }
    fails = false;
    const Store<int, int> store{open(), kManual};
    REQUIRE((store.size() == 2 || store.size() == 3));  // a journal may hold the third entry
  });
}

TEST_CASE("Storage: a write beside a save does not wait for it, and is in the next one") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    Store<int, int>* writes_to = nullptr;
    int written = 0;
    const auto write = [&] {
      auto* const store = std::exchange(writes_to, nullptr);
      if (store == nullptr) return;
      ++written;
      std::jthread{[&] { store->upsert(written, written); }}.join();
    };
    Store<int, int> store{std::make_unique<support::HookedStorage>(storage.open(folder.path()), write),
                          kManual};
    store.upsert(0, 0);
    store.save();
    for (int i = 0; i < 3; ++i) {
      store.upsert(0, i);
      writes_to = &store;
      store.save();
    }
    REQUIRE(written == 3);
    store.close();
    REQUIRE(contents_of(Store<int, int>{storage.open(folder.path()), kManual}) ==
            std::map<int, int>{{0, 2}, {1, 1}, {2, 2}, {3, 3}});
  });
}

TEST_CASE("Storage: every durable operation is there again, whatever its saves want to be handed") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    std::map<int, int> model;
    for (int run = 0; run < 3; ++run) {
      Store<int, int> store{storage.open(folder.path()), {.batch_size = 1, .auto_save_interval = 0s}};
      REQUIRE(contents_of(store) == model);
      for (int i = 0; i < 10; ++i) store.upsert(run * 7 + i, model[run * 7 + i] = run);
      store.remove(run * 7);
      model.erase(run * 7);
      REQUIRE(store.unsaved() == 0);
      support::CollectingSink sink;
      storage.open(folder.path())->load({.purpose = LoadPurpose::copy}, sink);
      REQUIRE(sink.entries.size() == model.size());  // visible now, not only after closing
    }
    REQUIRE(contents_of(Store<int, int>{storage.open(folder.path()), kManual}) == model);
  });
}

TEST_CASE("Storage: everything replaces what was there, also where changes were wanted") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    {
      const auto one = storage.open(folder.path());
      support::load_from(*one);
      support::save_to(*one, {{"a", "1"}, {"b", "2"}});
      support::save_to(*one, {{"b", "3"}, {"c", "4"}});
    }
    const auto one = storage.open(folder.path());
    REQUIRE(support::sorted(support::load_from(*one)) == TextEntries{{"b", "3"}, {"c", "4"}});
  });
}

}  // namespace storage_conformance_saving_test
