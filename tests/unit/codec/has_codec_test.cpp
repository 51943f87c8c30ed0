// SPDX-License-Identifier: MIT

// The concept `HasCodec` looks into types.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "kvstore/codec.hpp"
#include "support/catch.hpp"

namespace has_codec_test {

struct Unlisted {};
struct Holder {
  std::string name;
  Unlisted bad;
};
constexpr auto kvstore_fields(const Holder*) {
  return kvstore::fields("name", &Holder::name, "bad", &Holder::bad);
}
struct Deep {
  std::vector<std::map<std::string, std::optional<Holder>>> holders;
};
constexpr auto kvstore_fields(const Deep*) { return kvstore::fields("holders", &Deep::holders); }
struct Tree {
  std::vector<Tree> children;
  std::map<std::string, std::unique_ptr<Tree>> named;
};
constexpr auto kvstore_fields(const Tree*) {
  return kvstore::fields("children", &Tree::children, "named", &Tree::named);
}
struct SpoiltTree {
  std::vector<SpoiltTree> children;
  Unlisted bad;
};
constexpr auto kvstore_fields(const SpoiltTree*) {
  return kvstore::fields("children", &SpoiltTree::children, "bad", &SpoiltTree::bad);
}
struct Leaf {
  Unlisted hidden;
};

}  // namespace has_codec_test

template <>
struct kvstore::Codec<has_codec_test::Leaf> {
  static void encode(const has_codec_test::Leaf&, JsonWriter& out) { out.null(); }
  static has_codec_test::Leaf decode(JsonReader& in) { return in.null(), has_codec_test::Leaf{}; }
};

namespace has_codec_test {

using kvstore::HasCodec;

TEST_CASE("Codec: a type has one only if its members have, at any depth") {
  STATIC_REQUIRE_FALSE(HasCodec<Holder>);
  STATIC_REQUIRE_FALSE(HasCodec<Deep>);
  STATIC_REQUIRE_FALSE(HasCodec<std::variant<int, std::vector<Deep>>>);
  STATIC_REQUIRE_FALSE(HasCodec<SpoiltTree>);
  STATIC_REQUIRE_FALSE(HasCodec<std::unique_ptr<int[]>>);
}

TEST_CASE("Codec: a type that contains itself has one, and so has a type with a codec of the program's") {
  STATIC_REQUIRE(HasCodec<Tree>);
  STATIC_REQUIRE(HasCodec<std::optional<Tree>>);
  STATIC_REQUIRE(HasCodec<Leaf>);
  STATIC_REQUIRE(HasCodec<std::pair<int, std::vector<Leaf>>>);
}

}  // namespace has_codec_test
