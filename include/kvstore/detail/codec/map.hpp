// SPDX-License-Identifier: MIT
#pragma once

// Codecs of maps: objects if the keys are names (strings, integers, enums) and unique, otherwise arrays of
// pairs.

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/key.hpp"
#include "kvstore/detail/codec/sequence.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_text.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class T>
concept Map = Iterable<T> && std::default_initializable<T> &&
              requires(T& out, typename T::key_type key, typename T::mapped_type value) {
                out.emplace(std::move(key), std::move(value));
              } && !ConvertsItself<T>;

template <class T>
concept UniqueMap = requires(T& out, typename T::key_type key, typename T::mapped_type value) {
  { out.emplace(std::move(key), std::move(value)).second } -> std::convertible_to<bool>;
};

template <class Container>
struct ObjectCodec {
  using Key = typename Container::key_type;
  using Value = typename Container::mapped_type;
  using Parts = TypeList<Key, Value>;
  static constexpr auto kKind = JsonKind::object;
  static constexpr bool kFlat = true;

  static void check(const Container& value)
    requires FlatCodec<Value>
  {
    for (const auto& [key, mapped] : value) {
      check_value(key);
      Codec<Value>::check(mapped);
    }
  }
  static void encode(const Container& value, JsonWriter& out) {
    write_elements(value, out, '{', '}', [&out](const auto& member) {
      write_name<Key>(member.first, out);
      out.raw(':');
      Codec<Value>::encode(member.second, out);
    });
  }
  static Container decode(JsonReader& in) {
    Container out;
    in.each_member([&in, &out](std::string_view name) {
      const std::size_t offset = in.position();
      Key key = parse_name(name, offset);
      if (!out.emplace(std::move(key), Codec<Value>::decode(in)).second) {
        JsonReader::fail_at(offset, "expected no second value for the same key of an object");
      }
    });
    return out;
  }

 private:
  static Key parse_name(std::string_view name, std::size_t offset) {
    try {
      return parse_key<Key>(name);
    } catch (const ParseError& error) {
      throw ParseError{offset, std::string{"in the key before: "} + error.what()};
    }
  }
};

template <class Container>
struct PairListCodec {
  using Key = typename Container::key_type;
  using Value = typename Container::mapped_type;
  using Parts = TypeList<Key, Value>;
  using Entry = TupleCodec<std::pair<Key, Value>, Key, Value>;
  static constexpr auto kKind = JsonKind::array;
  static constexpr bool kFlat = true;

  static void check(const Container& value)
    requires(FlatCodec<Key> && FlatCodec<Value>)
  {
    for (const auto& [key, mapped] : value) {
      Codec<Key>::check(key);
      Codec<Value>::check(mapped);
    }
  }
  static void encode(const Container& value, JsonWriter& out) {
    write_elements(value, out, '[', ']', [&out](const auto& entry) {
      const NestingGuard depth{out};
      out.raw('[');
      Codec<Key>::encode(entry.first, out);
      out.raw(',');
      Codec<Value>::encode(entry.second, out);
      out.raw(']');
    });
  }
  static Container decode(JsonReader& in) {
    Container out;
    in.each_element([&in, &out] {
      in.skip_space();
      const std::size_t offset = in.position();
      if (!add(out, Entry::decode(in))) JsonReader::fail_at(offset, "expected no key twice in a map");
    });
    return out;
  }

 private:
  static bool add(Container& out, std::pair<Key, Value>&& entry) {
    if constexpr (UniqueMap<Container>) {
      return out.emplace(std::move(entry.first), std::move(entry.second)).second;
    } else {
      return out.emplace(std::move(entry.first), std::move(entry.second)), true;
    }
  }
};

template <class Container>
using MapCodec = std::conditional_t<NameKey<typename Container::key_type> && UniqueMap<Container>,
                                    ObjectCodec<Container>, PairListCodec<Container>>;

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

/// Maps as objects, or as arrays of `[key, value]`. A duplicate key is refused unless the map allows
/// duplicates.
template <detail::Map T>
struct Codec<T> : detail::CodecIf<detail::HasOwnCodec<typename T::key_type> &&
                                      detail::HasOwnCodec<typename T::mapped_type>,
                                  detail::MapCodec<T>, T> {};

}}  // namespace kvstore::v1
