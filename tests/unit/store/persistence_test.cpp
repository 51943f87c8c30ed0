// SPDX-License-Identifier: MIT

#include <chrono>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"
#include "support/temp_folder.hpp"

namespace persistence_test {

using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

struct User {
  std::string name;
  int age = 0;
  std::vector<std::string> tags;
  bool operator==(const User&) const = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(User, name, age, tags)

/// Stores `value` under `key`, reopens, and reads it back.
template <class Key, class Value>
Value reopened(const Key& key, const Value& value) {
  const TempFolder folder;
  using TypedStore = kvstore::BatchPersistentKeyValueStore<Key, Value>;
  TypedStore{folder / "data.json"}.create(key, value);
  return TypedStore{folder / "data.json"}.read(key);
}

}  // namespace

TEST_CASE("Restart: what was stored is there again") {
  const TempFolder folder;
  {
    Store store{folder / "data.json"};
    store.create("alice", "30");
    store.create("bob", "40");
    store.update("bob", "41");
    store.create("carol", "50");
    store.remove("carol");
  }
  const Store store{folder / "data.json"};
  REQUIRE(store.size() == 2);
  REQUIRE(store.read("alice") == "30");
  REQUIRE(store.read("bob") == "41");
}

TEST_CASE("Restart: a second run goes on where the first ended") {
  const TempFolder folder;
  for (int run = 0; run < 5; ++run) {
    kvstore::BatchPersistentKeyValueStore<std::string, int> store{folder / "data.json"};
    store.upsert("runs", store.try_read("runs").value_or(0) + 1);
  }
  kvstore::BatchPersistentKeyValueStore<std::string, int> store{folder / "data.json"};
  REQUIRE(store.read("runs") == 5);
}

TEST_CASE("Restart: only the data file is left behind") {
  const TempFolder folder;
  Store{folder / "data.json"}.create("a", "1");
  REQUIRE(folder.names() == std::set<std::string>{"data.json"});
}

TEST_CASE("Restart: every kind of key and value comes back equal") {
  enum class Colour { red = 1, green = 7 };
  REQUIRE(reopened(std::string{"k\"\n\u00e9"}, std::string{"v\\\t\u20ac"}) == "v\\\t\u20ac");
  REQUIRE(reopened(std::int64_t{-9'000'000'000}, 0.1) == 0.1);
  REQUIRE(std::signbit(reopened(1, -0.0)));
  REQUIRE(reopened(std::uint64_t{18446744073709551615U}, true));
  REQUIRE(reopened(Colour::green, Colour::red) == Colour::red);
  REQUIRE(reopened(std::pair{std::string{"a"}, 1}, std::optional<int>{}) == std::nullopt);
  REQUIRE(reopened(true, std::map<int, std::vector<double>>{{1, {1.5, 2}}}).at(1).at(0) == 1.5);
  const User user{"Ann \u00c5", 41, {"admin", ""}};
  REQUIRE(reopened(std::string{"ann"}, user) == user);
  const nlohmann::json document = {{"a", {1, 2.5, nullptr, true, "x"}}, {"b", {{"c", -1}}}};
  REQUIRE(reopened(std::string{"doc"}, document) == document);
}

TEST_CASE("Restart: move-only values come back, and modify works on them") {
  const TempFolder folder;
  using Moving = kvstore::BatchPersistentKeyValueStore<int, std::unique_ptr<int>>;
  {
    Moving store{folder / "data.json"};
    store.create(1, std::make_unique<int>(10));
    store.modify(1, [](std::unique_ptr<int>& value) { *value += 1; });
    REQUIRE_THROWS_AS(store.modify(1,
                                   [](std::unique_ptr<int>& value) {
                                     *value = 99;
                                     throw std::runtime_error{"stop"};
                                   }),
                      std::runtime_error);
  }
  Moving store{folder / "data.json"};
  int seen = 0;
  store.visit(1, [&](const std::unique_ptr<int>& value) { seen = *value; });
  REQUIRE(seen == 11);
}

TEST_CASE("Restart: a reference to the base class keeps every guarantee") {
  const TempFolder folder;
  {
    Store store{folder / "data.json", {.batch_size = 1}};
    kvstore::KeyValueStore<std::string, std::string>& base = store;
    base.create("a", "1");
    REQUIRE(store.unsaved() == 0);
    REQUIRE_THROWS_AS(base.create("a", "2"), kvstore::DuplicateKeyError);
  }
  REQUIRE(Store{folder / "data.json"}.read("a") == "1");
}

TEST_CASE("Values: what could not be read back is refused when written, with key and reason") {
  const TempFolder folder;
  kvstore::BatchPersistentKeyValueStore<std::string, double> numbers{folder / "numbers.json"};
  numbers.create("pi", 3.14);
  REQUIRE_THROWS_AS(numbers.create("nan", std::nan("")), kvstore::ValueError);
  REQUIRE_THROWS_WITH(numbers.update("pi", INFINITY), ContainsSubstring("\"pi\""));
  REQUIRE_THROWS_AS(numbers.modify("pi", [](double& value) { value *= INFINITY; }), kvstore::ValueError);
  REQUIRE(numbers.read("pi") == 3.14);
  Store texts{folder / "texts.json"};
  REQUIRE_THROWS_AS(texts.create("a", "\xff\xfe"), kvstore::ValueError);
  REQUIRE_THROWS_AS(texts.create("\xff", "a"), kvstore::ValueError);
  kvstore::WriteBatch<std::string, std::string> batch;
  batch.create("good", "1").create("bad", "\xff");
  REQUIRE_THROWS_AS(texts.apply(batch), kvstore::ValueError);
  REQUIRE(texts.empty());
}

TEST_CASE("Loading: a value of the wrong type or range is damage with an offset, and the file stays") {
  const TempFolder folder;
  using Small = kvstore::BatchPersistentKeyValueStore<std::string, std::uint8_t>;
  const std::pair<const char*, std::uint64_t> cases[] = {{R"({"a": 300})", 6},
                                                         {R"({"a": 1.5})", 6},
                                                         {R"({"a": "1"})", 6},
                                                         {R"({"a": true})", 6},
                                                         {R"({"a": null})", 6},
                                                         {R"({"a": -1})", 6},
                                                         {R"({"a": 1, "b": 2, "a": 3})", 17}};
  for (const auto& [text, offset] : cases) {
    CAPTURE(text);
    support::write_file(folder / "data.json", text);
    try {
      const Small store{folder / "data.json"};
      FAIL("accepted");
    } catch (const kvstore::CorruptionError& error) {
      CHECK(error.path() == folder / "data.json");
      CHECK(error.offset() >= offset);
      CHECK(error.offset() <= offset + 3);
      CHECK_THAT(error.what(), ContainsSubstring("data.json"));
    }
    REQUIRE(support::read_file(folder / "data.json") == text);
    REQUIRE(folder.names() == std::set<std::string>{"data.json"});
  }
}

TEST_CASE("Loading: a number that does not fit a user type's field is damage, not a wrapped number") {
  const TempFolder folder;
  support::write_file(folder / "data.json", R"({"a": {"name": "x", "age": 4294967297, "tags": []}})");
  using Users = kvstore::BatchPersistentKeyValueStore<std::string, User>;
  REQUIRE_THROWS_AS(Users{folder / "data.json"}, kvstore::CorruptionError);
}

TEST_CASE("Opening: a second open of the file is refused with the holder's pid") {
  const TempFolder folder;
  const Store first{folder / "data.json"};
  try {
    const Store second{folder / "data.json"};
    FAIL("opened twice");
  } catch (const kvstore::LockedError& error) {
    REQUIRE(error.holder() == ::getpid());
    REQUIRE_THAT(error.what(), ContainsSubstring(std::to_string(::getpid())));
  }
}

TEST_CASE("Options: what cannot be meant is refused at construction") {
  const TempFolder folder;
  const auto path = folder / "data.json";
  REQUIRE_THROWS_AS((Store{path, {.auto_save_interval = -1ms}}), kvstore::UsageError);
  REQUIRE_THROWS_AS((Store{path, {.segments = 65537}}), kvstore::UsageError);
  REQUIRE_THROWS_AS((Store{std::unique_ptr<kvstore::Storage>{}}), kvstore::UsageError);
  REQUIRE_THROWS_AS(Store{folder.path()}, kvstore::StorageError);
  REQUIRE_THROWS_AS(Store{folder / "missing" / "data.json"}, kvstore::StorageError);
  REQUIRE(folder.names().empty());
}

TEST_CASE("Options: any number of segments holds the same entries") {
  for (const std::size_t segments : {1U, 3U, 1024U}) {
    const TempFolder folder;
    {
      kvstore::BatchPersistentKeyValueStore<int, int> store{folder / "data.json", {.segments = segments}};
      for (int i = 0; i < 1000; ++i) store.create(i, -i);
    }
    kvstore::BatchPersistentKeyValueStore<int, int> store{folder / "data.json", {.segments = segments}};
    REQUIRE(store.metrics().segments == std::bit_ceil(segments));
    REQUIRE(store.size() == 1000);
    for (int i = 0; i < 1000; ++i) REQUIRE(store.read(i) == -i);
  }
}

TEST_CASE("Checkpoint: it copies the live store elsewhere and leaves its own file alone") {
  const TempFolder folder;
  Store store{folder / "data.json", kManual};
  store.create("a", "1");
  store.checkpoint(folder / "copy.json");
  REQUIRE_FALSE(std::filesystem::exists(folder / "data.json"));
  REQUIRE(store.unsaved() == 1);
  const Store copy{folder / "copy.json"};
  REQUIRE(copy.read("a") == "1");
}

TEST_CASE("Checkpoint: a file that a store has open is refused") {
  const TempFolder folder;
  Store store{folder / "data.json", kManual};
  REQUIRE_THROWS_AS(store.checkpoint(folder / "data.json"), kvstore::LockedError);
}

TEST_CASE("Close: it saves, releases the file, lets reads go on and refuses writes") {
  const TempFolder folder;
  Store store{folder / "data.json", kManual};
  store.create("a", "1");
  store.close();
  store.close();
  REQUIRE(store.read("a") == "1");
  REQUIRE_THROWS_AS(store.create("b", "1"), kvstore::UsageError);
  REQUIRE_THROWS_AS(store.clear(), kvstore::UsageError);
  REQUIRE(Store{folder / "data.json"}.read("a") == "1");
}

TEST_CASE("Close: what needs the storage afterwards says that the store is closed, or has nothing to do") {
  const TempFolder folder;
  Store journaled{std::make_unique<kvstore::JsonJournal>(folder / "journaled.json"), kManual};
  journaled.create("a", "1");
  journaled.close();
  journaled.save();
  REQUIRE_THROWS_WITH(journaled.compact(), ContainsSubstring("the store is closed"));
  REQUIRE(journaled.metrics().journal.failed_compactions == 0);

  Store{folder / "data.json", kManual}.create("a", "1");
  Store reader{folder / "data.json", {.read_only = true}};
  std::ofstream{folder / "data.json"} << "no JSON";
  REQUIRE_THROWS_AS(reader.refresh(), kvstore::CorruptionError);
  reader.close();
  REQUIRE_THROWS_WITH(reader.refresh(), ContainsSubstring("the store is closed"));
  REQUIRE(reader.read("a") == "1");
}

TEST_CASE("Callbacks: saving, closing and checkpoints from a callback throw instead of deadlocking") {
  const TempFolder folder;
  Store store{folder / "data.json", kManual};
  store.create("a", "1");
  store.visit("a", [&](const std::string&) {
    REQUIRE_THROWS_AS(store.save(), kvstore::ReentryError);
    REQUIRE_THROWS_AS(store.close(), kvstore::ReentryError);
    REQUIRE_THROWS_AS(store.compact(), kvstore::ReentryError);
    REQUIRE_THROWS_AS(store.checkpoint(folder / "copy.json"), kvstore::ReentryError);
    REQUIRE_THROWS_AS(store.load_from(folder / "copy.json"), kvstore::ReentryError);
  });
}

TEST_CASE("Model: random verbs with restarts agree with std::map, for both kinds of storage") {
  const auto scope = GENERATE(kvstore::SaveScope::everything, kvstore::SaveScope::changes);
  const auto seed = std::random_device{}();
  CAPTURE(seed, scope == kvstore::SaveScope::changes);
  std::mt19937 random{seed};
  const auto disk = std::make_shared<support::Disk>();
  disk->wanted = scope;
  using Ints = kvstore::BatchPersistentKeyValueStore<int, int>;
  std::map<int, int> model;
  for (int restart = 0; restart < 20; ++restart) {
    Ints store{support::storage_on(disk), {.batch_size = random() % 50, .segments = 4}};
    for (int i = 0; i < 500; ++i) {
      const int key = static_cast<int>(random() % 200);
      switch (random() % 8) {
        case 0:
          REQUIRE(store.try_create(key, i) == model.emplace(key, i).second);
          break;
        case 1:
          REQUIRE(store.upsert(key, i) == model.insert_or_assign(key, i).second);
          break;
        case 2:
          REQUIRE(store.try_remove(key) == (model.erase(key) == 1));
          break;
        case 3:
          REQUIRE(store.modify(key, [](int& value) { ++value; }) == model.contains(key));
          if (model.contains(key)) ++model[key];
          break;
        case 4: {
          kvstore::WriteBatch<int, int> batch;
          for (int k = key; k < key + 5; ++k) {
            batch.upsert(k, i);
            model[k] = i;
          }
          batch.remove(key);
          model.erase(key);
          store.apply(std::move(batch));
          break;
        }
        case 5:
          if (random() % 100 == 0) {
            store.clear();
            model.clear();
          }
          break;
        default:
          REQUIRE(store.try_read(key) == (model.contains(key) ? std::optional{model[key]} : std::nullopt));
      }
    }
    REQUIRE(store.size() == model.size());
    for (const auto& [key, value] : model) REQUIRE(store.read(key) == value);
  }
}

}  // namespace persistence_test
