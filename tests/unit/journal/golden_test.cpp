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

void copy_golden(const char* name, const support::TempFolder& to) {
  const std::filesystem::path folder = std::filesystem::path{support::test_folder()} / "format" / "v1" / name;
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
  REQUIRE(golden<kvstore::JsonFile>("plain") == expected);
  REQUIRE(golden<kvstore::JsonJournal>("plain") == expected);
}

TEST_CASE("Golden files: version 1 of a journal without a snapshot opens") {
  REQUIRE(golden<kvstore::JsonJournal>("empty_start") == kFilled);
}

TEST_CASE("Golden files: version 1 of a snapshot with its journal opens") {
  Contents expected = kFilled;
  expected["key \"\n\u20ac"] = -0.0;
  expected.erase("r");
  REQUIRE(golden<kvstore::JsonJournal>("snapshot_and_journal") == expected);
}

TEST_CASE("Golden files: version 1 of an interrupted compaction opens") {
  REQUIRE(golden<kvstore::JsonJournal>("interrupted_fold") == Contents{{"old", 1}, {"new", 2}});
}

TEST_CASE("Journal: compact ends an interrupted compaction, and close leaves the JSON file alone") {
  const support::TempFolder folder;
  copy_golden("interrupted_fold", folder);
  {
    Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json")};
    store.compact();
  }
  REQUIRE(folder.names() == std::set<std::string>{"data.json"});
  REQUIRE(Store{folder / "data.json"}.size() == 2);
}

}  // namespace golden_test
