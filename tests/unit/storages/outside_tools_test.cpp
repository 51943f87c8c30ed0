// SPDX-License-Identifier: MIT

// The files of a store and other tools: the tools can read the files, and the store loads the files that the
// tools write.

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/output_of.hpp"
#include "support/temp_folder.hpp"
#if __has_include(<sqlite3.h>)
#include "kvstore/storage/sqlite.hpp"
#endif

namespace outside_tools_test {

using support::output_of;
using support::TempFolder;
using namespace std::chrono_literals;
using Users = kvstore::BatchPersistentKeyValueStore<std::string, nlohmann::json>;
using Counts = kvstore::BatchPersistentKeyValueStore<int, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

void fill(Users& users) {
  users.upsert("ada", {{"city", "London"}, {"age", 36}});
  users.upsert("sofia \"Kova\"", {{"city", "Москва"}, {"age", 41}});
  users.upsert("minus zero", -0.0);
  users.close();
}

}  // namespace

TEST_CASE("Outside tools: jq reads a JSON file, and what it writes loads") {
  const TempFolder folder;
  const std::string path = (folder / "data.json").string();
  Users users{path, kManual};
  fill(users);
  CHECK(output_of("jq -r '.ada.city' " + path) == "London\n");
  CHECK(output_of("jq -r '[.[] | objects | .age] | add' " + path) == "77\n");
  output_of("jq '.ada.age = 37 | .eve = {city: \"Łódź\"}' " + path + " > " + path + ".new && mv " + path +
            ".new " + path);
  Users again{path, kManual};
  CHECK(again.size() == 4);
  CHECK(again.read("ada")["age"] == 37);
  CHECK(again.read("eve")["city"] == "Łódź");
}

TEST_CASE("Outside tools: jq reads the lines of a journal") {
  const TempFolder folder;
  const std::string path = (folder / "data.json").string();
  Users users{std::make_unique<kvstore::JsonJournal>(path), kManual};
  users.upsert("ada", {{"city", "London"}});
  users.remove("ada");
  users.save();
  const std::string bodies = "tr -d '\\0' < " + path + ".journal | sed 's/^[0-9a-f]*[^ ]* //' | ";
  CHECK(output_of(bodies + "jq -c 'select(type == \"array\")'") ==
        "[\"ada\",{\"city\":\"London\"}]\n[\"ada\"]\n");
}

#if __has_include(<sqlite3.h>)
TEST_CASE("Outside tools: sqlite3 queries a database, and what it writes loads") {
  const TempFolder folder;
  const std::string path = (folder / "data.db").string();
  Users users{std::make_unique<kvstore::SqliteFile>(path), kManual};
  fill(users);
  CHECK(output_of("sqlite3 " + path +
                  " \"select json_extract(value, '$.city') from entries where key = 'ada'\"") == "London\n");
  CHECK(output_of("sqlite3 " + path + " \"select sum(json_extract(value, '$.age')) from entries\"") ==
        "77\n");
  output_of("sqlite3 " + path +
            " \"update entries set value = json_set(value, '$.age', 37) where key = 'ada';"
            " insert into entries values('eve', json_object('city', 'Łódź'))\"");
  Users again{std::make_unique<kvstore::SqliteFile>(path), kManual};
  CHECK(again.size() == 4);
  CHECK(again.read("ada")["age"] == 37);
  CHECK(again.read("eve")["city"] == "Łódź");
}

TEST_CASE("Outside tools: sqlite3 sees integer keys as numbers") {
  const TempFolder folder;
  const std::string path = (folder / "data.db").string();
  {
    Counts counts{std::make_unique<kvstore::SqliteFile>(path), kManual};
    for (int i = 8; i < 12; ++i) counts.upsert(i, i * i);
  }
  CHECK(output_of("sqlite3 " + path + " 'select key from entries where key > 9 order by key'") == "10\n11\n");
  output_of("sqlite3 " + path + " 'insert into entries values(100, 1)'");
  CHECK(Counts{std::make_unique<kvstore::SqliteFile>(path), kManual}.read(100) == 1);
}
#endif

}  // namespace outside_tools_test
