// SPDX-License-Identifier: MIT
#pragma once

// Writes a file that is one JSON object, one entry a line. Needs the memory of one block of lines.

#include <string_view>

#include "kvstore/detail/json/entry_line.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/line_source.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Assembles lines into an object. `Output` has `append(std::string_view)`.
template <class Output>
class ObjectWriter {
 public:
  explicit ObjectWriter(Output& out) : out_{out} {}

  /// Takes one line or more.
  void append(std::string_view lines) {
    if (empty_) {
      out_.append(kObjectStart);
      lines.remove_prefix(1);  // the comma before the first line
    }
    empty_ = false;
    out_.append(lines);
  }
  /// Takes an entry whose value is JSON. @throws ValueError for invalid UTF-8 in the key
  void append(std::string_view key, std::string_view json) {
    line_.clear();
    write_entry_line(line_, key, json);
    append(line_.text());
  }
  void finish() { out_.append(empty_ ? kEmptyObject : kObjectEnd); }

 private:
  Output& out_;
  JsonWriter line_;
  bool empty_ = true;
};

/// Writes every entry of `source` to `out`, which has `append(std::string_view)`.
/// @throws ValueError for an entry named `kSchemaVersionKey`
template <class Output>
void write_json_entries(Output& out, ChangeSource& source) {
  ObjectWriter object{out};
  if (source.schema_version() != 0) {
    JsonWriter version;
    version.integer(source.schema_version());
    object.append(kSchemaVersionKey, version.text());
  }
  if (LineSource* const lines = source.lines()) {
    for (EntryLines some; lines->next_lines(some);) object.append(some.text);
    return object.finish();
  }
  for (Change entry; source.next(entry);) {
    if (!entry.value) continue;  // a full save contains no removals
    if (entry.key == kSchemaVersionKey) throw_reserved("key \"$schema_version\": ");
    object.append(entry.key, *entry.value);
  }
  object.finish();
}

}}}  // namespace kvstore::v1::detail
