// SPDX-License-Identifier: MIT
#pragma once

// Keys of a store that persists. JSON files reserve one name, which is refused on every way in: a file with
// that name as a key could not be opened again, or would be taken for another schema version.

#include <string>
#include <string_view>

#include "kvstore/detail/codec/key.hpp"
#include "kvstore/detail/contract/entry_error.hpp"
#include "kvstore/detail/json/scratch_writer.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_text.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether a key of this type can have the reserved name as its text.
template <class Key>
inline constexpr bool kMayBeReserved = !JsonInteger<Key> && !BareKey<Key>;

/// Refuses a key that has no text, or the reserved one. `key` is the argument for a new entry's key. @throws
/// ValueError
template <class Key, class Checked>
void check_stored_key(const Checked& key) {
  if constexpr (kIsString<Key>) {
    KeyText<Key>::check(key);
    if (std::string_view{key} == kSchemaVersionKey) throw_reserved();
  } else if constexpr (kMayBeReserved<Key>) {
    ScratchWriter text;
    KeyText<Key>::append(key, *text);
    if (text->text() == kSchemaVersionKey) throw_reserved();
  } else {
    KeyText<Key>::check(key);
  }
}

/// Refuses the reserved name as the text of a key that was stored. @throws ParseError
inline void check_stored_text(std::string_view text) {
  if (text != kSchemaVersionKey) return;
  throw ParseError{0, "expected no entry named \"" + std::string{kSchemaVersionKey} +
                          "\", which JSON files keep for Options::schema_version; rename that entry"};
}

/// The same for a key whose stored text is in quotes, but which may be written without. @throws ParseError
template <class Key>
void check_written_text(const Key& key) {
  ScratchWriter text;
  try {
    KeyText<Key>::append(key, *text);
  } catch (const ValueError&) { return; }  // such a key is never written
  check_stored_text(text->text());
}

/// The key of a stored text, or of the text of a removal. @throws EntryError
template <class Key>
[[nodiscard]] Key parse_entry_key(std::string_view text) {
  try {
    return KeyText<Key>::parse(text);
  } catch (const ParseError& error) { throw_key_error(error, text); }
}

/// The key of a stored text. @throws ParseError
template <class Key>
[[nodiscard]] Key parse_stored_key(std::string_view text) {
  if constexpr (kMayBeReserved<Key>) check_stored_text(text);
  Key key = parse_entry_key<Key>(text);
  if constexpr (kMayBeReserved<Key> && !kIsString<Key>) {
    if (text.starts_with('"')) check_written_text(key);
  }
  return key;
}

}}}  // namespace kvstore::v1::detail
