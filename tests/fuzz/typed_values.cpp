// SPDX-License-Identifier: MIT

// Any text as a value of many types: the first byte chooses the type. What is read can be written, and then
// reads back as the same value and writes the same text; everything else is a ParseError inside the text.

#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/codec.hpp"
#include "kvstore/error.hpp"
#include "support/fuzz.hpp"

namespace fuzzed {

enum class Colour { red, green, blue };
NLOHMANN_JSON_SERIALIZE_ENUM(Colour, {{Colour::red, "red"}, {Colour::green, "green"}, {Colour::blue, "blue"}})

enum class Plain : std::uint8_t {};

struct Person {
  std::string name;
  std::int16_t age = 0;
  std::vector<double> heights;
  bool operator==(const Person&) const = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Person, name, age, heights)

struct Parcel {
  std::string label;
  std::int16_t weight = 0;
  std::optional<double> price;
  std::vector<Parcel> inside;
  bool operator==(const Parcel&) const = default;
};
constexpr auto kvstore_fields(const Parcel*) {
  return kvstore::fields("label", &Parcel::label, "weight", &Parcel::weight, "price", &Parcel::price,
                         "inside", &Parcel::inside);
}

}  // namespace fuzzed

namespace {

using support::require;

template <class T>
std::string encoded(const T& value) {
  kvstore::JsonWriter out;
  kvstore::Codec<T>::encode(value, out);
  return std::string{out.text()};
}

template <class T>
T decoded(std::string_view text) {
  kvstore::JsonReader in{text};
  T value = kvstore::Codec<T>::decode(in);
  in.finish();
  return value;
}

template <class T>
void check(std::string_view text) {
  std::optional<T> value;
  try {
    value.emplace(decoded<T>(text));
  } catch (const kvstore::ParseError& error) {
    return require(error.offset() <= text.size(), "an error is in the text");
  }
  kvstore::detail::check_value(*value);  // what is read is never refused when it is written
  const std::string once = encoded(*value);
  const T again = decoded<T>(once);
  if constexpr (!requires { typename T::hasher; })  // a hash table of equal entries may have another order
    require(encoded(again) == once, "what was written is read and written the same: " + once);
  if constexpr (std::copyable<T>)  // not of pointers
    require(again == *value, "the same value is read back: " + once);
}

using Check = void (*)(std::string_view);
constexpr std::array kChecks{
    check<bool>,
    check<std::int8_t>,
    check<std::uint64_t>,
    check<std::int64_t>,
    check<char>,
    check<float>,
    check<double>,
    check<std::string>,
    check<std::chrono::milliseconds>,
    check<fuzzed::Colour>,
    check<fuzzed::Plain>,
    check<fuzzed::Person>,
    check<nlohmann::json>,
    check<nlohmann::ordered_json>,
    check<std::optional<int>>,
    check<std::unique_ptr<std::string>>,
    check<std::vector<std::optional<std::string>>>,
    check<std::deque<std::list<int>>>,
    check<std::set<std::string>>,
    check<std::array<std::int32_t, 3>>,
    check<std::pair<std::string, double>>,
    check<std::tuple<bool, std::uint8_t, std::string>>,
    check<std::variant<int, std::string, std::vector<int>>>,
    check<std::map<std::string, std::map<std::string, int>>>,
    check<std::unordered_map<int, std::string>>,
    check<std::map<fuzzed::Colour, int>>,
    check<std::map<std::pair<int, int>, std::string>>,
    check<std::multimap<std::string, int>>,
    check<std::vector<fuzzed::Person>>,
    check<fuzzed::Parcel>,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto type = static_cast<std::size_t>(data[0] - 'A') % kChecks.size();
  kChecks[type](support::text_of(data + 1, size - 1));
  return 0;
}
