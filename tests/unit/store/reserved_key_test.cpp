// SPDX-License-Identifier: MIT

// The one name that JSON files keep for themselves: no entry can get it, by any way.

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "kvstore/migrate.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"
#include "support/temp_folder.hpp"

#if __has_include(<sqlite3.h>)
#include "kvstore/storage/sqlite.hpp"
#endif

namespace reserved_key_test {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using support::TempFolder;

enum class Named { plain, reserved };
NLOHMANN_JSON_SERIALIZE_ENUM(Named, {{Named::plain, "plain"}, {Named::reserved, "$schema_version"}})

struct Own {
  std::string text;
  bool operator==(const Own&) const = default;
};

struct OwnHash {
  std::size_t operator()(const Own& own) const { return std::hash<std::string>{}(own.text); }
};

struct JsonHash {
  std::size_t operator()(const nlohmann::json& json) const { return std::hash<nlohmann::json>{}(json); }
};

struct NamedHash {
  std::size_t operator()(Named named) const { return static_cast<std::size_t>(named); }
};

}  // namespace reserved_key_test

template <>
struct kvstore::Codec<reserved_key_test::Own> {
  static void encode(const reserved_key_test::Own& own, JsonWriter& out) { out.string(own.text); }
  static reserved_key_test::Own decode(JsonReader& in) { return {std::string{in.string()}}; }
};

namespace reserved_key_test {

namespace {

const kvstore::Options kQuiet{.batch_size = 0, .auto_save_interval = 0s};

/// A source of one entry under the reserved name, as another program may leave it.
class OneEntry final : public kvstore::ChangeSource {
 public:
  explicit OneEntry(std::string_view key = kvstore::kSchemaVersionKey) : key_{key} {}
  bool next(kvstore::Change& change) override {
    change = {key_, "1"};
    return !std::exchange(done_, true);
  }

