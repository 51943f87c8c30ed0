// SPDX-License-Identifier: MIT
#pragma once

// Static objects that outlive every other.

#include <cstddef>
#include <new>  // IWYU pragma: keep, for placement
#include <utility>

namespace kvstore { inline namespace v1 { namespace detail {

/// An object that is never destroyed, for a static variable: other static objects may still use it as they
/// end, and threads that outlive them all.
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
