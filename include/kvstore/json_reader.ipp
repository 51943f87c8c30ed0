// SPDX-License-Identifier: MIT
#pragma once

// The definitions of json_reader.hpp.

#include <bitset>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/utf8_sequence.hpp"
#include "kvstore/detail/json/escape.hpp"
#include "kvstore/detail/json/number.hpp"
#include "kvstore/detail/json/space.hpp"
#include "kvstore/detail/json/unescaped_text.hpp"
#include "kvstore/detail/text/byte_block.hpp"
#include "kvstore/detail/text/utf8.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_text.hpp"

namespace kvstore { inline namespace v1 {

KVSTORE_INLINE void JsonReader::skip_space() noexcept {
  while (at_ != end_ && detail::is_json_space(*at_)) ++at_;
}

KVSTORE_INLINE char JsonReader::peek() noexcept {
  skip_space();
  return at_ != end_ ? *at_ : '\0';
}

KVSTORE_INLINE bool JsonReader::try_consume(char byte) noexcept {
  if (peek() != byte || at_ == end_) return false;
  ++at_;
  return true;
}

KVSTORE_INLINE void JsonReader::expect(char byte) {
  if (!try_consume(byte)) fail_expecting(byte);
}

KVSTORE_INLINE bool JsonReader::try_text(std::string_view text) noexcept {
  const std::string_view rest{at_, static_cast<std::size_t>(end_ - at_)};
  if (!rest.starts_with(text)) return false;
  at_ += text.size();
  return true;
}

KVSTORE_INLINE bool JsonReader::boolean() {
  const bool value = peek() == 't';
  keyword(value ? "true" : "false", "expected true or false");
  return value;
}

KVSTORE_INLINE void JsonReader::finish() {
  if (peek() != '\0' || at_ != end_) fail("expected the end of the text");
}

KVSTORE_INLINE void JsonReader::enter() {
  if (depth_ == kMaxDepth) fail("expected at most 512 levels of nesting");
  ++depth_;
}

KVSTORE_INLINE void JsonReader::fail(const std::string& expected) const {
  throw ParseError{position(), at_ == end_ ? expected + ", but the text ends" : expected};
}

KVSTORE_INLINE void JsonReader::fail_at(std::size_t offset, const std::string& expected) {
  throw ParseError{offset, expected};
}

KVSTORE_INLINE JsonNumber JsonReader::number_text() {
  skip_space();
  const JsonNumber number = detail::scan_number(at_, end_);
  if (number.text.empty()) fail("expected a number");
  at_ += number.text.size();
  return number;
}

KVSTORE_INLINE std::string_view JsonReader::string() {
  if (peek() != '"') fail("expected a string");
  string_ = ++at_;
  bool beyond_ascii = skip_plain();
  std::string_view text{string_, static_cast<std::size_t>(at_ - string_)};
  if (at_ != end_ && *at_ == '\\') {
    unescaped_.clear();
    unescaped_.append(text);
    beyond_ascii |= unescape_rest();
    text = unescaped_.view();
  }
  if (at_ == end_) fail_in_string("expected the closing quote of a string");
  if (*at_ != '"') fail_in_string("expected a control character in a string to be escaped");
  if (beyond_ascii) require_utf8();
  ++at_;
  return text;
}

/// Moves to the first byte of a string that does not stand for itself: a quote, a backslash, a control
/// character, or the end of the text. @returns whether there were bytes beyond ASCII.
KVSTORE_INLINE bool JsonReader::skip_plain() noexcept {
  bool beyond_ascii = false;
  const char* at = at_;  // a local copy, which the compiler keeps in a register
  while (true) {
    while (end_ - at >= detail::kBlockSize && detail::special_bits(detail::load_block(at)) == 0) {
      at += detail::kBlockSize;
    }
    const detail::TextStep step = detail::text_step(at, static_cast<std::size_t>(end_ - at));
    beyond_ascii |= step.beyond_ascii;
    at += step.plain;
    if (step.ends_at_escape || at == end_) break;
  }
  at_ = at;
  return beyond_ascii;
}

/// Writes the string from a backslash on into `unescaped_`, without its escapes, 16 bytes at a time. Whole
/// blocks are copied, and the bytes after the plain part are overwritten. @returns as `skip_plain`
KVSTORE_INLINE bool JsonReader::unescape_rest() {
  bool beyond_ascii = false;
  while (at_ != end_) {
    const detail::TextStep step = detail::text_step(at_, static_cast<std::size_t>(end_ - at_));
    detail::store_block(unescaped_.room(detail::kBlockSize), step.block);
    unescaped_.advance(step.plain);
    beyond_ascii |= step.beyond_ascii;
    at_ += step.plain;
    if (!step.ends_at_escape) continue;
    if (*at_ != '\\') break;
    unescape();
  }
  return beyond_ascii;
}

/// Reads the escape that a backslash starts.
KVSTORE_INLINE void JsonReader::unescape() {
  ++at_;
  if (at_ != end_ && *at_ == 'u') {
    ++at_;
    return unescaped_.advance(detail::write_utf8(unescaped_.room(4), escaped_code_point()));
  }
  const bool has_letter = at_ != end_ && detail::is_ascii(*at_);
  const char byte = has_letter ? detail::kJsonUnescapes[static_cast<unsigned char>(*at_)] : '\0';
  if (byte == '\0') fail_in_string("expected one of \"\\/bfnrtu after a backslash");
  ++at_;
  *unescaped_.room(1) = byte;
  unescaped_.advance(1);
}

/// Refuses the string being read, because of the byte at the current position, or of invalid UTF-8 before it.
KVSTORE_INLINE void JsonReader::fail_in_string(const char* expected) {
  require_utf8();
  fail(expected);
}

/// Checks the string being read, up to the current position.
KVSTORE_INLINE void JsonReader::require_utf8() {
  const char* const bad = detail::find_invalid_utf8(string_, at_);
  if (bad == at_) return;
  at_ = bad;
  fail("expected valid UTF-8");
}

KVSTORE_INLINE char32_t JsonReader::escaped_code_point() {
  const char32_t first = four_hex_digits();
  if (first < 0xD800 || first > 0xDFFF) return first;
  const bool is_high = first < 0xDC00;
  if (!is_high || end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u')
    fail_in_string("expected a pair of surrogates");
  at_ += 2;
  const char32_t second = four_hex_digits();
  if (second < 0xDC00 || second > 0xDFFF) fail_in_string("expected the second of a pair of surrogates");
  return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
}

KVSTORE_INLINE char32_t JsonReader::four_hex_digits() {
  unsigned code = 0;
  const char* const stop = end_ - at_ < 4 ? end_ : at_ + 4;
  const auto result = std::from_chars(at_, stop, code, 16);
  if (stop - at_ != 4 || result.ptr != stop) fail_in_string("expected four hexadecimal digits after \\u");
  at_ = stop;
  return code;
}

/// Works without recursion, which would take stack space for each level.
KVSTORE_INLINE std::string_view JsonReader::skip_value() {
  std::bitset<kMaxDepth> in_object;  // by level, from this value on
  std::size_t open = 0;
  skip_space();
  const char* const start = at_;
  bool at_value = true;
  while (true) {
    const char first = at_value ? peek() : '\0';
    if (first == '{' || first == '[') {
      ++at_;
      enter();
      in_object[open++] = first == '{';
      at_value = peek() != (first == '{' ? '}' : ']');
      if (at_value && first == '{') skip_name();
      continue;
    }
    if (at_value) skip_scalar(first);
    if (open == 0) break;
    at_value = skip_separator(in_object[open - 1]);
    if (!at_value) --open;
  }
  return {start, static_cast<std::size_t>(at_ - start)};
}

KVSTORE_INLINE void JsonReader::skip_name() {
  static_cast<void>(string());
  expect(':');
}

/// Whether another element or member follows. If not, leaves the array or object.
KVSTORE_INLINE bool JsonReader::skip_separator(bool in_object) {
  if (try_consume(',')) {
    if (in_object) skip_name();
    return true;
  }
  if (!try_consume(in_object ? '}' : ']')) fail(in_object ? "expected ',' or '}'" : "expected ',' or ']'");
  leave();
  return false;
}

KVSTORE_INLINE void JsonReader::skip_scalar(char first) {
  if (first == '"') {
    static_cast<void>(string());
  } else if (first == 'n') {
    null();
  } else if (first == 't' || first == 'f') {
    static_cast<void>(boolean());
  } else if (first == '-' || (first >= '0' && first <= '9')) {
    static_cast<void>(number_text());
  } else {
    fail("expected a value");
  }
}

KVSTORE_INLINE void JsonReader::keyword(std::string_view word, const char* expected) {
  skip_space();
  const std::string_view rest{at_, static_cast<std::size_t>(end_ - at_)};
  if (!rest.starts_with(word)) fail(expected);
  at_ += word.size();
}

}}  // namespace kvstore::v1
