// SPDX-License-Identifier: MIT
#pragma once

#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 {

/// How deep arrays and objects may nest in one value. Deeper ones are refused both when they are written and
/// when they are read, so that no text can exhaust the stack.
inline constexpr int kMaxDepth = 512;

/// Counts one level of nesting for as long as it lives. `Text` is `JsonWriter` or `JsonReader`.
template <class Text>
class Nested {
 public:
  explicit Nested(Text& text) : text_{text} { text_.enter(); }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  ~Nested() { text_.leave(); }

 private:
  Text& text_;
};

}}  // namespace kvstore::v1

namespace kvstore { inline namespace v1 { namespace detail {

[[noreturn]] inline void throw_too_deep() { throw ValueError{"value is nested more than 512 levels deep"}; }

}}}  // namespace kvstore::v1::detail
