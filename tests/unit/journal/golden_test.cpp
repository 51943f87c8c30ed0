// SPDX-License-Identifier: MIT

// Files that earlier versions wrote must open for ever: tests/format/v*/.

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"
#include "support/test_folder.hpp"

namespace golden_test {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, nlohmann::json>;
using Contents = std::map<std::string, nlohmann::json>;

namespace {

/// `name` is the folder of the version, and in it that of the store.
void copy_golden(const char* name, const support::TempFolder& to) {
  const std::filesystem::path folder = std::filesystem::path{support::test_folder()} / "format" / name;
  std::filesystem::copy(folder, to.path(), std::filesystem::copy_options::recursive);
}

/// The contents of a copy of a golden folder.
template <class Storage>
Contents golden(const char* name) {
  const support::TempFolder copy;
  copy_golden(name, copy);
  const Store store{std::make_unique<Storage>(copy / "data.json")};
  Contents result;
  store.for_each([&](const std::string& key, const nlohmann::json& value) { result[key] = value; });
  return result;
}

const Contents kFilled{{"x", {{"y", 2}}}, {"z", {1, 2}}, {"r", 2}, {"after", 1}};

}  // namespace

TEST_CASE("Golden files: version 1 of a plain JSON file opens") {
  Contents expected = kFilled;
  expected["key \"\n\u20ac"] = -0.0;
  expected["big"] = 18446744073709551615U;
  REQUIRE(golden<kvstore::JsonFile>("v1/plain") == expected);
  REQUIRE(golden<kvstore::JsonJournal>("v1/plain") == expected);
}

TEST_CASE("Golden files: version 1 of a journal without a snapshot opens") {
  REQUIRE(golden<kvstore::JsonJournal>("v1/empty_start") == kFilled);
}

TEST_CASE("Golden files: version 1 of a snapshot with its journal opens") {
  Contents expected = kFilled;
  expected["key \"\n\u20ac"] = -0.0;
  expected.erase("r");
  REQUIRE(golden<kvstore::JsonJournal>("v1/snapshot_and_journal") == expected);
}

TEST_CASE("Golden files: version 1 of an interrupted compaction opens") {
  REQUIRE(golden<kvstore::JsonJournal>("v1/interrupted_fold") == Contents{{"old", 1}, {"new", 2}});
}

TEST_CASE("Golden files: version 2 of a killed store opens, with the lines that only the tail has") {
  const Contents expected{{"x", {{"y", 2}}}, {"z", {1, 2}}, {"r", 2}, {"after", 1}};
  REQUIRE(golden<kvstore::JsonJournal>("v2/killed") == expected);
}

TEST_CASE("Golden files: version 2 of a store that was killed during a compaction opens") {
  Contents expected = kFilled;
  expected["w"] = "next";
  REQUIRE(golden<kvstore::JsonJournal>("v2/interrupted_compaction") == expected);
}

TEST_CASE("Journal: compact ends an interrupted compaction, and close leaves the JSON file alone") {
  const support::TempFolder folder;
  copy_golden("v1/interrupted_fold", folder);
  {
    Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json")};
    store.compact();
  }
  REQUIRE(folder.names() == std::set<std::string>{"data.json"});
  REQUIRE(Store{folder / "data.json"}.size() == 2);
}

}  // namespace golden_test
