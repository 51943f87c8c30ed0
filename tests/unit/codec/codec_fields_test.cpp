// SPDX-License-Identifier: MIT

// Types whose fields are listed by `kvstore::fields`.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/codec_text.hpp"
#include "support/temp_folder.hpp"

using codec_text::decode;
using codec_text::encode;
using codec_text::refuses;
using kvstore::ParseError;
using kvstore::ValueError;

namespace codec_fields_test {

struct Address {
  std::string city;
  std::uint8_t floor = 0;
  bool operator==(const Address&) const = default;
};
constexpr auto kvstore_fields(const Address*) {
  return kvstore::fields("city", &Address::city, "floor", &Address::floor);
}

struct User {
  std::string name;
  std::optional<int> born;
  std::vector<Address> addresses;
  std::map<std::string, std::variant<bool, double>> settings;
  bool operator==(const User&) const = default;
};
constexpr auto kvstore_fields(const User*) {
  return kvstore::fields("name", &User::name, "born", &User::born, "addresses", &User::addresses, "settings",
                         &User::settings);
}

/// Has members that the list of its base lacks. So it counts as a type without a list.
struct Unlisted : Address {
  int more = 0;
};

struct Listed : Address {
  int more = 0;
};
constexpr auto kvstore_fields(const Listed*) {
  return kvstore::fields("more", &Listed::more, "city", &Listed::city);
}

struct Lenient {
  int width = 80;
  std::string title = "untitled";
  bool operator==(const Lenient&) const = default;
};
constexpr auto kvstore_fields(const Lenient*) {
  return kvstore::fields_with_default("width", &Lenient::width, "title", &Lenient::title);
}

class Account {
 public:
  Account() = default;
  explicit Account(double balance) : balance_{balance} {}
  bool operator==(const Account&) const = default;

 private:
  double balance_ = 0;
  friend constexpr auto kvstore_fields(const Account*) {
    return kvstore::fields("balance", &Account::balance_);
  }
};

template <class T>
struct Range {
  T from{};
  T to{};
  bool operator==(const Range&) const = default;
};
template <class T>
constexpr auto kvstore_fields(const Range<T>*) {
  return kvstore::fields("from", &Range<T>::from, "to", &Range<T>::to);
}

/// Contains itself.
struct Node {
  int id = 0;
  std::vector<Node> children;
  bool operator==(const Node&) const = default;
};
constexpr auto kvstore_fields(const Node*) {
  return kvstore::fields("id", &Node::id, "children", &Node::children);
}

struct Oddly {
  int a = 0, b = 0, c = 0, d = 0;
  bool operator==(const Oddly&) const = default;
};
constexpr auto kvstore_fields(const Oddly*) {
  return kvstore::fields("a \"quoted\"\\\n\x1f", &Oddly::a, "", &Oddly::b, "\xC3\xA9", &Oddly::c, "a",
                         &Oddly::d);
}

/// Resembles a sequence and has a to_json as well: the list takes precedence.
struct Route : std::vector<int> {
  std::string name;
};
constexpr auto kvstore_fields(const Route*) { return kvstore::fields("name", &Route::name); }
void to_json(nlohmann::json& out, const Route&) { out = "by to_json"; }
void from_json(const nlohmann::json&, Route&) {}

struct Nothing {};
constexpr auto kvstore_fields(const Nothing*) { return kvstore::fields(); }

}  // namespace codec_fields_test

namespace somebody_elses {

struct Point {
  int x = 0;
  int y = 0;
  std::unique_ptr<int> z;
};

}  // namespace somebody_elses

template <>
struct kvstore::Codec<somebody_elses::Point> : kvstore::FieldCodec<somebody_elses::Point> {
  static constexpr auto kFields = kvstore::fields("x", &somebody_elses::Point::x, "y",
                                                  &somebody_elses::Point::y, "z", &somebody_elses::Point::z);
};

