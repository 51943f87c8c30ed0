// SPDX-License-Identifier: MIT
#pragma once

// The store that is served.

#include <kvstore/batch_persistent_key_value_store.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace metrics_server {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, nlohmann::json>;

}  // namespace metrics_server
