// SPDX-License-Identifier: MIT
#pragma once

// The store that is served.

#include <kvstore/batch_persistent_key_value_store.hpp>
#include <mutex>
#include <shared_mutex>
#include <string>

#include "entity_tag.hpp"
#include "value_text.hpp"

namespace metrics_server {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, ValueText>;

/// The store has no verb that removes an entry only while it has a certain value. Therefore everybody who
/// changes entries shares this lock, and a removal under a condition has it alone. Requests only: no data and
/// no file waits for it.
class ChangeGate {
 public:
  [[nodiscard]] std::shared_lock<std::shared_mutex> enter() { return std::shared_lock{mutex_}; }
  [[nodiscard]] std::unique_lock<std::shared_mutex> enter_alone() { return std::unique_lock{mutex_}; }

 private:
  std::shared_mutex mutex_;
};

}  // namespace metrics_server
