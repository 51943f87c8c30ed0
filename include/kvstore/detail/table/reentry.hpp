// SPDX-License-Identifier: MIT
#pragma once

// Detects a callback that calls the store which is running it, since that would deadlock.

#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Exists while a thread runs a user's callback and keeps a store's writers out.
class CallbackScope {
 public:
  explicit CallbackScope(const void* store) noexcept : store_{store}, outer_{innermost} { innermost = this; }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;
  ~CallbackScope() { innermost = outer_; }

  /// @throws ReentryError, with this message, if this thread is inside a callback of `store`.
  static void check_reentry(const void* store, const char* message = kFromVerb) {
    if (is_inside(store)) throw_reentry(message);
  }

  /// Whether this thread is inside a callback of `store`.
  [[nodiscard]] static bool is_inside(const void* store) noexcept {
    for (const CallbackScope* scope = innermost; scope != nullptr; scope = scope->outer_) {
      if (scope->store_ == store) return true;
    }
    return false;
  }

 private:
  static constexpr const char* kFromVerb =
      "a callback of visit(), modify() or for_each() called the store that is running it; "
      "do that after the callback has returned";

  [[noreturn]] static void throw_reentry(const char* message) { throw ReentryError{message}; }

  static inline constinit thread_local const CallbackScope* innermost = nullptr;

  const void* store_;
  const CallbackScope* outer_;
};

}}}  // namespace kvstore::v1::detail
