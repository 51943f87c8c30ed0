// SPDX-License-Identifier: MIT
#pragma once

// A string argument that is copied only if the function needs a string of its own. An upsert of an existing
// key only looks at the key, so there is nothing to copy.

#include <concepts>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace kvstore { inline namespace v1 { namespace detail {

/// Made from any value that converts implicitly to a `String`, for the time of a call.
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

  /// A string to move from: the argument itself if it may be moved from, otherwise a copy.
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
