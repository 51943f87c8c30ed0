// SPDX-License-Identifier: MIT
#pragma once

// Keys as text without quotes: strings as they are, all other keys as their JSON. Two keys never share a
// text: a key that would share one (an optional string "null" and the empty optional) is refused when
// written.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/json/scratch_writer.hpp"
#include "kvstore/detail/json/space.hpp"
#include "kvstore/detail/text/utf8.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_text.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class T>
inline constexpr bool kIsString = false;
template <class Traits, class Allocator>
inline constexpr bool kIsString<std::basic_string<char, Traits, Allocator>> = true;

/// Keys that are written as a JSON string, an integer, or either of the two.
template <class Key>
concept NameKey = kIsString<Key> || JsonInteger<Key> || std::is_enum_v<Key>;

/// Keys whose JSON is never a string.
template <class Key>
concept BareKey = json_kind<Key>() != JsonKind::any && json_kind<Key>() != JsonKind::string;

/// Reads a text that is exactly one value, without even white space around it.
template <class T>
[[nodiscard]] T decode_whole(std::string_view text) {
  if (!text.empty() && is_json_space(text.front())) {
    JsonReader::fail_at(0, "expected no white space before a key");
  }
  if (!text.empty() && is_json_space(text.back())) {
    JsonReader::fail_at(text.size() - 1, "expected no white space after a key");
  }
  JsonReader in{text};
  T value = Codec<T>::decode(in);
  in.finish();
  return value;
}

template <class T>
[[nodiscard]] std::optional<T> try_decode_whole(std::string_view text) {
  try {
    return decode_whole<T>(text);
  } catch (const ParseError&) { return std::nullopt; }
}

[[nodiscard]] inline std::string to_json_string(std::string_view text) {
  ScratchWriter scratch;
  scratch->string(text);
  return std::string{scratch->text()};
}

/// Whether a key's text is read as JSON first, and only then as the content of a JSON string.
[[nodiscard]] inline bool looks_bare(std::string_view text) noexcept {
  return !text.empty() && std::string_view{"-0123456789[{"}.find(text[0]) != std::string_view::npos;
}

inline void require_utf8_key(std::string_view text) {
  if (!is_valid_utf8(text)) throw ParseError{0, "expected a key of valid UTF-8"};
}

/// @throws ParseError
template <class Key>
[[nodiscard]] Key parse_key(std::string_view text) {
  if constexpr (BareKey<Key>) {
    return decode_whole<Key>(text);
  } else {
    require_utf8_key(text);
    if constexpr (kIsString<Key>) {
      return Key(text.data(), text.size());
    } else {
      const bool bare_first = looks_bare(text);
      const std::string string = to_json_string(text);
      try {
        return decode_whole<Key>(bare_first ? text : string);
      } catch (const ParseError&) {
        if (auto key = try_decode_whole<Key>(bare_first ? string : text)) return std::move(*key);
        throw;  // the first reading is the likelier one
      }
    }
  }
}

/// Turns the JSON of a key, at the end of `out`, into its text.
template <class Key>
void strip_quotes(JsonWriter& out, std::size_t start) {
  const std::string json{out.text().substr(start)};
  const bool is_quoted = json.starts_with('"');
  const std::string text{is_quoted ? JsonReader{json}.string() : json};
  if (looks_bare(text) == is_quoted && try_decode_whole<Key>(is_quoted ? text : to_json_string(text))) {
    throw ValueError{"key " + json + " has the same text as another key of its type"};
  }
  out.truncate(start);
  out.raw(text);
}

/// @throws ValueError
template <class Key>
void append_key(const Key& key, JsonWriter& out) {
  const std::size_t start = out.size();
  Codec<Key>::encode(key, out);
  if constexpr (!BareKey<Key>) strip_quotes<Key>(out, start);
}

/// Writes a key as the name of an object's member.
template <class Key>
void write_name(const Key& key, JsonWriter& out) {
  if constexpr (kIsString<Key>) {
    Codec<Key>::encode(key, out);
  } else if constexpr (JsonInteger<Key>) {
    out.raw('"');
    out.integer(key);
    out.raw('"');
  } else {
    ScratchWriter scratch;
    append_key(key, *scratch);
    out.string(scratch->text());
  }
}

}}}  // namespace kvstore::v1::detail
