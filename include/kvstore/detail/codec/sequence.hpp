// SPDX-License-Identifier: MIT
#pragma once

// Codecs of types that JSON writes as an array: sequences and sets, arrays, pairs and tuples.

#include <array>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kvstore/detail/codec/base.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_text.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Types whose elements a loop can visit.
template <class T>
concept Iterable = requires(const T& value) {
  requires std::input_iterator<decltype(std::ranges::begin(value))>;
  std::ranges::begin(value) != std::ranges::end(value);
};

/// Containers of elements that grow by `push_back` or by `insert` (sets).
template <class T>
concept Sequence =
    Iterable<T> && std::default_initializable<T> && requires(T& out, typename T::value_type element) {
      requires !std::same_as<typename T::value_type, T>;
      requires !requires { typename T::mapped_type; };
      requires requires { out.push_back(std::move(element)); } ||
                   requires { out.insert(std::move(element)); };
    } && !ConvertsItself<T>;

/// Writes the elements between two brackets: `write(element)` for each, with commas between.
template <class Range, class Write>
void write_elements(const Range& range, JsonWriter& out, char open, char close, Write&& write) {
  const NestingGuard depth{out};
  out.raw(open);
  bool first = true;
  for (const auto& element : range) {
    if (!std::exchange(first, false)) out.raw(',');
    write(element);
  }
  out.raw(close);
}

/// Adds an element; false if the container, a set, has it already.
template <class Container, class Element>
bool add_element(Container& out, Element&& element) {
  if constexpr (requires { out.push_back(std::forward<Element>(element)); }) {
    return out.push_back(std::forward<Element>(element)), true;
  } else if constexpr (requires { out.insert(std::forward<Element>(element)).second; }) {
    return out.insert(std::forward<Element>(element)).second;
  } else {
    return out.insert(std::forward<Element>(element)), true;
  }
}

template <class Container>
struct SequenceCodec {
  using Element = typename Container::value_type;
  using Parts = TypeList<Element>;
  static constexpr auto kKind = JsonKind::array;
  static constexpr bool kFlat = true;

  static void check(const Container& value)
    requires FlatCodec<Element>
  {
    for (const auto& element : value) Codec<Element>::check(element);
  }
  static void encode(const Container& value, JsonWriter& out) {
    write_elements(value, out, '[', ']',
                   [&out](const Element& element) { Codec<Element>::encode(element, out); });
  }
  static Container decode(JsonReader& in) {
    Container out;
    in.each_element([&in, &out] {
      in.skip_space();
      const std::size_t offset = in.position();
      if (!add_element(out, Codec<Element>::decode(in))) {
        JsonReader::fail_at(offset, "expected no element twice in a set");
      }
    });
    return out;
  }
};

/// Arrays of a fixed length, whose elements may be of different types.
template <class Tuple, class... Elements>
struct TupleCodec {
  using Parts = TypeList<Elements...>;
  static constexpr auto kKind = JsonKind::array;
  static constexpr bool kFlat = true;

  static void check(const Tuple& value)
    requires(FlatCodec<Elements> && ...)
  {
    std::apply([](const auto&... elements) { (Codec<Elements>::check(elements), ...); }, value);
  }
  static void encode(const Tuple& value, JsonWriter& out) {
    const NestingGuard depth{out};
    out.raw('[');
    [[maybe_unused]] std::size_t index = 0;
    [[maybe_unused]] const auto write = [&]<class Element>(std::type_identity<Element>, const auto& element) {
      if (index++ != 0) out.raw(',');
      Codec<Element>::encode(element, out);
    };
    std::apply([&](const auto&... elements) { (write(std::type_identity<Elements>{}, elements), ...); },
               value);
    out.raw(']');
  }
  static Tuple decode(JsonReader& in) {
    in.expect('[');
    const NestingGuard depth{in};
    [[maybe_unused]] std::size_t index = 0;
    // Braces, since they guarantee evaluation from left to right.
    auto out = Tuple{decode_element<Elements>(in, index)...};
    if (!in.try_consume(']')) in.fail("expected an array of " + std::to_string(sizeof...(Elements)));
    return out;
  }

 private:
  template <class Element>
  static Element decode_element(JsonReader& in, std::size_t& index) {
    if (index++ != 0 && !in.try_consume(',')) {
      in.fail("expected an array of " + std::to_string(sizeof...(Elements)));
    }
    return Codec<Element>::decode(in);
  }
};

template <class T, std::size_t kSize>
struct ArrayCodec {
  using Array = std::array<T, kSize>;
  using Parts = TypeList<T>;
  static constexpr auto kKind = JsonKind::array;
  static constexpr bool kFlat = true;

  static void check(const Array& value)
    requires FlatCodec<T>
  {
    for (const T& element : value) Codec<T>::check(element);
  }
  static void encode(const Array& value, JsonWriter& out) {
    write_elements(value, out, '[', ']', [&out](const T& element) { Codec<T>::encode(element, out); });
  }
  static Array decode(JsonReader& in) {
    Array out{};
    std::size_t index = 0;
    in.each_element([&in, &out, &index] {
      if (index == kSize) in.fail("expected an array of " + std::to_string(kSize));
      out[index++] = Codec<T>::decode(in);
    });
    if (index != kSize) in.fail("expected an array of " + std::to_string(kSize));
    return out;
  }
};

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

/// Sequences and sets as arrays. A duplicate element of a set is refused.
template <detail::Sequence T>
struct Codec<T> : detail::CodecIf<detail::HasOwnCodec<typename T::value_type>, detail::SequenceCodec<T>, T> {
};

/// Arrays, pairs and tuples as arrays of exactly their length.
template <class T, std::size_t kSize>
struct Codec<std::array<T, kSize>>
    : detail::CodecIf<detail::HasOwnCodec<T>, detail::ArrayCodec<T, kSize>, std::array<T, kSize>> {};

template <class First, class Second>
struct Codec<std::pair<First, Second>>
    : detail::CodecIf<detail::HasOwnCodec<First> && detail::HasOwnCodec<Second>,
                      detail::TupleCodec<std::pair<First, Second>, First, Second>, std::pair<First, Second>> {
};

template <class... Elements>
struct Codec<std::tuple<Elements...>>
    : detail::CodecIf<(detail::HasOwnCodec<Elements> && ...),
                      detail::TupleCodec<std::tuple<Elements...>, Elements...>, std::tuple<Elements...>> {};

}}  // namespace kvstore::v1
