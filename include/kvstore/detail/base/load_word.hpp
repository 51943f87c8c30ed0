// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <cstring>

namespace kvstore { inline namespace v1 { namespace detail {

/// The unsigned `Word` whose bytes are at `from`, which need not be aligned.
template <class Word>
[[nodiscard]] std::uint64_t load_word(const char* from) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

}}}  // namespace kvstore::v1::detail
