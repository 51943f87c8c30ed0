// SPDX-License-Identifier: MIT
#pragma once

// The contents of a journal, line by line. The format page with the reasons is tests/format/JOURNAL.md.
//
//   line     = crc separator body newline      crc: CRC-32C of separator and body, 8 lower-case hex digits
//   separator= " " | "|" offset " "            offset: all bytes of this file before it were synced earlier
//   body     = header | step | base | null     one JSON value

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kvstore/journal_format.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Reads exactly eight lower-case hex digits.
[[nodiscard]] std::optional<std::uint32_t> parse_crc(std::string_view digits) noexcept;

// Bodies ---------------------------------------------------------------------------------------------------

void write_base_id(JsonWriter& out, const BaseId& id);

void write_header(JsonWriter& out, const JournalHeader& header);

/// Whether `text` could be the first bytes of a header's line as written by `write_header`, without its line
/// feed.
[[nodiscard]] bool begins_header(std::string_view text) noexcept;

/// `{"snapshot":…}`: from here on the file continues that snapshot as well.
void write_base(JsonWriter& out, const BaseId& id);

/// JSON may have line feeds between its tokens, as in hand-edited text; they are replaced by spaces, which
/// mean the same there.
void write_on_one_line(JsonWriter& out, std::string_view json);

void write_change(JsonWriter& out, const Change& change);

/// `["key",value]`, `["key"]` for a removal, an array of these for several; `[]` removes every entry.
void write_step(JsonWriter& out, std::span<const Change> step);

/// The greatest possible length of the body of a step: escaping makes a key at most six times as long.
[[nodiscard]] std::size_t longest_line(std::span<const Change> step) noexcept;

[[nodiscard]] BaseId read_base_id(JsonReader& in);

/// Reads an object: a header or a base. Unknown members are skipped.
void read_object(JsonReader& in, JournalHandler& handler);

/// Reads a change after its '['. `key` is memory for its key.
void read_change(JsonReader& in, JournalHandler& handler, std::string& key);

/// Reads one body. `key` is memory for the keys of changes, to be reused. @throws ParseError with the offset
/// in `body`
void read_body(std::string_view body, JournalHandler& handler, std::string& key);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/format.ipp"
#endif
