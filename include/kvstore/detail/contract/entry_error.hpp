// SPDX-License-Identifier: MIT
#pragma once

// Errors about one entry on its way from a storage to a store, and the words for a type that does not fit.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The part of an entry to which an offset refers.
enum class EntryPart : std::uint8_t { key, value };

/// The text of an entry's key or value is not what the store's types want.
class EntryError : public ParseError {
 public:
  EntryError(EntryPart part, std::size_t offset, const std::string& expected, std::string_view key)
      : ParseError{offset, expected}, part_{part}, key_{key} {}

  /// The part in whose text `offset` counts.
  [[nodiscard]] EntryPart part() const noexcept { return part_; }
  /// The text of the entry's key.
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  /// The same error for a text in which the part begins at `offset`.
  [[nodiscard]] EntryError moved_by(std::size_t offset) const {
    return {part_, this->offset() + offset, what(), key_};
  }

 private:
  EntryPart part_;
  std::string key_;
};

/// Throws `error` anew about a key. @throws EntryError
[[noreturn]] void throw_key_error(const ParseError& error, std::string_view key);

/// Throws `error` anew about a value. If the value is valid JSON, the message says that the types may differ.
/// @throws EntryError
[[noreturn]] void throw_value_error(const ParseError& error, std::string_view key, std::string_view value);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/contract/entry_error.ipp"
#endif
