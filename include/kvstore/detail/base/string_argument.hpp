// SPDX-License-Identifier: MIT
#pragma once

// A string that a function may come to need as one of its own, or may not: an upsert of a key that exists
// looks at the key only, and then there is nothing to copy.

#include <concepts>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace kvstore { inline namespace v1 { namespace detail {

/// Made of whatever a `String` can be made of implicitly, for the time of a call.
template <class String>
class StringArgument {
  template <class Text>
  static constexpr bool kIsViewable = std::convertible_to<const std::remove_cvref_t<Text>&, std::string_view>;

 public:
  // NOLINTBEGIN(google-explicit-constructor): it stands for the string
  StringArgument(const String& string) noexcept : view_{string} {}
  StringArgument(String&& string) noexcept : movable_{&string}, view_{string} {}
  template <class Text>
    requires(kIsViewable<Text> && !std::same_as<std::remove_cvref_t<Text>, String>)
  StringArgument(const Text& text) : view_{text} {}
  template <class Text>
    requires(!kIsViewable<Text> && std::convertible_to<Text, String>)
  StringArgument(Text&& text) : owned_{std::forward<Text>(text)}, view_{*owned_} {}
  // NOLINTEND(google-explicit-constructor)

  StringArgument(const StringArgument&) = delete;
  StringArgument& operator=(const StringArgument&) = delete;
  ~StringArgument() = default;

  [[nodiscard]] std::string_view view() const noexcept { return view_; }

  /// A string to move from: the one that was given, where it may be, or else a copy.
  [[nodiscard]] String& string() {
    if (movable_ != nullptr) return *movable_;
    if (!owned_) owned_.emplace(view_);
    return *owned_;
  }

 private:
  String* movable_ = nullptr;
  std::optional<String> owned_;
  std::string_view view_;
};

}}}  // namespace kvstore::v1::detail
