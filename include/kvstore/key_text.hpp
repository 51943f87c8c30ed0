// SPDX-License-Identifier: MIT
#pragma once

// Keys as text: for storages, and for messages.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <concepts>
#include <new>
#include <string>
#include <string_view>

#include "kvstore/codec.hpp"
#include "kvstore/detail/base/printable.hpp"
#include "kvstore/detail/codec/key.hpp"
#include "kvstore/detail/json/scratch_writer.hpp"
#include "kvstore/detail/text/utf8.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 {

/// Turns keys into the text under which they are stored, and back. Strings are their own text. Other keys are
/// written as JSON; if the JSON is a string, its quotes and escapes are left out.
///
/// *Thread safety*: the functions are called from several threads at once.
template <class Key>
struct KeyText {
  /// Appends the text of a key.
  /// @throws ValueError if the key could not be read back; `out` may then hold part of the text.
  static void append(const Key& key, JsonWriter& out)
    requires(!detail::kIsString<Key>)
  {
    detail::append_key(key, out);
  }
  /// The same for strings, which are refused unless they are valid UTF-8.
  static void append(std::string_view key, JsonWriter& out)
    requires detail::kIsString<Key>
  {
    detail::check_utf8(key);
    out.raw(key);
  }

  /// The key whose text `append` wrote. Strict: "042", "+5" and " 5" are not integers.
  /// @throws ParseError
  [[nodiscard]] static Key parse(std::string_view text) { return detail::parse_key<Key>(text); }

  /// Refuses a key that has no text.
  /// @throws ValueError
  static void check(const Key& key)
    requires(!detail::kIsString<Key>)
  {
    if constexpr (detail::BareKey<Key> && detail::FlatCodec<Key>) {
      detail::check_value(key);
    } else {
      detail::ScratchWriter scratch;
      append(key, *scratch);
    }
  }
  /// The same for strings.
  static void check(std::string_view key)
    requires detail::kIsString<Key>
  {
    detail::check_utf8(key);
  }

  /// A key as error messages show it: shortened to about 64 bytes, strings in quotes, bytes that are not
  /// printable UTF-8 made visible; "(key)" if there is no codec. Accepts every type that a store can look up,
  /// such as a `std::string_view` for a `std::string`. Throws only `std::bad_alloc`.
  template <class Lookup>
  [[nodiscard]] static std::string for_message(const Lookup& key) {
    if constexpr (detail::HasOwnCodec<Lookup> && !detail::kIsString<Lookup>) {
      return json_for_message(key);
    } else if constexpr (std::convertible_to<const Lookup&, std::string_view>) {
      return detail::printable(key, "\"");
    } else {
      return "(key)";
    }
  }

 private:
  template <class Lookup>
  [[nodiscard]] static std::string json_for_message(const Lookup& key) {
    try {
      detail::ScratchWriter scratch;
      Codec<Lookup>::encode(key, *scratch);
      return detail::printable(scratch->text(), "");
    } catch (const std::bad_alloc&) { throw; } catch (...) {
      return "(key)";
    }
  }
};

}}  // namespace kvstore::v1
