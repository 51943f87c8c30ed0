// SPDX-License-Identifier: MIT
#pragma once

// The form of the JSON files that this library writes, defined here alone: one object, one entry a line.
//
//   {
//   "key": value,
//   "key": value
//   }

#include <cstddef>
#include <string_view>

#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr std::string_view kEmptyObject = "{}\n";
inline constexpr std::string_view kObjectStart = "{";  // the first line follows, without its comma
inline constexpr std::string_view kObjectEnd = "\n}\n";

inline constexpr std::string_view kBeforeKey = ",\n";
inline constexpr std::string_view kAfterKey = ": ";

inline constexpr std::string_view kFirstKeyStarts = "{\n\"";
inline constexpr std::string_view kNextKeyStarts = ",\n\"";

/// The bytes of a line that belong to neither key nor value, including the two quotes of the key.
inline constexpr std::size_t kLinePunctuation = kBeforeKey.size() + 2 + kAfterKey.size();

/// Writes a line: `write_key` writes the key as a JSON string, `write_value` the value.
template <class WriteKey, class WriteValue>
void write_entry_line(JsonWriter& out, const WriteKey& write_key, const WriteValue& write_value) {
  out.raw(kBeforeKey);
  write_key();
  out.raw(kAfterKey);
  write_value();
}

/// Writes a line from a key's text and a value's JSON.
inline void write_entry_line(JsonWriter& out, std::string_view key, std::string_view json) {
  write_entry_line(out, [&] { out.string(key); }, [&] { out.raw(json); });
}

}}}  // namespace kvstore::v1::detail
