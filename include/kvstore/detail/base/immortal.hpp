// SPDX-License-Identifier: MIT
#pragma once

// Static objects that outlive all others.

#include <cstddef>
#include <new>  // IWYU pragma: keep, for placement
#include <utility>

namespace kvstore { inline namespace v1 { namespace detail {

/// A static object that is never destroyed: other static objects may still use it in their destructors, and
/// so may threads that outlive all of them.
template <class T>
class Immortal {
 public:
  template <class... Args>
  explicit Immortal(Args&&... args) : object_{new(place_) T(std::forward<Args>(args)...)} {}
  Immortal(const Immortal&) = delete;
  Immortal& operator=(const Immortal&) = delete;

  [[nodiscard]] T& operator*() const noexcept { return *object_; }

 private:
  alignas(T) std::byte place_[sizeof(T)];  // NOLINT(modernize-avoid-c-arrays)
  T* object_;
};

}}}  // namespace kvstore::v1::detail
