// SPDX-License-Identifier: MIT
#pragma once

// A value made from text, in memory that an earlier value of the thread has left. Replacing a value leaves
// the old one to the caller, whose memory the next text can use.

#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include "kvstore/detail/base/thread_object.hpp"
#include "kvstore/detail/codec/key.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Text from which a value that is a string is made, and which is no such string itself.
template <class Value, class Text>
concept TextFor = kIsString<Value> && !std::same_as<std::remove_cvref_t<Text>, Value> &&
                  std::convertible_to<const std::remove_cvref_t<Text>&, std::string_view>;

/// Made for the time of a call.
template <class Value>
class TextValue {
 public:
  explicit TextValue(std::string_view text) {
    if (!fits(text.size())) Value().swap(*taken_);  // assigning a short string would keep the memory
    (*taken_).assign(text.data(), text.size());
  }
  TextValue(const TextValue&) = delete;
  TextValue& operator=(const TextValue&) = delete;
  ~TextValue() {
    if ((*taken_).capacity() > kMaxKept) return;
    (*taken_).clear();
    taken_.give_back();
  }

  [[nodiscard]] Value& operator*() noexcept { return *taken_; }

 private:
  static constexpr std::size_t kMaxKept = 4096;  // bytes for each thread
  static constexpr std::size_t kMaxIdle = 64;

  // Otherwise a small value would keep the memory of a large one for as long as its entry exists.
  [[nodiscard]] bool fits(std::size_t size) const noexcept {
    return (*taken_).capacity() <= size + size / 4 + kMaxIdle;
  }

  TakenOut<Value, TextValue> taken_;
};

}}}  // namespace kvstore::v1::detail
