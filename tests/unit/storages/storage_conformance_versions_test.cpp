// SPDX-License-Identifier: MIT

// Requirements on every storage that keeps a schema version: old values are upgraded, newer ones are refused.

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/storages.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"
#include "unit/storages/storage_conformance.hpp"

namespace storage_conformance_versions_test {

using Catch::Matchers::ContainsSubstring;
using kvstore::LoadPurpose;
using kvstore::Options;
using storage_conformance::for_each_storage;
using storage_conformance::kManual;
using storage_conformance::Store;
using support::StorageCase;
using support::TempFolder;
using support::TextEntries;

namespace {

Options with(Options options, std::uint32_t version,
             std::function<void(std::uint32_t, std::string_view, nlohmann::json&)> upgrade = {}) {
  options.schema_version = version;
  options.upgrade = std::move(upgrade);
  return options;
}

}  // namespace

TEST_CASE("Storage: the schema version is kept, and old values are upgraded as they load") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (!storage.traits.keeps_version) {
      REQUIRE_THROWS_WITH((Store<std::string, nlohmann::json>{storage.open(folder.path()), with(kManual, 1)}),
                          ContainsSubstring("keeps no schema version"));
      return;
    }
    const auto open = [&](Options options) {
      return Store<std::string, nlohmann::json>{storage.open(folder.path()), std::move(options)};
    };
    {
      auto store = open(kManual);
      store.upsert("ada", {{"name", "Ada"}});
      store.upsert("bob", {{"name", "Bob"}});
      store.close();
    }
    int calls = 0;
    const auto upgrade = [&calls](std::uint32_t from, std::string_view key, nlohmann::json& value) {
      ++calls;
      REQUIRE(from == 0);
      REQUIRE((key == "ada" || key == "bob"));
      value["full_name"] = value["name"];
      value.erase("name");
    };
    {
      auto store = open(with(kManual, 2, upgrade));
      REQUIRE(calls == 2);
      REQUIRE(store.read("ada") == nlohmann::json{{"full_name", "Ada"}});
      store.upsert("eve", {{"full_name", "Eve"}});
      store.close();
    }
    auto store = open(with(kManual, 2));  // nothing is left to upgrade
    REQUIRE(store.read("bob") == nlohmann::json{{"full_name", "Bob"}});
    REQUIRE(store.size() == 3);
  });
}

TEST_CASE("Storage: upgraded values are stored before the store has opened") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (!storage.traits.keeps_version) return;
    Store<std::string, int>{storage.open(folder.path()), with(kManual, 1)}.upsert("a", 1);
    const auto doubled = [](std::uint32_t, std::string_view, nlohmann::json& value) {
      value = value.get<int>() * 2;
    };
    const Store<std::string, int> open{storage.open(folder.path()), with(kManual, 2, doubled)};
    support::CollectingSink sink;
    storage.open(folder.path())->load({.purpose = LoadPurpose::copy}, sink);
    REQUIRE(sink.version == 2);
    REQUIRE(sink.entries == TextEntries{{"a", "2"}});
  });
}

TEST_CASE("Storage: if upgraded values cannot be stored, the store does not open, and the old ones stay") {
  const auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
  const auto open = [&](Options options) {
    return Store<std::string, int>{std::make_unique<kvstore::MemoryStorage>(contents), std::move(options)};
  };
  open(with(kManual, 1)).upsert("a", 1);
  const auto negated = [](std::uint32_t, std::string_view, nlohmann::json& value) {
    value = -value.get<int>();
  };
  contents->fail = true;
  REQUIRE_THROWS_AS(open(with(kManual, 2, negated)), kvstore::StorageError);
  contents->fail = false;
  REQUIRE(contents->schema_version == 1);
  REQUIRE(open(with(kManual, 1)).read("a") == 1);
  REQUIRE(open(with(kManual, 2, negated)).read("a") == -1);
}

TEST_CASE("Storage: values of a newer schema version, or older ones that nobody upgrades, are refused") {
  for_each_storage([](const StorageCase& storage, const TempFolder& folder) {
    if (!storage.traits.keeps_version) return;
    Store<std::string, int>{storage.open(folder.path()), with(kManual, 3)}.upsert("a", 1);
    const auto open = [&](Options options) {
      return Store<std::string, int>{storage.open(folder.path()), options};
    };
    REQUIRE_THROWS_AS(open(kManual), kvstore::SchemaVersionError);
    REQUIRE_THROWS_WITH(open(with(kManual, 2)),
                        ContainsSubstring("schema version 3, and this program knows versions up to 2"));
    REQUIRE_THROWS_WITH(open(with(kManual, 4)), ContainsSubstring("Options::upgrade"));
    const auto failing = [](std::uint32_t, std::string_view, nlohmann::json&) {
      throw std::runtime_error{"no"};
    };
    REQUIRE_THROWS_WITH(open(with(kManual, 4, failing)), "no");
    REQUIRE(open(with(kManual, 3)).read("a") == 1);
  });
}

}  // namespace storage_conformance_versions_test
