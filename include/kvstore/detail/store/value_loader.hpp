// SPDX-License-Identifier: MIT
#pragma once

// Parses values while they are loaded. Values stored with an older schema version are first brought to that
// of the program.

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <type_traits>

#include "kvstore/codec.hpp"
#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/contract/entry_error.hpp"
#include "kvstore/detail/json/scratch_writer.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/options.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether a key's text is always that of an integer, which some storages store as one.
template <class Key>
inline constexpr bool kIntegerKey = std::is_integral_v<Key> && !std::is_same_v<Key, bool>;

template <class Value>
class ValueLoader {
 public:
  /// Both arguments outlive this object; `path` is for messages.
  ValueLoader(const Options& options, const std::filesystem::path& path) noexcept
      : options_{options}, path_{path} {}

  /// Call before the first `parse`; without a call the stored version is 0. @throws SchemaVersionError
  void stored_version(std::uint32_t version) {
    stored_ = version;
    if (version > options_.schema_version) throw_version();
  }
  [[nodiscard]] std::uint32_t stored_version() const noexcept { return stored_; }
  [[nodiscard]] bool outdated() const noexcept { return stored_ != options_.schema_version; }

  /// @throws EntryError; SchemaVersionError if the value is old and there is no `Options::upgrade`; the
  /// exceptions of `Options::upgrade`
  [[nodiscard]] Value parse(std::string_view key, std::string_view text) const {
    if (outdated()) return upgraded(key, text);
    try {
      return decode(text);
    } catch (const ParseError& error) { throw_value_error(error, key, text); }
  }

 private:
  [[nodiscard]] static Value decode(std::string_view text) {
    JsonReader reader{text};
    Value value = Codec<Value>::decode(reader);
    reader.finish();
    return value;
  }

  [[nodiscard]] Value upgraded(std::string_view key, std::string_view text) const {
    if (!options_.upgrade) throw_version();
    JsonReader reader{text};
    ScratchWriter scratch;
    options_.upgrade(stored_, key, reader, *scratch);
    return decode(scratch->text());
  }

  [[noreturn]] void throw_version() const {
    throw SchemaVersionError{path_, stored_, options_.schema_version};
  }

  const Options& options_;
  const std::filesystem::path& path_;
  std::uint32_t stored_ = 0;
};

}}}  // namespace kvstore::v1::detail
