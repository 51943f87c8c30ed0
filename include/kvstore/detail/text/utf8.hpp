// SPDX-License-Identifier: MIT
#pragma once

// Checks and writes UTF-8; `utf8_sequence.hpp` defines which UTF-8 is well-formed.

#include <cstddef>
#include <string_view>

namespace kvstore { inline namespace v1 { namespace detail {

/// The first byte that breaks UTF-8, or `end`.
[[nodiscard]] const char* find_invalid_utf8(const char* at, const char* end) noexcept;

[[nodiscard]] bool is_all_ascii(std::string_view text) noexcept;

[[nodiscard]] bool is_valid_utf8(std::string_view text) noexcept;

[[noreturn]] void throw_invalid_utf8(std::size_t offset);

/// Refuses text that JSON cannot hold; the text is known not to be all ASCII.
void check_utf8_beyond_ascii(std::string_view text);

/// Refuses text that JSON cannot hold.
void check_utf8(std::string_view text);

/// Writes a code point, which must not be a surrogate, as 1 to 4 bytes. @returns their number
std::size_t write_utf8(char* out, char32_t code) noexcept;

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/text/utf8.ipp"
#endif
