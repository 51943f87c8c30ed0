// SPDX-License-Identifier: MIT
#pragma once

// Reads JSON text, strictly by RFC 8259. Our own, for two reasons. It reads straight into the caller's types,
// whereas nlohmann's parser copies every string byte by byte and builds a tree. And it refuses every text
// that a conversion would change silently: numbers out of range, lone surrogates, duplicate keys.

#include <bitset>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>

#include "kvstore/detail/json/escape.hpp"
#include "kvstore/detail/json/number.hpp"
#include "kvstore/detail/json/space.hpp"
#include "kvstore/detail/json/unescaped_text.hpp"
#include "kvstore/detail/text/byte_block.hpp"
#include "kvstore/detail/text/utf8.hpp"
#include "kvstore/detail/text/utf8_sequence.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_text.hpp"

namespace kvstore { inline namespace v1 {

/// Reads JSON values one after another from a text that must outlive it.
///
/// Every call skips white space first. A call that does not find the expected value throws `ParseError` with
/// the offset in the text; the reader must not be used afterwards.
///
/// *Thread safety*: none; one thread at a time.
///
/// ```cpp
/// kvstore::JsonReader in{R"([1, 2, 3])"};
/// int sum = 0;
/// in.each_element([&] { sum += in.integer<int>(); });
/// in.finish();
/// ```
class JsonReader {
 public:
  /// A reader at the start of `text`.
  explicit JsonReader(std::string_view text) noexcept
      : begin_{text.data()}, at_{text.data()}, end_{text.data() + text.size()} {}

  /// Offset of the next byte to read.
  [[nodiscard]] std::size_t position() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

  /// Skips white space, so that `position` is that of the next value or punctuation.
  void skip_space() noexcept {
    while (at_ != end_ && detail::is_json_space(*at_)) ++at_;
  }

  /// The first byte of the next value or punctuation; 0 at the end.
  [[nodiscard]] char peek() noexcept {
    skip_space();
    return at_ != end_ ? *at_ : '\0';
  }

  /// Consumes one byte of punctuation if it comes next.
  [[nodiscard]] bool try_consume(char byte) noexcept {
    if (peek() != byte || at_ == end_) return false;
    ++at_;
    return true;
  }
  /// Consumes one byte of punctuation, and refuses any other byte.
  void expect(char byte) {
    if (!try_consume(byte)) fail_expecting(byte);
  }

