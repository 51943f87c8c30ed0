// SPDX-License-Identifier: MIT

// A program whose keys and values need no nlohmann/json does not include it.

#include <cstdint>
#include <kvstore/kvstore.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#ifdef INCLUDE_NLOHMANN_JSON_HPP_
#error "kvstore/kvstore.hpp has included nlohmann/json.hpp"
#endif

#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace without_trees_test {

enum class Colour { red, green };
enum class YesNo : bool { no, yes };

struct Point {
  int x = 0;
  std::optional<std::string> name{};
  bool operator==(const Point&) const = default;
};
constexpr auto kvstore_fields(const Point*) { return kvstore::fields("x", &Point::x, "name", &Point::name); }

struct Foreign {};

static_assert(!kvstore::HasCodec<Foreign>);
static_assert(!kvstore::HasCodec<std::vector<Foreign>>);

template <class Key, class Value>
void comes_back(const Key& key, const Value& value) {
  const support::TempFolder folder;
  using Store = kvstore::BatchPersistentKeyValueStore<Key, Value>;
  { Store{folder / "data.json"}.upsert(key, value); }
  REQUIRE(Store{folder / "data.json"}.read(key) == value);
}

TEST_CASE(
    "Codec: a program without nlohmann/json stores numbers, strings, enums, containers and its own fields") {
  comes_back(std::string{"a"}, 1.5);
  comes_back(7, std::vector<std::string>{"a", "b"});
  comes_back(Colour::green, YesNo::yes);
  comes_back(std::string{"p"}, Point{3, "three"});
  comes_back(1U, std::map<Colour, std::variant<int, std::string>>{{Colour::red, "r"}, {Colour::green, 2}});
}

TEST_CASE("Codec: such an enum is read from no other number, and from nothing but a number") {
  for (const std::string_view text :
       {"2", "-1", "1.0", "1e0", "\"yes\"", "null", "[1]", "99999999999999999999"}) {
    CAPTURE(text);
    kvstore::JsonReader reader{text};
    REQUIRE_THROWS_AS(kvstore::Codec<YesNo>::decode(reader), kvstore::ParseError);
  }
}

TEST_CASE("Options: without an upgrade, older values are refused") {
  const support::TempFolder folder;
  using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
  { Store{folder / "data.json"}.upsert("a", 1); }
  REQUIRE_THROWS_AS(Store(folder / "data.json", {.schema_version = 1}), kvstore::SchemaVersionError);
  REQUIRE_THROWS_AS(Store(folder / "data.json", {.schema_version = 1, .upgrade = nullptr}),
                    kvstore::SchemaVersionError);
}

}  // namespace without_trees_test
