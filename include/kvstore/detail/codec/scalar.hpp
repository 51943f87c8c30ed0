// SPDX-License-Identifier: MIT
#pragma once

// Codecs of booleans, numbers, strings and durations.

#include <chrono>
#include <string>
#include <string_view>
#include <variant>

#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/missing.hpp"
#include "kvstore/detail/json/number.hpp"
#include "kvstore/detail/text/utf8.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_text.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Rep, class Period>
struct DurationCodec {
  using Duration = std::chrono::duration<Rep, Period>;
  static constexpr auto kKind = json_kind<Rep>();
  static constexpr bool kFlat = FlatCodec<Rep>;
  static void check(const Duration& value) { check_value(value.count()); }
  static void encode(const Duration& value, JsonWriter& out) { Codec<Rep>::encode(value.count(), out); }
  static Duration decode(JsonReader& in) { return Duration{Codec<Rep>::decode(in)}; }
};

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

template <>
struct Codec<bool> {
  static constexpr auto kKind = detail::JsonKind::boolean;
  static constexpr bool kFlat = true;
  static void check(const bool&) noexcept {}
  static void encode(const bool& value, JsonWriter& out) { out.boolean(value); }
  static bool decode(JsonReader& in) { return in.boolean(); }
};

/// Integers of every width; character types as their code.
template <JsonInteger T>
struct Codec<T> {
  static constexpr auto kKind = detail::JsonKind::number;
  static constexpr bool kFlat = true;
  static void check(const T&) noexcept {}
  static void encode(const T& value, JsonWriter& out) { out.integer(value); }
  static T decode(JsonReader& in) { return in.integer<T>(); }
};

template <JsonFloat T>
struct Codec<T> {
  static constexpr auto kKind = detail::JsonKind::number;
  static constexpr bool kFlat = true;
  static void check(const T& value) { detail::check_finite(value); }
  static void encode(const T& value, JsonWriter& out) { out.number(value); }
  static T decode(JsonReader& in) { return in.number<T>(); }
};

/// Refused: other programs would read its text as a `double` and write back fewer digits.
template <>
struct Codec<long double> : detail::MissingCodec<long double> {};

template <class Traits, class Allocator>
struct Codec<std::basic_string<char, Traits, Allocator>> {
  using String = std::basic_string<char, Traits, Allocator>;
  static constexpr auto kKind = detail::JsonKind::string;
  static constexpr bool kFlat = true;
  static void check(const String& value) { detail::check_utf8({value.data(), value.size()}); }
  static void encode(const String& value, JsonWriter& out) { out.string({value.data(), value.size()}); }
  static String decode(JsonReader& in) {
    const std::string_view text = in.string();
    return String(text.data(), text.size());
  }
};

/// Durations as their count; the unit is in the type.
template <class Rep, class Period>
struct Codec<std::chrono::duration<Rep, Period>>
    : detail::CodecIf<detail::HasOwnCodec<Rep>, detail::DurationCodec<Rep, Period>,
                      std::chrono::duration<Rep, Period>> {};

/// An empty value, as the alternative of a variant.
template <>
struct Codec<std::monostate> {
  static constexpr bool kFlat = true;
  static void check(const std::monostate&) noexcept {}
  static void encode(const std::monostate&, JsonWriter& out) { out.null(); }
  static std::monostate decode(JsonReader& in) { return in.null(), std::monostate{}; }
};

}}  // namespace kvstore::v1
