// SPDX-License-Identifier: MIT
#pragma once

// The definitions of line.hpp.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string_view>
#include <system_error>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/line.hpp"
#include "kvstore/detail/text/crc32c.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE JournalLine parse_line(std::string_view line) {
  using Kind = JournalLine::Outcome;
  JournalLine result{Kind::bad, line.size() + 1, 0, 0, {}};
  if (line.size() <= kCrcDigits || line.size() > kMaxLine + kRoomForFrame) return result;
  const auto crc = parse_crc(line.substr(0, kCrcDigits));
  const std::string_view rest = line.substr(kCrcDigits);
  if (!crc || *crc != crc32c(rest)) return result;
  const std::size_t space = std::min(rest.find(' '), rest.size() - 1);
  result.outcome = rest[space] == ' ' ? Kind::good : Kind::unreadable;
  result.body_at = kCrcDigits + space + 1;
  result.body = rest.substr(space + 1);
  if (space == 0) return result;
  const char* const end = rest.data() + space;
  const auto parsed = std::from_chars(rest.data() + 1, end, result.synced);
  if (rest.front() == '|' && parsed.ec == std::errc{} && parsed.ptr == end && result.synced != 0)
    return result;
  result.outcome = Kind::unreadable;
  result.synced = 0;
  return result;
}

}}}  // namespace kvstore::v1::detail
