// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace kvstore { inline namespace v1 { namespace detail {

/// A growing text. Short texts need no allocation, and no memory is initialised before it is written.
class UnescapedText {
 public:
  void clear() noexcept { size_ = 0; }
  [[nodiscard]] std::string_view view() const noexcept { return {data(), size_}; }

  /// The place of the next bytes, with room for `bytes`; `advance` reports how many were written.
  [[nodiscard]] char* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(bytes);
    return data() + size_;
  }
  void advance(std::size_t bytes) noexcept { size_ += bytes; }

  void append(std::string_view bytes) {
    std::copy_n(bytes.data(), bytes.size(), room(bytes.size()));  // it may be empty
    advance(bytes.size());
  }

 private:
  static constexpr std::size_t kShort = 256;

  [[nodiscard]] char* data() noexcept { return long_ ? long_.get() : short_; }
  [[nodiscard]] const char* data() const noexcept { return long_ ? long_.get() : short_; }

  void grow(std::size_t bytes) {
    const std::size_t capacity = std::max(size_ + bytes, 2 * capacity_);
    auto larger = std::make_unique_for_overwrite<char[]>(capacity);
    std::memcpy(larger.get(), data(), size_);
    long_ = std::move(larger);
    capacity_ = capacity;
  }

  std::size_t size_ = 0;
  std::size_t capacity_ = kShort;
  std::unique_ptr<char[]> long_;
  char short_[kShort];
};

}}}  // namespace kvstore::v1::detail