  /// Consumes `text` if the next bytes, white space included, are exactly equal to it.
  [[nodiscard]] bool try_text(std::string_view text) noexcept {
    const std::string_view rest{at_, static_cast<std::size_t>(end_ - at_)};
    if (!rest.starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  /// Reads `null`.
  void null() { keyword("null", "expected null"); }
  /// Reads `true` or `false`.
  [[nodiscard]] bool boolean() {
    const bool value = peek() == 't';
    keyword(value ? "true" : "false", "expected true or false");
    return value;
  }

  /// Reads a number without fraction and exponent that fits `T`: 300 is not a `uint8_t`, and 1.0 not an
  /// integer.
  template <JsonInteger T>
  [[nodiscard]] T integer();

  /// Reads any number, rounded to the nearest `T`; refuses one too large for it.
  template <JsonFloat T>
  [[nodiscard]] T number();

  /// Reads a number as text, checked for its grammar only.
  [[nodiscard]] JsonNumber number_text();

  /// Reads a string. The view is into the text if nothing was escaped. Otherwise it is into a buffer of this
  /// reader, and valid until the reader reads the next string.
  [[nodiscard]] std::string_view string();

  /// Checks one value as strictly as if it were read, except for the range of numbers and for duplicate keys,
  /// and returns its text.
  std::string_view skip_value();

  /// Requires that only white space is left.
  void finish() {
    if (peek() != '\0' || at_ != end_) fail("expected the end of the text");
  }

  /// Reads an array: `read()` is called to read each element.
  template <class Read>
  void each_element(Read&& read);

  /// Reads an object: `read(key)` is called to read the value of each member. The key is a view as `string`
  /// returns it: copy the key before reading on. Checking for duplicate keys is up to the caller.
  template <class Read>
  void each_member(Read&& read);

  /// Enters an array or object; a `NestingGuard` does so and leaves it again.
  void enter() {
    if (depth_ == kMaxDepth) fail("expected at most 512 levels of nesting");
    ++depth_;
  }
  /// Leaves the array or object.
  void leave() noexcept { --depth_; }

  /// Refuses the text at the current position.
  [[noreturn]] void fail(const std::string& expected) const {
    throw ParseError{position(), at_ == end_ ? expected + ", but the text ends" : expected};
  }
  /// Out of line, since the message would occupy stack space at each level of nesting.
  [[noreturn, gnu::noinline]] void fail(const char* expected) const { fail(std::string{expected}); }
  /// Refuses the text at `offset`.
  [[noreturn]] static void fail_at(std::size_t offset, const std::string& expected) {
    throw ParseError{offset, expected};
  }

 private:
  void keyword(std::string_view word, const char* expected);
  void skip_scalar(char first);
  void skip_name();
  [[nodiscard]] bool skip_separator(bool in_object);
  [[noreturn, gnu::noinline]] void fail_expecting(char byte) const {
    fail(std::string{"expected '"} + byte + '\'');
  }
  [[nodiscard]] bool skip_plain() noexcept;
  [[nodiscard]] bool unescape_rest();
  void unescape();
  void require_utf8();
  [[noreturn]] void fail_in_string(const char* expected);
  [[nodiscard]] char32_t escaped_code_point();
  [[nodiscard]] char32_t four_hex_digits();

  const char* begin_;
  const char* at_;
  const char* end_;
  int depth_ = 0;
  const char* string_ = nullptr;  // the string being read, after its opening quote
  detail::UnescapedText unescaped_;
};

template <JsonInteger T>
T JsonReader::integer() {
  skip_space();
  const detail::ShortInteger number = detail::read_short_integer(at_, end_);
  if (number.end != nullptr) {
    if (const auto value = detail::with_sign<T>(number.value, number.negative)) {
      at_ = number.end;
      return *value;
    }
  }
  const std::size_t start = position();
  const auto [text, is_integer] = number_text();
  if (!is_integer) fail_at(start, "expected an integer");
  const auto value = detail::to_integer<T>(text);
  if (!value) fail_at(start, detail::expected_integer<T>());
  return *value;
}

template <JsonFloat T>
T JsonReader::number() {
  skip_space();
  const std::size_t start = position();
  const auto value = detail::to_float<T>(number_text().text);
  if (!value) fail_at(start, detail::expected_float<T>());
  return *value;
}

inline JsonNumber JsonReader::number_text() {
  skip_space();
  const JsonNumber number = detail::scan_number(at_, end_);
  if (number.text.empty()) fail("expected a number");
  at_ += number.text.size();
  return number;
}

inline std::string_view JsonReader::string() {
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
inline bool JsonReader::skip_plain() noexcept {
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
inline bool JsonReader::unescape_rest() {
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
inline void JsonReader::unescape() {
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
inline void JsonReader::fail_in_string(const char* expected) {
  require_utf8();
  fail(expected);
}

/// Checks the string being read, up to the current position.
inline void JsonReader::require_utf8() {
  const char* const bad = detail::find_invalid_utf8(string_, at_);
  if (bad == at_) return;
  at_ = bad;
  fail("expected valid UTF-8");
}

inline char32_t JsonReader::escaped_code_point() {
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

inline char32_t JsonReader::four_hex_digits() {
  unsigned code = 0;
  const char* const stop = end_ - at_ < 4 ? end_ : at_ + 4;
  const auto result = std::from_chars(at_, stop, code, 16);
  if (stop - at_ != 4 || result.ptr != stop) fail_in_string("expected four hexadecimal digits after \\u");
  at_ = stop;
  return code;
}

template <class Read>
void JsonReader::each_element(Read&& read) {
  expect('[');
  const NestingGuard depth{*this};
  if (try_consume(']')) return;
  do read();
  while (try_consume(','));
  if (!try_consume(']')) fail("expected ',' or ']'");
}

template <class Read>
void JsonReader::each_member(Read&& read) {
  expect('{');
  const NestingGuard depth{*this};
  if (try_consume('}')) return;
  do {
    const std::string_view key = string();
    expect(':');
    read(key);
  } while (try_consume(','));
  if (!try_consume('}')) fail("expected ',' or '}'");
}

/// Works without recursion, which would take stack space for each level.
inline std::string_view JsonReader::skip_value() {
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

inline void JsonReader::skip_name() {
  static_cast<void>(string());
  expect(':');
}

/// Whether another element or member follows. If not, leaves the array or object.
inline bool JsonReader::skip_separator(bool in_object) {
  if (try_consume(',')) {
    if (in_object) skip_name();
    return true;
  }
  if (!try_consume(in_object ? '}' : ']')) fail(in_object ? "expected ',' or '}'" : "expected ',' or ']'");
  leave();
  return false;
}

inline void JsonReader::skip_scalar(char first) {
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

inline void JsonReader::keyword(std::string_view word, const char* expected) {
  skip_space();
  const std::string_view rest{at_, static_cast<std::size_t>(end_ - at_)};
  if (!rest.starts_with(word)) fail(expected);
  at_ += word.size();
}

}}  // namespace kvstore::v1
