// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "kvstore/storage/json_file.hpp"
#include "support/text_entries.hpp"

namespace support {

/// A JSON file as a store that has opened it holds it: loaded, and so its lock taken.
class OpenJsonFile final : public kvstore::JsonFile {
 public:
  template <class... Arguments>
  explicit OpenJsonFile(Arguments&&... arguments) : JsonFile{std::forward<Arguments>(arguments)...} {
    load_from(*this);
  }
};

}  // namespace support
