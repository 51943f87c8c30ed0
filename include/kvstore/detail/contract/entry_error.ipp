// SPDX-License-Identifier: MIT
#pragma once

// The definitions of entry_error.hpp.

#include <string>
#include <string_view>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/contract/entry_error.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

[[noreturn]] KVSTORE_INLINE void throw_key_error(const ParseError& error, std::string_view key) {
  throw EntryError{
      EntryPart::key, error.offset(),
      std::string{"in the key: "} + error.what() + "; perhaps a store of another key type wrote it", key};
}

[[noreturn]] KVSTORE_INLINE void throw_value_error(const ParseError& error, std::string_view key,
                                                   std::string_view value) {
  std::string expected = error.what();
  try {
    JsonReader reader{value};
    reader.skip_value();
    reader.finish();
    expected += "; the value is valid JSON, perhaps from a store of other types";
  } catch (const ParseError&) {  // damaged
  }
  throw EntryError{EntryPart::value, error.offset(), expected, key};
}

}}}  // namespace kvstore::v1::detail
