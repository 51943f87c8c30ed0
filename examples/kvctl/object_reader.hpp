// SPDX-License-Identifier: MIT
#pragma once

// A JSON object as a list of entries.

#include <cstddef>
#include <cstdint>
#include <kvstore/codec.hpp>
#include <kvstore/storage.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "entries.hpp"
#include "output.hpp"

namespace kvctl {

struct Imported {
  std::vector<Entry> entries;
  std::uint32_t version = 0;
};

/// The value of `kvstore::kSchemaVersionKey`. @throws kvstore::ParseError
[[nodiscard]] inline std::uint32_t read_schema_version(std::string_view value) {
  kvstore::JsonReader in{value};
  const auto version = in.integer<std::uint32_t>();
  in.finish();
  return version;
}

/// Reads a JSON object as text, strictly.
class ObjectReader {
 public:
  explicit ObjectReader(std::string_view text) : in_{text} {}

  /// @throws kvstore::ParseError
  [[nodiscard]] Imported read() {
    in_.expect('{');
    if (!in_.try_consume('}')) {
      do read_member();
      while (in_.try_consume(','));
      in_.expect('}');
    }
    in_.finish();
    return std::move(result_);
  }

 private:
  void read_member() {
    in_.skip_space();
    const std::size_t at = in_.position();
    std::string key{in_.string()};
    if (!keys_.try_create(key, true))
      kvstore::JsonReader::fail_at(at, "expected each key once, found " + shown(key));
    in_.expect(':');
    in_.skip_space();
    const std::size_t value_at = in_.position();
    const std::string_view value = in_.skip_value();
    try {
      check_strictly(value);
      if (key != kvstore::kSchemaVersionKey) {
        result_.entries.push_back({std::move(key), on_one_line(value)});
        return;
      }
      result_.version = read_schema_version(value);
    } catch (const kvstore::ParseError& error) {
      kvstore::JsonReader::fail_at(value_at + error.offset(), error.what());
    }
    if (keys_.size() != 1) kvstore::JsonReader::fail_at(at, "expected this as the first member only");
  }

  kvstore::JsonReader in_;
  KeySet keys_;
  Imported result_;
};

}  // namespace kvctl
