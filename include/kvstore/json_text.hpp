// SPDX-License-Identifier: MIT
#pragma once

// Shared by JsonReader and JsonWriter: the C++ types of numbers in JSON, and the limit on nesting.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <concepts>
#include <string_view>
#include <type_traits>

#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 {

/// Integers that this library reads and writes as JSON: up to 64 bits, character types included, `bool`
/// excluded.
template <class T>
concept JsonInteger = std::integral<T> && !std::same_as<std::remove_cv_t<T>, bool> && sizeof(T) <= 8;

/// Floating-point numbers that this library reads and writes as JSON.
template <class T>
concept JsonFloat = std::same_as<T, float> || std::same_as<T, double>;

/// A number as written in JSON.
struct JsonNumber {
  std::string_view text;  ///< empty if there is no number
  bool is_integer;        ///< neither fraction nor exponent
};

/// The deepest nesting of arrays and objects in one value. Deeper values are refused both when they are
/// written and when they are read, so that no text can exhaust the stack.
inline constexpr int kMaxDepth = 512;

/// Counts one level of nesting during its lifetime. `Text` is `JsonWriter` or `JsonReader`.
///
/// A codec that writes or reads an array or object itself needs one meanwhile; `JsonReader::each_element` and
/// `each_member` have one already.
template <class Text>
class NestingGuard {
 public:
  /// Enters a level. @throws ValueError (writer) or ParseError (reader) deeper than `kMaxDepth`
  explicit NestingGuard(Text& text) : text_{text} { text_.enter(); }
  NestingGuard(const NestingGuard&) = delete;
  NestingGuard& operator=(const NestingGuard&) = delete;
  /// Leaves the level.
  ~NestingGuard() { text_.leave(); }

 private:
  Text& text_;
};

namespace detail {
[[noreturn]] inline void throw_too_deep() { throw ValueError{"value is nested more than 512 levels deep"}; }
}  // namespace detail

}}  // namespace kvstore::v1
