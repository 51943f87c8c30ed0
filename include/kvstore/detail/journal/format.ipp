// SPDX-License-Identifier: MIT
#pragma once

// The definitions of format.hpp.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kvstore/detail/base/hex.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/contract/entry_error.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The value of each byte as a lower-case hex digit; others have the highest bit.
inline constexpr auto kHexValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(0x80);
  for (std::size_t i = 0; i < kHexDigits.size(); ++i)
    values[static_cast<unsigned char>(kHexDigits[i])] = static_cast<std::uint8_t>(i);
  return values;
}();

KVSTORE_INLINE std::optional<std::uint32_t> parse_crc(std::string_view digits) noexcept {
  if (digits.size() != kCrcDigits) return std::nullopt;
  std::uint32_t crc = 0;
  std::uint32_t all = 0;
  for (const char digit : digits) {
    const std::uint32_t value = kHexValues[static_cast<unsigned char>(digit)];
    all |= value;
    crc = (crc << 4) | (value & 0xF);
  }
  if (all > 0xF) return std::nullopt;
  return crc;
}

KVSTORE_INLINE void write_base_id(JsonWriter& out, const BaseId& id) {
  if (!id.exists) return out.null();
  out.raw(R"({"size":)");
  out.integer(id.size);
  out.raw(R"(,"crc32c":")");
  const auto digits = crc_digits(id.crc);
  out.raw({digits.data(), digits.size()});
  out.raw("\"}");
}

KVSTORE_INLINE void write_header(JsonWriter& out, const JournalHeader& header) {
  out.raw(R"({"kvstore_journal":)");
  out.integer(header.version);
  out.raw(R"(,"id":)");
  out.string(header.id);
  out.raw(R"(,"revision":)");
  out.integer(header.revision);
  if (header.base) {
    out.raw(R"(,"snapshot":)");
    write_base_id(out, *header.base);
  }
  if (!header.follows.empty()) {
    out.raw(R"(,"follows":)");
    out.string(header.follows);
    out.raw(R"(,"bytes":)");
    out.integer(header.follows_bytes);
  }
  out.raw('}');
}

/// Removes the part of `text` that matches `pattern` from its front; false if the rest of `text` does not
/// match. In a pattern, x is a hex digit, and # any number of digits.
KVSTORE_INLINE bool remove_matching(std::string_view& text, std::string_view pattern) noexcept {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_hex = [](char c) { return kHexDigits.find(c) != std::string_view::npos; };
  for (; !pattern.empty() && !text.empty(); pattern.remove_prefix(1)) {
    if (pattern.front() == '#') {
      while (!text.empty() && is_digit(text.front())) text.remove_prefix(1);
      continue;
    }
    if (pattern.front() == 'x' ? !is_hex(text.front()) : text.front() != pattern.front()) return false;
    text.remove_prefix(1);
  }
  return true;
}

KVSTORE_INLINE bool begins_header(std::string_view text) noexcept {
  constexpr std::string_view kStarts[] = {
      R"(xxxxxxxx {"kvstore_journal":1,"id":"xxxxxxxxxxxxxxxx")",
      R"(xxxxxxxx {"kvstore_journal":2,"id":"xxxxxxxxxxxxxxxx","revision":#)"};
  constexpr std::string_view kRests[] = {"}", R"(,"snapshot":null})",
                                         R"(,"snapshot":{"size":#,"crc32c":"xxxxxxxx"}})",
                                         R"(,"follows":"xxxxxxxxxxxxxxxx","bytes":#})"};
  for (const std::string_view start : kStarts) {
    for (const std::string_view end : kRests) {
      std::string_view rest = text;
      if (remove_matching(rest, start) && remove_matching(rest, end) && rest.empty()) return true;
    }
  }
  return false;
}

KVSTORE_INLINE void write_base(JsonWriter& out, const BaseId& id) {
  out.raw(R"({"snapshot":)");
  write_base_id(out, id);
  out.raw('}');
}

KVSTORE_INLINE void write_on_one_line(JsonWriter& out, std::string_view json) {
  for (std::size_t feed = json.find('\n'); feed != std::string_view::npos; feed = json.find('\n')) {
    out.raw(json.substr(0, feed));
    out.raw(' ');
    json.remove_prefix(feed + 1);
  }
  out.raw(json);
}

