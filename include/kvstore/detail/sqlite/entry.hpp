// SPDX-License-Identifier: MIT
#pragma once

// One row of table `entries` as text. Needs the component kvstore::sqlite.

#include <sqlite3.h>

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/codec.hpp"
#include "kvstore/detail/sqlite/database.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/key_text.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The number under which a key of an integer type is stored; none if it is too large for SQLite.
[[nodiscard]] inline std::optional<std::int64_t> sqlite_integer(std::string_view key) noexcept {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  if (error != std::errc{} || end != key.data() + key.size()) return std::nullopt;  // above 2^63 - 1
  return number;
}

/// A hash of a set of entries: the sum of the hashes of each. Different sets differ in it, except by
/// coincidence.
using EntryDigest = std::uint64_t;

[[nodiscard]] inline EntryDigest digest_of(std::string_view key, std::string_view value) noexcept {
  constexpr EntryDigest kOdd = 0x9E3779B97F4A7C15;
  const std::hash<std::string_view> hash;
  const EntryDigest both = (EntryDigest{hash(key)} ^ kOdd) * kOdd + hash(value);
  return (both ^ both >> 29) * kOdd;
}

class SqliteEntry {
 public:
  /// `path` is for messages.
  explicit SqliteEntry(std::filesystem::path path) : path_{std::move(path)} {}

  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  [[nodiscard]] const std::string& value() const noexcept { return value_; }
  /// Whether the key is stored as INTEGER.
  [[nodiscard]] bool has_integer_key() const noexcept { return has_integer_key_; }
  [[nodiscard]] EntryDigest digest() const noexcept { return digest_of(key_, value_); }

  /// Reads columns `key, value`. @throws CorruptionError if they are not an entry
  void read(const SqliteStatement& row) {
    const int type = row.type(0);
    has_integer_key_ = type == SQLITE_INTEGER;
    if (has_integer_key_) {
      key_ = std::to_string(row.integer(0));
    } else if (type == SQLITE_TEXT) {
      key_ = row.text(0);
    } else {
      throw CorruptionError{path_, "table entries", "expected each key to be INTEGER or TEXT"};
    }
    read_value(row, 1);
  }

  /// Reads column `value` for a known key.
  void read(std::string_view key, const SqliteStatement& row) {
    key_ = key;
    read_value(row, 0);
  }

  [[noreturn]] void throw_damaged(const std::string& why) const {
    throw CorruptionError{path_, "entry " + KeyText<std::string>::for_message(key_), why};
  }

 private:
  void read_value(const SqliteStatement& row, int column) {
    switch (row.type(column)) {
      case SQLITE_TEXT:
        value_ = row.text(column);
        return;
      case SQLITE_INTEGER:
        value_ = std::to_string(row.integer(column));
        return;
      case SQLITE_FLOAT: {
        JsonWriter text;
        try {
          Codec<double>::encode(row.real(column), text);
        } catch (const ValueError& error) { throw_damaged(error.what()); }
        value_ = text.text();
        return;
      }
      default:
        throw_damaged("expected JSON text as value, found a BLOB or NULL");
    }
  }

  std::filesystem::path path_;
  std::string key_;
  std::string value_;
  bool has_integer_key_ = false;
};

}}}  // namespace kvstore::v1::detail