 private:
  std::string_view key_;
  bool done_ = false;
};

/// Requires that every verb which would write the key `reserved` refuses it. `plain` is a key of the same
/// type without the reserved text.
template <class Key, class Hash>
void refuses(const Key& reserved, const Key& plain) {
  const TempFolder folder;
  using Store = kvstore::BatchPersistentKeyValueStore<Key, int, Hash>;
  Store store{folder / "data.json", kQuiet};
  const auto refused = ContainsSubstring("\"$schema_version\": JSON files keep Options::schema_version");
  CHECK_THROWS_WITH(store.create(reserved, 1), refused);
  CHECK_THROWS_WITH(store.try_create(reserved, 1), refused);
  CHECK_THROWS_WITH(store.upsert(reserved, 1), refused);
  kvstore::WriteBatch<Key, int> batch;
  batch.upsert(plain, 1).upsert(reserved, 2);
  CHECK_THROWS_WITH(store.apply(std::move(batch)), refused);
  CHECK(store.size() == 0);
  store.create(plain, 3);
  store.close();
  CHECK(Store{folder / "data.json", kQuiet}.read(plain) == 3);
}

using Strings = kvstore::BatchPersistentKeyValueStore<std::string, int>;

/// The error of opening or copying, which names the key.
const auto kByName = ContainsSubstring("expected no entry named \"$schema_version\"");

}  // namespace

TEST_CASE("Reserved key: it is refused by its text, whatever the type of the keys") {
  refuses<std::string, kvstore::Hash<std::string>>("$schema_version", "$schema");
  using Optional = std::optional<std::string>;
  refuses<Optional, std::hash<Optional>>(Optional{"$schema_version"}, Optional{"plain"});
  refuses<Optional, std::hash<Optional>>(Optional{"$schema_version"}, Optional{"\"$schema_version\""});
  refuses<nlohmann::json, JsonHash>("$schema_version", {"$schema_version"});
  refuses<Named, NamedHash>(Named::reserved, Named::plain);
  refuses<Own, OwnHash>({"$schema_version"}, {""});
}

TEST_CASE("Reserved key: a storage that holds it is not opened, and says why") {
  const auto disk = std::make_shared<support::Disk>();
  const std::string text = GENERATE("$schema_version", "\"$schema_version\"", "\"\\u0024schema_version\"");
  disk->entries[text] = "1";
  using Store = kvstore::BatchPersistentKeyValueStore<Named, int, NamedHash>;
  CHECK_THROWS_WITH((Store{support::storage_on(disk), kQuiet}), kByName);
  if (text != kvstore::kSchemaVersionKey) return;
  CHECK_THROWS_WITH((Strings{support::storage_on(disk), kQuiet}), kByName);
}

TEST_CASE("Reserved key: where it only looks like that, what is stored opens") {
  const auto disk = std::make_shared<support::Disk>();
  disk->entries["\"$schema_version\""] = "1";
  CHECK(Strings{support::storage_on(disk), kQuiet}.read("\"$schema_version\"") == 1);
  disk->owned = false;
  using Optional = std::optional<std::string>;
  using Store = kvstore::BatchPersistentKeyValueStore<Optional, int, std::hash<Optional>>;
  CHECK(Store{support::storage_on(disk), kQuiet}.read("\"$schema_version\"") == 1);
}

TEST_CASE("Reserved key: a line of a journal that holds it is refused, by its owner and by a follower") {
  const TempFolder folder;
  const auto path = folder / "data.json";
  Strings{std::make_unique<kvstore::JsonJournal>(path), kQuiet}.create("before", 1);
  kvstore::Options follows = kQuiet;
  follows.read_only = true;
  Strings follower{std::make_unique<kvstore::JsonJournal>(path), follows};
  {
    kvstore::JsonJournal journal{path};
    kvstore::detail::CountingSink sink;
    journal.load({}, sink);
    const std::vector<kvstore::Change> step{{kvstore::kSchemaVersionKey, "1"}};
    REQUIRE(journal.journal()->append(step));
    journal.journal()->flush();
  }
  CHECK_THROWS_WITH(follower.refresh(), kByName);
  CHECK(follower.read("before") == 1);
  CHECK_THROWS_WITH((Strings{std::make_unique<kvstore::JsonJournal>(path), kQuiet}), kByName);
}

#if __has_include(<sqlite3.h>)
TEST_CASE("Reserved key: a row of a database that holds it is refused") {
  const TempFolder folder;
  {
    kvstore::SqliteFile storage{folder / "data.db"};
    kvstore::detail::CountingSink sink;
    storage.load({}, sink);
    OneEntry entry;
    storage.save(entry);
  }
  CHECK_THROWS_WITH((Strings{std::make_unique<kvstore::SqliteFile>(folder / "data.db"), kQuiet}), kByName);
}
#endif

TEST_CASE("Reserved key: a source's line that holds it reaches no JSON file") {
  const TempFolder folder;
  {
    kvstore::JsonFile storage{folder / "data.json"};
    OneEntry entry;
    CHECK_THROWS_WITH(storage.save(entry), ContainsSubstring("key \"$schema_version\": JSON files keep"));
    OneEntry plain{"$schema_version "};
    storage.save(plain);
  }
  CHECK(Strings{folder / "data.json", kQuiet}.read("$schema_version ") == 1);
}

TEST_CASE("Reserved key: load_from refuses it and changes nothing") {
  const TempFolder folder;
  Strings store{folder / "data.json", kQuiet};
  store.create("before", 1);
  const auto disk = std::make_shared<support::Disk>();
  disk->entries["$schema_version"] = "1";
  kvstore::MemoryStorage other{disk};
  CHECK_THROWS_WITH(store.load_from(other), kByName);
  CHECK(store.read("before") == 1);
  CHECK(store.size() == 1);
}

TEST_CASE("Reserved key: migrate refuses it before there is a file that never opens") {
  const TempFolder folder;
  const auto disk = std::make_shared<support::Disk>();
  disk->entries["$schema_version"] = "1";
  kvstore::MemoryStorage from{disk};
  {
    kvstore::JsonFile to{folder / "data.json"};
    CHECK_THROWS_AS(kvstore::migrate(from, to), kvstore::CorruptionError);
    CHECK_THROWS_WITH(kvstore::migrate(from, to), ContainsSubstring("memory"));
    CHECK_THROWS_WITH(kvstore::migrate(from, to), kByName);
  }
  CHECK_FALSE(std::filesystem::exists(folder / "data.json"));
  {
    kvstore::JsonJournal to{folder / "journal.json"};
    CHECK_THROWS_WITH(kvstore::migrate(from, to), kByName);
  }
  CHECK(Strings{std::make_unique<kvstore::JsonJournal>(folder / "journal.json"), kQuiet}.empty());
}

}  // namespace reserved_key_test
