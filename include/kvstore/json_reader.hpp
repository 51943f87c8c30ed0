// SPDX-License-Identifier: MIT
#pragma once

// Reads JSON text, strictly by RFC 8259. Our own, for two reasons. It reads straight into the caller's types,
// whereas nlohmann's parser copies every string byte by byte and builds a tree. And it refuses texts that a
// conversion would change silently: integers out of range, numbers too large, lone surrogates,
// duplicate keys.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <cstddef>
#include <string>
#include <string_view>

#include "kvstore/detail/json/number.hpp"
#include "kvstore/detail/json/unescaped_text.hpp"
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
  /// The same; `round_numbers` as in `Options`.
  JsonReader(std::string_view text, bool round_numbers) noexcept : JsonReader{text} {
    rounds_ = round_numbers;
  }

  /// Whether an integer beyond 64 bits, read into an `nlohmann::json`, becomes the nearest double. Otherwise
  /// the integer is refused.
  [[nodiscard]] bool rounds_numbers() const noexcept { return rounds_; }

  /// Offset of the next byte to read.
  [[nodiscard]] std::size_t position() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

  /// Skips white space, so that `position` is that of the next value or punctuation.
  void skip_space() noexcept;

  /// The first byte of the next value or punctuation; 0 at the end.
  [[nodiscard]] char peek() noexcept;

  /// Consumes one byte of punctuation if it comes next.
  [[nodiscard]] bool try_consume(char byte) noexcept;
  /// Consumes one byte of punctuation, and refuses any other byte.
  void expect(char byte);

  /// Consumes `text` if the next bytes, white space included, are exactly equal to it.
  [[nodiscard]] bool try_text(std::string_view text) noexcept;

  /// Reads `null`.
  void null() { keyword("null", "expected null"); }
  /// Reads `true` or `false`.
  [[nodiscard]] bool boolean();

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
  void finish();

  /// Reads an array: `read()` is called to read each element.
  template <class Read>
  void each_element(Read&& read);

  /// Reads an object: `read(key)` is called to read the value of each member. The key is a view as `string`
  /// returns it: copy the key before reading on. Checking for duplicate keys is up to the caller.
  template <class Read>
  void each_member(Read&& read);

  /// Enters an array or object; a `NestingGuard` does so and leaves it again.
  void enter();
  /// Leaves the array or object.
  void leave() noexcept { --depth_; }

  /// Refuses the text at the current position.
  [[noreturn]] void fail(const std::string& expected) const;
  /// Out of line, since the message would occupy stack space at each level of nesting.
  [[noreturn, gnu::noinline]] void fail(const char* expected) const { fail(std::string{expected}); }
  /// Refuses the text at `offset`.
  [[noreturn]] static void fail_at(std::size_t offset, const std::string& expected);

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
  bool rounds_ = false;
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

}}  // namespace kvstore::v1

#ifndef KVSTORE_COMPILED
#include "kvstore/json_reader.ipp"
#endif
