// SPDX-License-Identifier: MIT
#pragma once

// The events that a store reports to a log, written by any library.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "kvstore/detail/base/hex.hpp"
#include "kvstore/detail/base/printable.hpp"

namespace kvstore { inline namespace v1 {

/// Severity of a `LogEvent`.
enum class LogLevel : std::uint8_t {
  debug,    ///< each change, with its key, and each save of a batch
  info,     ///< infrequent events: opened, loaded, a whole snapshot saved, compacted, closed
  warning,  ///< a problem that was overcome: a torn journal, a save that is tried again
  error,    ///< a failure
};

/// One figure or word of an event.
struct LogField {
  /// A text, a count, or a number with a fraction, such as seconds.
  using Value = std::variant<std::string_view, std::uint64_t, double>;

  std::string_view name;  ///< such as "entries"
  Value value;            ///< its figure or text
};

/// One thing that happened to a store. Values of entries never appear; keys appear only in events of
/// `LogLevel::debug`. All views are valid only until the logger returns.
///
/// | event | level | fields besides `path` |
/// |---|---|---|
/// | `loaded` | info | `entries`, `bytes`, `seconds` |
/// | `recovered` | info | `records` of a journal that were replayed |
/// | `dropped torn tail` | warning | `file`, `kept`, `offset`, `bytes`: of a journal; `kept` has a copy |
/// | `torn tail not kept` | warning | the same, if `kept` is full (16 MiB): look at `kept` and remove it |
/// | `opened` | info | `entries` |
/// | `upgraded` | info | `entries`, `schema_version` |
/// | `changed` | debug | `verb`, `key` |
/// | `saved` | info, or debug if only changes were saved | `entries`, `bytes`, `seconds` |
/// | `save failed` | error | `error` |
/// | `retried` | warning | `failures` before; the outcome is the next event |
/// | `compacted` | info | `entries`, `bytes`, `seconds` |
/// | `compaction failed` | error | `error` |
/// | `checkpoint written` | info | `to`, `entries`, `bytes`, `seconds` |
/// | `replaced` | info | `from`, `entries`: by `load_from` |
/// | `refreshed` | debug | `entries` |
/// | `closed` | info | |
/// | `node failed` | warning, then debug until it answers | `node`, `error`: a store on servers |
/// | `node answers` | info | `node`, which had failed |
/// | `map changed`, `endpoint changed` | info | `node`: whom a store on Redis, on etcd asks now |
/// | `call failed` | error | `error`: a verb of a store on servers threw |
struct LogEvent {
  LogLevel level;                    ///< how severe it is
  std::string_view event;            ///< its name, as in the table
  std::span<const LogField> fields;  ///< the first is always `path`: the store's file, or empty
};

namespace detail {

inline void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    if (*at == '"' || *at == '\\') out += '\\';
    const char* const next = end_of_printable(at, end);
    if (next == nullptr) {
      out += hex_escape(*at++);
    } else {
      out.append(at, next);
      at = next;
    }
  }
  out += '"';
}

inline void append_value(std::string& out, const LogField::Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) return append_quoted(out, *text);
  char digits[32];
  const auto write = [&](auto number) { return std::to_chars(digits, digits + sizeof digits, number).ptr; };
  const auto* count = std::get_if<std::uint64_t>(&value);
  out.append(digits, count != nullptr ? write(*count) : write(std::get<double>(value)));
}

}  // namespace detail

/// The event in one line, as logfmt writes it: `saved path="data.json" entries=3 bytes=58 seconds=0.0012`.
/// Control characters in texts are escaped, so that a key cannot forge a line.
[[nodiscard]] inline std::string to_string(const LogEvent& event) {
  std::string line{event.event};
  for (const LogField& field : event.fields) {
    (line += ' ').append(field.name) += '=';
    detail::append_value(line, field.value);
  }
  return line;
}

}}  // namespace kvstore::v1
