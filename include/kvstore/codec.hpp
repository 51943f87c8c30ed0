// SPDX-License-Identifier: MIT
#pragma once

// How keys and values become JSON text and come back.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

// IWYU pragma: begin_exports
#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/enum.hpp"
#include "kvstore/detail/codec/fields.hpp"
#include "kvstore/detail/codec/map.hpp"
#include "kvstore/detail/codec/missing.hpp"
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
/// | enums | a number, or the value given by `NLOHMANN_JSON_SERIALIZE_ENUM` |
/// | `nlohmann::json`, `nlohmann::ordered_json` | itself |
/// | `vector`, `list`, sets; `deque` inside a `unique_ptr` | an array |
/// | `array`, `pair`, `tuple` | an array of exactly that length |
/// | maps | an object; with keys other than strings, integers and enums an array of `[key, value]` |
/// | `optional`, `unique_ptr` | null or the value, which must not be null itself |
/// | `variant` | `[index, value]` |
/// | types with a list of `kvstore::fields` | an object with these members |
/// | types with `to_json` and `from_json` | their JSON; a number that does not fit its field is refused |
///
/// Types that need nlohmann/json (trees, enums with names, types with `to_json` and `from_json`) need
/// `#include <nlohmann/json.hpp>` in the program; the others do not. Declare how a type converts before the
/// first use of its codec.
///
/// For any other type, specialise `Codec` before its first use:
///
/// ```cpp
/// template <>
/// struct kvstore::Codec<Celsius> {
///   static void encode(const Celsius& value, kvstore::JsonWriter& out) { out.number(value.degrees); }
///   static Celsius decode(kvstore::JsonReader& in) { return {in.number<double>()}; }
/// };
/// ```
///
/// `encode` writes exactly one value, behind what the writer holds already, which it leaves alone. It throws
/// `ValueError` for a value that could not be read back, and may then leave part of its output behind.
/// `decode` reads exactly one value. It throws `ParseError` (best through the reader's own functions) for
/// text that `encode` could not have written. `decode(encode(x))` must equal `x`. If checking a value is
/// cheaper than encoding it, add `static void check(const T&)`, which throws `ValueError`.
///
/// *Thread safety*: the functions are called from several threads at once, and under locks of the store that
/// they serve: they must not call that store.
template <class T>
struct Codec : detail::CodecIf<detail::DomConvertible<T>, detail::ConvertedCodec<T>, T> {};

}}  // namespace kvstore::v1
