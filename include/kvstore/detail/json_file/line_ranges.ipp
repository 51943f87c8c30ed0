// SPDX-License-Identifier: MIT
#pragma once

// The definitions of line_ranges.hpp.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/json_file/line_ranges.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void LineRange::begin(std::uint64_t offset, std::string_view text) {
  offset_ = offset;
  size_ = 0;
  make_room(text.size());
  text.copy(buffer_.get(), text.size());
  size_ = text.size();
}

KVSTORE_INLINE void LineRange::make_room(std::size_t bytes) {
  if (bytes <= capacity_) return;
  auto larger = std::make_unique_for_overwrite<char[]>(bytes);
  text().copy(larger.get(), size_);
  buffer_ = std::move(larger);
  capacity_ = bytes;
}

KVSTORE_INLINE bool LineRanges::next(LineRange& range) {
  range.begin(offset_, rest_);
  for (std::size_t wanted = bytes_; wanted <= kMaxRanges * bytes_; wanted *= 2) {
    if (!read_on(range, wanted)) return false;
    const std::string_view text = range.text();
    const std::size_t mark = text.rfind(mark_);
    if (mark == std::string_view::npos) continue;
    const std::size_t end = mark + comma();
    rest_.assign(text.substr(end));
    range.size_ = end;
    offset_ += end;
    return true;
  }
  return false;
}

KVSTORE_INLINE std::size_t LineRanges::mark_size(std::string_view text) noexcept {
  constexpr std::string_view kSpace = " \n\r\t";
  const std::size_t comma = text.find_first_not_of(kSpace);
  if (comma == std::string_view::npos || text[comma] != ',') return 0;
  const std::size_t quote = text.find_first_not_of(kSpace, comma + 1);
  return quote == std::string_view::npos || text[quote] != '"' ? 0 : quote + 1;
}

KVSTORE_INLINE bool LineRanges::read_on(LineRange& range, std::size_t wanted) {
  if (range.size_ >= wanted) return true;
  range.make_room(wanted);
  const std::size_t missing = wanted - range.size_;
  const auto got =
      read_full(file_, range.offset_ + range.size_, {range.buffer_.get() + range.size_, missing});
  range.size_ += got.value;
  return !got.error && got.value == missing;
}

}}}  // namespace kvstore::v1::detail
