// SPDX-License-Identifier: MIT
#pragma once

// A view of a callable, for virtual functions, which cannot be templates. The view owns nothing, so it must
// not outlive the call that it is passed to.

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace kvstore { inline namespace v1 { namespace detail {

template <class Signature>
class FunctionRef;

template <class Result, class... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <class Callable>
    requires(!std::same_as<std::remove_cvref_t<Callable>, FunctionRef> &&
             std::is_invocable_r_v<Result, Callable&, Args...>)
  FunctionRef(Callable&& callable) noexcept  // NOLINT(google-explicit-constructor): a view, made at each call
      : callable_{const_cast<void*>(static_cast<const void*>(std::addressof(callable)))},
        call_{[](void* target, Args... args) -> Result {
          return std::invoke(*static_cast<std::remove_reference_t<Callable>*>(target),
                             std::forward<Args>(args)...);
        }} {}

  Result operator()(Args... args) const { return call_(callable_, std::forward<Args>(args)...); }

 private:
  void* callable_;
  Result (*call_)(void*, Args...);
};

}}}  // namespace kvstore::v1::detail
