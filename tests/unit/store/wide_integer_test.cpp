// SPDX-License-Identifier: MIT

// Integers beyond 64 bits as values of a tree, which cannot hold them.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <nlohmann/json.hpp>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/error.hpp"
#include "kvstore/options.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace wide_integer_test {

using Catch::Matchers::ContainsSubstring;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, nlohmann::json>;

namespace {

const std::string kText = R"({"k": {"id": 123456789012345678901234567890, "zero": -0}})";

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace

TEST_CASE("Wide integers: a store of trees refuses the file, and leaves it unchanged") {
  const support::TempFolder folder;
  const auto path = folder.path() / "data.json";
  std::ofstream{path} << kText;
  REQUIRE_THROWS_AS(Store{path}, kvstore::CorruptionError);
  REQUIRE_THROWS_WITH(Store{path}, ContainsSubstring("123456789012345678901234567890") &&
                                       ContainsSubstring("round_numbers") && ContainsSubstring("data.json"));
  REQUIRE(text_of(path) == kText);
}

TEST_CASE("Wide integers: Options::round_numbers rounds them, and minus zero keeps its sign") {
  const support::TempFolder folder;
  const auto path = folder.path() / "data.json";
  std::ofstream{path} << kText;
  Store store{path, {.round_numbers = true}};
  REQUIRE(store.read("k")["id"] == 123456789012345678901234567890.0);
  store.upsert("other", 1);
  store.close();
  REQUIRE_THAT(text_of(path), ContainsSubstring(R"("zero":-0.0)"));
}

}  // namespace wide_integer_test
