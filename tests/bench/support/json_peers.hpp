// SPDX-License-Identifier: MIT
#pragma once

// How a user of std::unordered_map and another library writes it as JSON, and reads it back.

#define RAPIDJSON_HAS_STDSTRING 1
#if defined(__SSE2__)
#define RAPIDJSON_SSE2  // it looks at 16 bytes at a time only when told so
#endif

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <simdjson.h>

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <nlohmann/json.hpp>

#include "bench/support/files.hpp"
#include "bench/support/person.hpp"

namespace bench {

/// A key as the text of an object's member.
[[nodiscard]] inline const std::string& name_of(const std::string& key) { return key; }
[[nodiscard]] inline std::string name_of(std::int64_t key) { return std::to_string(key); }

template <class Key>
[[nodiscard]] Key key_from(std::string_view name) {
  if constexpr (std::is_integral_v<Key>) {
    Key key{};
    std::from_chars(name.data(), name.data() + name.size(), key);
    return key;
  } else {
    return Key{name};
  }
}

// nlohmann/json --------------------------------------------------------------------------------------------

template <class Map>
[[nodiscard]] std::string nlohmann_dump(const Map& map) {
  if constexpr (std::is_same_v<typename Map::key_type, std::string>) {
    return nlohmann::json(map).dump();
  } else {  // else it makes an array of pairs of it, which takes longer still
    nlohmann::json object = nlohmann::json::object();
    for (const auto& [key, value] : map) object[name_of(key)] = value;
    return object.dump();
  }
}

/// The tree lives on with what was loaded, so that destroying it does not count, in its favour.
template <class Map>
struct Loaded {
  nlohmann::json tree;
  Map map;
};

template <class Map>
[[nodiscard]] std::unique_ptr<Loaded<Map>> nlohmann_load(const std::filesystem::path& path) {
  auto loaded = std::make_unique<Loaded<Map>>();
  loaded->tree = nlohmann::json::parse(read_file(path));
  Map& map = loaded->map;
  map.reserve(loaded->tree.size());
  for (auto& [name, value] : loaded->tree.template get_ref<nlohmann::json::object_t&>()) {
    auto key = key_from<typename Map::key_type>(name);
    if constexpr (std::is_same_v<typename Map::mapped_type, std::string>)
      map.emplace(std::move(key), std::move(value.template get_ref<std::string&>()));
    else
      map.emplace(std::move(key), value.template get<typename Map::mapped_type>());
  }
  return loaded;
}

// RapidJSON ------------------------------------------------------------------------------------------------

using RapidWriter = rapidjson::Writer<rapidjson::StringBuffer>;

inline void rapidjson_write(RapidWriter& out, const std::string& value) { out.String(value); }
inline void rapidjson_write(RapidWriter& out, std::int64_t value) { out.Int64(value); }
inline void rapidjson_write(RapidWriter& out, double value) { out.Double(value); }
inline void rapidjson_write(RapidWriter& out, const Person& value) {
  out.StartObject();
  out.Key("name"), out.String(value.name);
  out.Key("age"), out.Int(value.age);
  out.Key("email"), out.String(value.email);
  out.Key("tags"), out.StartArray();
  for (const std::string& tag : value.tags) out.String(tag);
  out.EndArray();
  out.Key("score"), out.Double(value.score);
  out.EndObject();
}

/// Into a buffer that keeps its memory from one time to the next, in its favour.
template <class Map>
void rapidjson_dump(rapidjson::StringBuffer& buffer, const Map& map) {
  buffer.Clear();
  RapidWriter out{buffer};
  out.StartObject();
  for (const auto& [key, value] : map) {
    const auto& name = name_of(key);
    out.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
    rapidjson_write(out, value);
  }
  out.EndObject();
}

// simdjson, on demand --------------------------------------------------------------------------------------

using SimdValue = simdjson::ondemand::value;

inline void simdjson_read(SimdValue in, std::string& value) { value = std::string_view{in.get_string()}; }
inline void simdjson_read(SimdValue in, std::int64_t& value) { value = in.get_int64(); }
inline void simdjson_read(SimdValue in, double& value) { value = in.get_double(); }
inline void simdjson_read(SimdValue in, Person& value) {
  simdjson::ondemand::object object = in.get_object();
  simdjson_read(object["name"], value.name);
  value.age = static_cast<int>(std::int64_t{object["age"].get_int64()});
  simdjson_read(object["email"], value.email);
  for (auto tag : object["tags"].get_array()) value.tags.emplace_back(std::string_view{tag.get_string()});
  simdjson_read(object["score"], value.score);
}

template <class Map>
[[nodiscard]] Map simdjson_load(const std::filesystem::path& path) {
  const simdjson::padded_string text = simdjson::padded_string::load(path.string());
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document = parser.iterate(text);
  Map map;
  for (auto field : document.get_object()) {
    auto key = key_from<typename Map::key_type>(std::string_view{field.unescaped_key()});
    typename Map::mapped_type value{};
    simdjson_read(field.value(), value);
    map.emplace(std::move(key), std::move(value));
  }
  return map;
}

}  // namespace bench
