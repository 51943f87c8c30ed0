// SPDX-License-Identifier: MIT
#pragma once

// A key of a range, kept while it is looked up. A range may create its keys on access. A view of such a key
// would outlive the key, and creating it again under a segment's lock would run foreign code there.

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace kvstore { inline namespace v1 { namespace detail {

/// Keeps a reference if the range yields references, otherwise the key itself.
template <class Reference>
class HeldKey {
  static constexpr bool kIsMade = !std::is_reference_v<Reference>;
  using Object = std::remove_reference_t<Reference>;

 public:
  void hold(Reference&& key) {
    if constexpr (kIsMade)
      held_.emplace(std::move(key));
    else
      held_ = std::addressof(key);
  }
  [[nodiscard]] const Object& get() const noexcept { return *held_; }

 private:
  std::conditional_t<kIsMade, std::optional<Object>, Object*> held_{};
};

}}}  // namespace kvstore::v1::detail
