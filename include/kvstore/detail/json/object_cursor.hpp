// SPDX-License-Identifier: MIT
#pragma once

// Finds the entries of a JSON object in a text in memory, piece by piece. Strict, except that it leaves the
// contents of values for its caller to check.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kvstore/detail/json/entry_line.hpp"
#include "kvstore/detail/json/scan.hpp"
#include "kvstore/detail/json/space.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// One entry and its place in the text.
struct JsonEntry {
  std::string_view key;          ///< unescaped
  std::string_view value;        ///< JSON text, not checked yet
  std::uint64_t key_offset = 0;  ///< of the opening quote
  std::uint64_t value_offset = 0;
};

/// The position of a cursor between the parts of an object.
enum class JsonPlace : std::uint8_t {
  start,        ///< at the file's first byte
  outside,      ///< before the opening bracket
  opened,       ///< after the opening bracket
  after_value,  ///< after an entry: a comma follows, or the object's end
  after_comma,  ///< another entry follows
  closed,       ///< after the closing bracket
};

/// Walks over a text. If the text ends in the middle of an entry, the cursor goes back to the start of that
/// entry, to read it again when there is more text.
class JsonCursor {
 public:
  enum class Step { entry, end, more };  ///< `more`: the text ends first

  explicit JsonCursor(JsonPlace place = JsonPlace::start) noexcept : place_{place} {}

  [[nodiscard]] JsonPlace place() const noexcept { return place_; }
  /// Offset of the next byte to read. Nothing before that byte is needed any more.
  [[nodiscard]] std::size_t position() const noexcept { return position_; }
  /// Tells the cursor that this byte is now the first of the text.
  void rewind() noexcept { position_ = 0; }

  /// Fetches the next entry of `text`, whose views live until the next call. If this is the `last` piece, an
  /// incomplete entry is an error. @throws ParseError with an offset in `text`
  Step next(std::string_view text, bool last, JsonEntry& entry);

 private:
  // Returned by a step over a part of an entry if the text ends first; otherwise such a step returns the
  // position to go on at.
  static constexpr std::size_t kIncomplete = static_cast<std::size_t>(-1);

  [[nodiscard]] bool reach_key(std::string_view text, bool last);
  [[nodiscard]] bool open(std::string_view text, bool last);
  [[nodiscard]] bool stands_at(char wanted, std::string_view text, bool last, const char* message) const;
  [[nodiscard]] Step close(std::string_view text, bool last);

  [[nodiscard]] static std::size_t skip_space(std::string_view text, std::size_t at) noexcept {
    while (at != text.size() && is_json_space(text[at])) ++at;
    return at;
  }

  /// The end of a string or value, or `kIncomplete` if `text` ends first and is not the `last`.
  [[nodiscard]] static std::size_t end_of(JsonEnd end, std::string_view text, bool last,
                                          const char* message) {
    if (end.outcome == JsonEnd::Outcome::complete) return end.position;
    if (end.outcome == JsonEnd::Outcome::malformed) fail(text, end.position, end.expected);
    if (last) fail(text, text.size(), message);
    return kIncomplete;
  }

  /// `quoted` is the key as written at `offset`.
  [[nodiscard]] std::string_view unescaped(std::string_view quoted, std::size_t offset) {
    try {
      JsonReader reader{quoted};
      key_ = reader.string();
      return key_;
    } catch (const ParseError& error) { throw ParseError{offset + error.offset(), error.what()}; }
  }

  [[noreturn]] static void fail(std::string_view text, std::size_t at, const char* expected) {
    std::string message = std::string{"expected "} + expected;
    if (at == text.size()) {
      message += ", found the end of the file";
    } else if (const char byte = text[at]; byte > ' ' && byte <= '~') {
      message += std::string{", found '"} + byte + "'";
    }
    throw ParseError{at, message};
  }

  JsonPlace place_;
  std::size_t position_ = 0;
  std::string key_;  // unescaped, if the text itself cannot be used
};

inline JsonCursor::Step JsonCursor::next(std::string_view text, bool last, JsonEntry& entry) {
  if (!reach_key(text, last)) return place_ == JsonPlace::closed ? close(text, last) : Step::more;
  const std::size_t key = position_;
  const JsonEnd key_end = string_end(text, key);
  std::size_t at = end_of(key_end, text, last, "a key's closing quote");
  if (at == kIncomplete) return Step::more;
  const std::string_view quoted{text.data() + key, at - key};

  at = skip_space(text, at);
  if (at == text.size() && !last) return Step::more;
  if (at == text.size() || text[at] != ':') fail(text, at, "':' after the key");
  const std::size_t value = skip_space(text, at + 1);
  at = end_of(value_end(text, value), text, last, "the end of a value");
  if (at == kIncomplete) return Step::more;

  entry.key_offset = key;
  entry.value_offset = value;
  entry.value = {text.data() + value, at - value};
  entry.key = key_end.plain ? std::string_view{quoted.data() + 1, quoted.size() - 2} : unescaped(quoted, key);
  position_ = at;
  place_ = JsonPlace::after_value;
  return Step::entry;
}

/// Moves to the next entry's opening quote. False at the object's end, or if the text ends first.
inline bool JsonCursor::reach_key(std::string_view text, bool last) {
  const std::string_view rest{text.data() + position_, text.size() - position_};
  if (place_ == JsonPlace::after_value && rest.starts_with(kNextKeyStarts)) {  // as this library writes it
    place_ = JsonPlace::after_comma;
    position_ += kNextKeyStarts.size() - 1;
    return true;
  }
  if (place_ <= JsonPlace::outside && !open(text, last)) return false;
  if (place_ == JsonPlace::closed) return false;
  position_ = skip_space(text, position_);
  if (place_ != JsonPlace::after_comma && position_ != text.size() && text[position_] == '}') {
    ++position_;
    place_ = JsonPlace::closed;
    return false;
  }
  if (place_ == JsonPlace::after_value) {
    if (!stands_at(',', text, last, "',' or '}' after an entry")) return false;
    place_ = JsonPlace::after_comma;
    position_ = skip_space(text, position_ + 1);
  }
  const bool first = place_ == JsonPlace::opened;
  return stands_at('"', text, last, first ? "a key in double quotes, or '}'" : "a key in double quotes");
}

inline bool JsonCursor::open(std::string_view text, bool last) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (place_ == JsonPlace::start) {
    if (text.size() < kByteOrderMark.size() && !last) return false;
    if (text.starts_with(kByteOrderMark)) position_ += kByteOrderMark.size();
    place_ = JsonPlace::outside;
  }
  position_ = skip_space(text, position_);
  if (!stands_at('{', text, last, "'{' at the start of an object")) return false;
  ++position_;
  place_ = JsonPlace::opened;
  return true;
}

/// Whether `wanted` comes next; false if the text ends first.
inline bool JsonCursor::stands_at(char wanted, std::string_view text, bool last, const char* message) const {
  if (position_ == text.size() && !last) return false;
  if (position_ == text.size() || text[position_] != wanted) fail(text, position_, message);
  return true;
}

inline JsonCursor::Step JsonCursor::close(std::string_view text, bool last) {
  position_ = skip_space(text, position_);
  if (position_ != text.size()) fail(text, position_, "nothing after the object's '}'");
  return last ? Step::end : Step::more;
}

}}}  // namespace kvstore::v1::detail
