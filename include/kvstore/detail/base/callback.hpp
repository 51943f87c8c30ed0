// SPDX-License-Identifier: MIT
#pragma once

// Functions of users that see or change a value. One that returns `bool` also decides.

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

namespace kvstore { inline namespace v1 { namespace detail {

template <class Fn>
struct FirstParameter {
  using type = void;  // several forms, or a template
};
template <class Fn>
  requires requires { &Fn::operator(); }
struct FirstParameter<Fn> : FirstParameter<decltype(&Fn::operator())> {};
template <class Result, class First>
struct FirstParameter<Result (*)(First)> {
  using type = First;
};
template <class Result, class First>
struct FirstParameter<Result (*)(First) noexcept> : FirstParameter<Result (*)(First)> {};
template <class Of, class Result, class First>
struct FirstParameter<Result (Of::*)(First)> : FirstParameter<Result (*)(First)> {};
template <class Of, class Result, class First>
struct FirstParameter<Result (Of::*)(First) const> : FirstParameter<Result (*)(First)> {};
template <class Of, class Result, class First>
struct FirstParameter<Result (Of::*)(First) noexcept> : FirstParameter<Result (*)(First)> {};
template <class Of, class Result, class First>
struct FirstParameter<Result (Of::*)(First) const noexcept> : FirstParameter<Result (*)(First)> {};

/// Whether a function of one form takes its argument by value.
template <class Fn>
inline constexpr bool kTakesCopy = [] {
  using First = typename FirstParameter<std::decay_t<Fn>>::type;
  return !std::is_void_v<First> && !std::is_reference_v<First>;
}();

/// Runs `fn`. @returns what it returns if that is a `bool`, otherwise true
template <class Fn, class... Args>
bool run_unless_false(Fn& fn, Args&&... args) {
  if constexpr (std::same_as<std::invoke_result_t<Fn&, Args...>, bool>) {
    return std::invoke(fn, std::forward<Args>(args)...);
  } else {
    std::invoke(fn, std::forward<Args>(args)...);
    return true;
  }
}

/// The same for a function that changes a value.
template <class Fn, class Value>
bool run_change(Fn& fn, Value& value) {
  static_assert(!kTakesCopy<Fn>,
                "kvstore: this function takes a copy of the value, so that it would change nothing; let it "
                "take a reference, as in [](Value& value) { ... }");
  return run_unless_false(fn, value);
}

}}}  // namespace kvstore::v1::detail
