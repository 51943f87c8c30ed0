// SPDX-License-Identifier: MIT

// The same type, read by means of its list of fields and by means of nlohmann/json. Both accept the same
// texts, and read the same values from them.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/codec_text.hpp"

namespace codec_agreement_test {

struct Part {
  std::string name;
  std::int8_t count = 0;
  bool operator==(const Part&) const = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Part, name, count)

struct Whole {
  std::string title;
  int number = 0;
  double weight = 0;
  bool active = false;
  std::vector<Part> parts;
  std::map<std::string, std::vector<std::uint16_t>> sizes;
  bool operator==(const Whole&) const = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Whole, title, number, weight, active, parts, sizes)

/// The same members as in `Part`, with a list of fields. One type cannot be converted in two ways.
struct ListedPart : Part {
  bool operator==(const ListedPart&) const = default;
};
constexpr auto kvstore_fields(const ListedPart*) {
  return kvstore::fields("name", &ListedPart::name, "count", &ListedPart::count).drop_unknown();
}

struct ListedWhole {
  std::string title;
  int number = 0;
  double weight = 0;
  bool active = false;
  std::vector<ListedPart> parts;
  std::map<std::string, std::vector<std::uint16_t>> sizes;
  bool operator==(const ListedWhole&) const = default;
};
constexpr auto kvstore_fields(const ListedWhole*) {
  using T = ListedWhole;
  return kvstore::fields("title", &T::title, "number", &T::number, "weight", &T::weight, "active", &T::active,
                         "parts", &T::parts, "sizes", &T::sizes)
      .drop_unknown();
}

namespace {

/// The JSON of the value, with sorted members; none if the text is refused.
template <class T>
std::optional<nlohmann::json> read(std::string_view text) {
  try {
    return nlohmann::json::parse(codec_text::encode(codec_text::decode<T>(text)));
  } catch (const kvstore::ParseError&) { return std::nullopt; }
}

/// Whether the tree has a fraction beyond the range of some integer type. nlohmann/json's conversion of such
/// a fraction to the integer type is undefined.
bool has_wide_fraction(const nlohmann::json& tree) {
  if (tree.is_structured()) return std::any_of(tree.begin(), tree.end(), has_wide_fraction);
  return tree.is_number_float() && !(tree.get<double>() > -1 && tree.get<double>() < 128);
}

/// Swaps, drops, doubles or replaces pieces of a valid text.
class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_{seed} {}

  std::string operator()() {
    std::vector<std::string> members{R"("title":"T\u0041 \u00e9")",
                                     R"("number":-12)",
                                     R"("weight":2.5e1)",
                                     R"("active":true)",
                                     R"("parts":[{"name":"p","count":100}])",
                                     R"("sizes":{"a":[1,65535],"b":[]})"};
    if (chance(2)) std::shuffle(members.begin(), members.end(), random_);
    if (chance(6)) members.erase(members.begin() + pick(members.size()));
    if (chance(3)) members.insert(members.begin() + pick(members.size()), extra());
    std::string text;
    for (const auto& member : members) text += (text.empty() ? "{" : chance(9) ? " ,\n" : ",") + member;
    text += '}';
    for (auto edits = random_() % 3; edits > 0; --edits) edit(text);
    return text;
  }

 private:
  bool chance(unsigned one_in) { return random_() % one_in == 0; }
  std::ptrdiff_t pick(std::size_t size) { return static_cast<std::ptrdiff_t>(random_() % size); }

  std::string extra() {
    const char* const kExtras[] = {R"("more":[1,{"x":null}])", R"("title":"again")",
                                   R"("titl\u0065":"again")", R"("":0)", R"("number" : 5)"};
    return kExtras[random_() % std::size(kExtras)];
  }
  void edit(std::string& text) {
    const char* const kPieces[] = {"1",    "-",     "0",  "300", "1.5",     "1e400", "true",
                                   "null", "\"x\"", "[]", "\\n", "\xFF",    "\"",    ",",
                                   ":",    "{",     "}",  " ",   "\xC3\xA9"};
    const auto at = static_cast<std::size_t>(pick(text.size()));
    text.replace(at, random_() % 3, kPieces[random_() % std::size(kPieces)]);
  }

  std::mt19937 random_;
};

}  // namespace

TEST_CASE("Fields: accept the texts that nlohmann's conversion accepts, and make the same of them") {
  Mutator mutated{2026};
  int accepted = 0;
  for (int round = 0; round < 30'000; ++round) {
    const std::string text = mutated();
    if (has_wide_fraction(nlohmann::json::parse(text, nullptr, false))) continue;
    const auto by_list = read<ListedWhole>(text);
    const auto by_tree = read<Whole>(text);
    CAPTURE(text);
    REQUIRE(by_list == by_tree);
    accepted += by_list.has_value();
  }
  CHECK(accepted > 5000);
  CHECK(accepted < 25'000);
}

}  // namespace codec_agreement_test
