// SPDX-License-Identifier: MIT
#pragma once

// How keys and values become JSON text and come back.

// IWYU pragma: begin_exports
#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/enum.hpp"
#include "kvstore/detail/codec/fields.hpp"
#include "kvstore/detail/codec/map.hpp"
#include "kvstore/detail/codec/optional.hpp"
#include "kvstore/detail/codec/scalar.hpp"
#include "kvstore/detail/codec/sequence.hpp"
#include "kvstore/detail/codec/tree.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_text.hpp"
#include "kvstore/json_writer.hpp"
// IWYU pragma: end_exports

namespace kvstore { inline namespace v1 {

/// Writes a `T` as one JSON value and reads it back.
///
/// | type | JSON |
/// |---|---|
/// | `bool` | `true`, `false` |
/// | integers, character types, durations | a number without fraction; on reading it must fit |
/// | `float`, `double` | a number that reads back bit for bit; NaN and infinity are refused |
/// | `std::string` | a string; invalid UTF-8 is refused |
/// | enums | a number, or what `NLOHMANN_JSON_SERIALIZE_ENUM` says |
/// | `nlohmann::json`, `nlohmann::ordered_json` | itself |
/// | `vector`, `list`, `deque`, sets | an array |
/// | `array`, `pair`, `tuple` | an array of exactly that length |
/// | maps | an object; with keys other than strings, integers and enums an array of `[key, value]` |
/// | `optional`, `unique_ptr` | null or the value, which must not be null itself |
/// | `variant` | `[index, value]` |
/// | types with a list of `kvstore::fields` | an object with these members |
/// | types with `to_json` and `from_json` | what they make; a number that does not fit its field is refused |
///
/// What needs nlohmann/json (trees, enums with names, types with `to_json` and `from_json`) needs
/// `#include <nlohmann/json.hpp>` in the program; nothing else does.
///
/// For any other type specialise it before its first use:
///
/// ```cpp
/// template <>
/// struct kvstore::Codec<Celsius> {
///   static void encode(const Celsius& value, kvstore::JsonWriter& out) { out.number(value.degrees); }
///   static Celsius decode(kvstore::JsonReader& in) { return {in.number<double>()}; }
/// };
/// ```
///
/// `encode` writes exactly one value and throws `ValueError` for what could not be read back; it may leave
/// part of it behind then. `decode` reads exactly one value and throws `ParseError` (best by the reader's own
/// functions) for what `encode` could not have written. `decode(encode(x))` must equal `x`. Where telling
/// whether a value can be encoded is cheaper than encoding it, add `static void check(const T&)`, which
/// throws `ValueError`.
///
/// *Thread safety*: the functions are called from several threads at once.
template <class T>
struct Codec : detail::CodecIf<detail::DomConvertible<T>, detail::ConvertedCodec<T>, T> {};

}}  // namespace kvstore::v1