KVSTORE_INLINE void write_change(JsonWriter& out, const Change& change) {
  out.raw('[');
  out.string(change.key);
  if (change.value) {
    out.raw(',');
    write_on_one_line(out, *change.value);
  }
  out.raw(']');
}

KVSTORE_INLINE void write_step(JsonWriter& out, std::span<const Change> step) {
  if (step.size() == 1) return write_change(out, step.front());
  out.raw('[');
  for (std::size_t i = 0; i < step.size(); ++i) {
    if (i != 0) out.raw(',');
    write_change(out, step[i]);
  }
  out.raw(']');
}

KVSTORE_INLINE std::size_t longest_line(std::span<const Change> step) noexcept {
  std::size_t bytes = 2;
  for (const Change& change : step)
    bytes += 8 + 6 * change.key.size() + (change.value ? change.value->size() : 0);
  return bytes;
}

KVSTORE_INLINE BaseId read_base_id(JsonReader& in) {
  if (in.peek() == 'n') {
    in.null();
    return {};
  }
  BaseId id;
  id.exists = true;
  in.expect('{');
  for (bool more = true; more; more = in.try_consume(',')) {
    const std::string name{in.string()};
    in.expect(':');
    const std::size_t at = in.position();
    if (name == "size") {
      id.size = in.integer<std::uint64_t>();
    } else if (name == "crc32c") {
      const auto crc = parse_crc(in.string());
      if (!crc) throw ParseError{at, "expected eight lower-case hex digits"};
      id.crc = *crc;
    } else {
      in.skip_value();
    }
  }
  in.expect('}');
  return id;
}

KVSTORE_INLINE std::uint64_t read_revision(JsonReader& in) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 62U;  // a thousand years of operations
  const std::size_t at = in.position();
  const auto revision = in.integer<std::uint64_t>();
  if (revision > kMost) throw ParseError{at, "expected a revision of at most 2^62"};
  return revision;
}

KVSTORE_INLINE void read_object(JsonReader& in, JournalHandler& handler) {
  JournalHeader header;
  bool is_header = false;
  in.expect('{');
  for (bool more = true; more; more = in.try_consume(',')) {
    const std::string name{in.string()};
    in.expect(':');
    if (name == "kvstore_journal") {
      is_header = true;
      header.version = in.integer<std::uint64_t>();
      if (header.version > kJournalVersion) return handler.on_header(header);  // the rest may be anything
    } else if (name == "id")
      header.id = in.string();
    else if (name == "revision")
      header.revision = read_revision(in);
    else if (name == "snapshot")
      header.base = read_base_id(in);
    else if (name == "follows")
      header.follows = in.string();
    else if (name == "bytes")
      header.follows_bytes = in.integer<std::uint64_t>();
    else
      in.skip_value();
  }
  in.expect('}');
  if (is_header)
    handler.on_header(header);
  else if (header.base)
    handler.on_base(*header.base);
  else
    throw ParseError{0, "expected a header or a base"};
}

KVSTORE_INLINE void read_change(JsonReader& in, JournalHandler& handler, std::string& key) {
  const std::size_t key_at = in.position();
  key = in.string();
  Change change{key, std::nullopt};
  std::size_t value_at = 0;
  if (in.try_consume(',')) {
    change.value = in.skip_value();
    value_at = in.position() - change.value->size();
    if (in.peek() == ',')
      throw ParseError{in.position(), "expected no expiry; a newer release has written it, and can read it"};
  }
  in.expect(']');
  try {
    handler.on_change(change);
  } catch (const EntryError& error) {
    throw error.moved_by(error.part() == EntryPart::key ? key_at - error.offset() : value_at);
  }
}

KVSTORE_INLINE void read_body(std::string_view body, JournalHandler& handler, std::string& key) {
  JsonReader in{body};
  if (in.peek() == 'n') {
    in.null();
    handler.on_mark();
  } else if (in.peek() == '{') {
    read_object(in, handler);
  } else {
    in.expect('[');
    if (in.try_consume(']')) {
      handler.on_clear();
    } else if (in.peek() != '[') {
      read_change(in, handler, key);
    } else {
      for (bool more = true; more; more = in.try_consume(',')) {
        in.expect('[');
        read_change(in, handler, key);
      }
      in.expect(']');
    }
  }
  in.finish();
}

}}}  // namespace kvstore::v1::detail
