// SPDX-License-Identifier: MIT

#include "kvstore/detail/base/same_text.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "support/catch.hpp"

namespace same_text_test { namespace {

using kvstore::detail::is_same_text;

TEST_CASE("is_same_text: one changed byte, or one byte more, makes a text another one, whatever its length") {
  for (std::size_t size = 0; size < 70; ++size) {
    // Of exactly that many bytes, so that a sanitizer sees a read beyond them.
    const auto a = std::make_unique<char[]>(size);
    const auto b = std::make_unique<char[]>(size);
    const std::string_view one{a.get(), size};
    const std::string_view other{b.get(), size};
    CHECK(is_same_text(one, other));
    CHECK_FALSE(is_same_text(one, std::string(size + 1, '\0')));
    for (std::size_t i = 0; i < size; ++i) {
      b[i] = '\x80';
      CHECK_FALSE(is_same_text(one, other));
      b[i] = '\0';
    }
  }
}

}}  // namespace same_text_test