namespace codec_fields_test {

namespace {

const User kAda{"Ada", 1815, {{"London", 2}, {"Paris", 0}}, {{"dark", true}, {"zoom", 1.5}}};
constexpr const char* kAdaText =
    R"({"name":"Ada","born":1815,"addresses":[{"city":"London","floor":2},{"city":"Paris","floor":0}],)"
    R"("settings":{"dark":[0,true],"zoom":[1,1.5]}})";

Node chain(int nodes) {
  Node top;
  for (int i = 1; i < nodes; ++i) {
    Node above;
    above.children.push_back(std::move(top));
    top = std::move(above);
  }
  return top;
}

template <class Act>
std::string message_of(const Act& act) {
  try {
    act();
    return "";
  } catch (const kvstore::Error& error) { return error.what(); }
}

}  // namespace

TEST_CASE("Fields: an object with a member for each, in the order of the list") {
  CHECK(encode(kAda) == kAdaText);
  CHECK(decode<User>(kAdaText) == kAda);
  CHECK(encode(Nothing{}) == "{}");
  CHECK_THROWS_AS(decode<Nothing>(R"({"further":1})"), ParseError);
}

TEST_CASE("Fields: are read in any order, with white space anywhere") {
  CHECK(decode<Address>(R"({"floor":2,"city":"London"})") == Address{"London", 2});
  CHECK(decode<Address>(" { \"city\" : \"London\" ,\n\"floor\"\t:2 } ") == Address{"London", 2});
  CHECK(decode<Address>(R"({"city":"London", "floor":2})") == Address{"London", 2});
  CHECK(decode<Address>(R"({"\u0063ity":"London","floor":2})") == Address{"London", 2});
}

TEST_CASE("Fields: a missing one is refused, and named") {
  CHECK_THROWS_WITH(
      decode<Address>(R"({"city":"A"})"),
      Catch::Matchers::ContainsSubstring("expected a member \"floor\" in this object: add it, or list the "
                                         "members by kvstore::fields_with_default"));
  CHECK_THROWS_WITH(decode<Address>("{}"),
                    Catch::Matchers::ContainsSubstring("expected a member \"city\" in this object: add it"));
  CHECK_THROWS_AS(decode<User>(R"({"name":"A","addresses":[],"settings":{}})"),
                  ParseError);  // a std::optional is no exception
}

TEST_CASE("Fields: with defaults, a missing one stays as the constructor made it") {
  CHECK(decode<Lenient>("{}") == Lenient{});
  CHECK(decode<Lenient>(R"({"title":"x"})") == Lenient{80, "x"});
  CHECK(encode(Lenient{}) == R"({"width":80,"title":"untitled"})");
  CHECK_THROWS_AS(decode<Lenient>(R"({"width":null})"), ParseError);
}

TEST_CASE("Fields: a name that occurs twice is refused, at its place") {
  for (const std::string text :
       {R"({"city":"A","floor":2,"city":"A"})", R"({"city":"A","floor":2,"floo\u0072":2})",
        R"({"floor":2,"floor":2,"city":"A"})"}) {
    CAPTURE(text);
    try {
      static_cast<void>(decode<Address>(text));
      FAIL("accepted");
    } catch (const ParseError& error) {
      CHECK_THAT(error.what(), Catch::Matchers::ContainsSubstring("no second value"));
      CHECK(text[error.offset()] == '"');
      CHECK(error.offset() > 5);
    }
  }
}

TEST_CASE("Fields: what is no object, or goes wrong between members, is refused") {
  for (const auto* text :
       {"", "[]", "null", "\"x\"", "{", "{\"city\"", "{\"city\":", "{\"city\":\"A\"", "{\"city\":\"A\",",
        "{\"city\":\"A\" \"floor\":2}", "{\"city\":\"A\",\"floor\":2", "{\"city\":\"A\",\"floor\":2,}",
        "{\"city\":\"A\",\"floor\":2]", "{,}", "{\"city\":\"A\",\"floor\":2}}", "{city:\"A\",\"floor\":2}"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(decode<Address>(text), ParseError);
  }
}

TEST_CASE("Fields: a value that does not fit is refused, with the names of its fields and its offset") {
  CHECK_THROWS_WITH(decode<Address>(R"({"city":"A","floor":300})"),
                    "in field \"floor\": expected an unsigned integer of 8 bits");
  CHECK_THROWS_AS(decode<Address>(R"({"city":"A","floor":-1})"), ParseError);
  CHECK_THROWS_AS(decode<Address>(R"({"city":"A","floor":1.0})"), ParseError);
  CHECK_THROWS_AS(decode<Address>(R"({"city":"A","floor":true})"), ParseError);
  try {
    static_cast<void>(decode<User>(R"({"name":"A","addresses":[{"floor":2,"city":3}]})"));
    FAIL("accepted");
  } catch (const ParseError& error) {
    CHECK(std::string{error.what()} == "in field \"addresses\": in field \"city\": expected a string");
    CHECK(error.offset() == 43);
  }
}

TEST_CASE("Fields: an error between members names no field") {
  CHECK(message_of([] { decode<Address>(R"({"city":"A";"floor":2})"); }) == "expected ',' or '}'");
  CHECK(message_of([] { decode<Address>(R"({"city":"A","floor":2x})"); }) == "expected ',' or '}'");
}

TEST_CASE("Fields: what could not be read back is refused when it is written, and its field is named") {
  CHECK(refuses(Address{"\xFF", 0}));
  CHECK(refuses(Account{std::nan("")}));
  CHECK(refuses(std::vector<User>{{"A", {}, {{"\xC3", 0}}, {}}}));
  CHECK_THAT(
      message_of([] { encode(User{"A", {}, {{"\xC3", 0}}, {}}); }),
      Catch::Matchers::StartsWith("in field \"addresses\": in field \"city\": text is not valid UTF-8"));
}

TEST_CASE("Fields: names are escaped as JSON demands, and told apart") {
  const Oddly oddly{1, 2, 3, 4};
  const std::string text = encode(oddly);
  CHECK(text == "{\"a \\\"quoted\\\"\\\\\\n\\u001f\":1,\"\":2,\"\xC3\xA9\":3,\"a\":4}");
  CHECK(decode<Oddly>(text) == oddly);
  CHECK(decode<Oddly>(nlohmann::json::parse(text).dump(1)) == oddly);
}

TEST_CASE("Fields: a list counts for its own class only, and may name what is inherited") {
  STATIC_REQUIRE(kvstore::HasCodec<Address>);
  STATIC_REQUIRE_FALSE(kvstore::HasCodec<Unlisted>);
  Listed listed;
  listed.city = "A";
  listed.more = 5;
  CHECK(encode(listed) == R"({"more":5,"city":"A"})");
  CHECK(decode<Listed>(encode(listed)).city == "A");
}

TEST_CASE("Fields: private members, class templates and types of other people") {
  CHECK(decode<Account>(encode(Account{1.5})) == Account{1.5});
  CHECK(encode(Range<Range<int>>{{1, 2}, {3, 4}}) == R"({"from":{"from":1,"to":2},"to":{"from":3,"to":4}})");
  CHECK(decode<Range<std::string>>(R"({"from":"a","to":"b"})") == Range<std::string>{"a", "b"});
  CHECK(encode(somebody_elses::Point{1, 2, std::make_unique<int>(3)}) == R"({"x":1,"y":2,"z":3})");
  CHECK(decode<std::vector<somebody_elses::Point>>(R"([{"x":1,"y":2,"z":null}])").at(0).z == nullptr);
}

TEST_CASE("Fields: a list comes before to_json and before looking like a container") {
  Route route;
  route.name = "home";
  CHECK(encode(route) == R"({"name":"home"})");
  CHECK(decode<Route>(R"({"name":"away"})").name == "away");
}

TEST_CASE("Fields: inside optional, vector, map and variant") {
  using Value = std::map<int, std::vector<std::optional<std::variant<int, Address>>>>;
  const Value value{{1, {std::nullopt, Address{"A", 1}, 5}}};
  CHECK(encode(value) == R"({"1":[null,[1,{"city":"A","floor":1}],[0,5]]})");
  CHECK(decode<Value>(encode(value)) == value);
}

TEST_CASE("Fields: a type that contains itself, up to the limit of nesting") {
  const Node deepest = chain(256);  // one object and one array a level; the last array is empty
  CHECK(decode<Node>(encode(deepest)) == deepest);
  CHECK(refuses(chain(257)));
  std::string text = encode(chain(256));
  text.insert(text.find("[]") + 1, R"({"id":0,"children":[]})");
  CHECK_THROWS_AS(decode<Node>(text), ParseError);
}

TEST_CASE("Fields: a store refuses, keeps and loads them, and names the field that is wrong in its file") {
  const support::TempFolder folder;
  const auto path = folder / "users.json";
  {
    kvstore::BatchPersistentKeyValueStore<std::string, User> users{path};
    users.create("ada", kAda);
    CHECK_THROWS_AS(users.create("bad", User{"\xFF", {}, {}, {}}), ValueError);
  }
  CHECK(kvstore::BatchPersistentKeyValueStore<std::string, User>{path}.read("ada") == kAda);
  std::ofstream{path} << R"({"ada": {"name": "Ada", "born": "1815"}})";
  CHECK_THROWS_WITH((kvstore::BatchPersistentKeyValueStore<std::string, User>{path}),
                    Catch::Matchers::ContainsSubstring("in field \"born\": expected a number"));
}

}  // namespace codec_fields_test
