// SPDX-License-Identifier: MIT
#pragma once

// The keys that an operation has changed. They are recorded under the locks, and passed to the logger once no
// lock is held. Used only if a logger listens at debug level.

#include <optional>
#include <string>
#include <vector>

#include "kvstore/detail/json/scratch_writer.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/log.hpp"
#include "kvstore/metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class ChangeTrace {
 public:
  explicit ChangeTrace(const Observer& observer) noexcept : observer_{observer} {
    if (observer.listens(LogLevel::debug)) [[unlikely]]
      keys_.emplace();
  }

  [[nodiscard]] bool wanted() const noexcept { return keys_.has_value(); }

  // Both are out of line: a store without such a logger pays for a few comparisons only.

  template <class Key>
  [[gnu::noinline, gnu::cold]] void add(const Key& key) {
    ScratchWriter text;
    KeyText<Key>::append(key, *text);
    keys_->emplace_back(text->text());
  }

  /// Call while no lock is held.
  void tell(Verb verb) const noexcept {
    if (wanted()) [[unlikely]]
      tell_logger(verb);
  }

 private:
  [[gnu::noinline, gnu::cold]] void tell_logger(Verb verb) const noexcept {
    for (const std::string& key : *keys_) {
      observer_.log(LogLevel::debug, "changed", {{"verb", name_of(verb)}, {"key", key}});
    }
    if (keys_->empty()) observer_.log(LogLevel::debug, "changed", {{"verb", name_of(verb)}});
  }

  const Observer& observer_;
  std::optional<std::vector<std::string>> keys_;  // none unless wanted
};

}}}  // namespace kvstore::v1::detail
