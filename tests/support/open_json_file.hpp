// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "kvstore/storage/json_file.hpp"
#include "support/text_entries.hpp"

namespace support {

/// A JSON file as an open store holds it: loaded, and so locked.
class OpenJsonFile final : public kvstore::JsonFile {
 public:
  template <class... Arguments>
  explicit OpenJsonFile(Arguments&&... arguments) : JsonFile{std::forward<Arguments>(arguments)...} {
    load_from(*this);
  }
};

}  // namespace support
