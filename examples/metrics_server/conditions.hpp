// SPDX-License-Identifier: MIT
#pragma once

// If-Match and If-None-Match of a request (RFC 9110, 13): on which state of its entry it insists.

#include <optional>
#include <string>

#include "entity_tag.hpp"
#include "exchange.hpp"

namespace metrics_server {

class Conditions {
 public:
  explicit Conditions(const Request& request)
      : match_{request.list("If-Match")}, none_match_{request.list("If-None-Match")} {}

  [[nodiscard]] bool any() const noexcept { return match_ || none_match_; }

  /// Of an entry with this value, or of none.
  [[nodiscard]] bool hold(const std::string* value) const {
    if (!any()) return true;
    const std::string tag = value == nullptr ? std::string{} : tag_of(*value);
    return matches(value == nullptr ? nullptr : &tag) && !(value != nullptr && is_known(tag));
  }

  /// Whether the entry is there, and the one that If-Match names.
  [[nodiscard]] bool matches(const std::string* tag) const {
    return !match_ || (tag != nullptr && names(*match_, *tag));
  }
  /// Whether If-None-Match names it.
  [[nodiscard]] bool is_known(const std::string& tag) const {
    return none_match_ && names(*none_match_, tag, Comparison::weak);
  }

 private:
  std::optional<std::string> match_, none_match_;
};

}  // namespace metrics_server
