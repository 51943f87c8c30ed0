// SPDX-License-Identifier: MIT
#pragma once

// The store that is served.

#include <kvstore/batch_persistent_key_value_store.hpp>
#include <string>

#include "value_text.hpp"

namespace metrics_server {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, ValueText>;

}  // namespace metrics_server
