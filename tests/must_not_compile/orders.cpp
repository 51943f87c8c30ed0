// SPDX-License-Identifier: MIT

// The README's piece about saving, which must compile as it stands behind the README's two includes.

#include <kvstore/kvstore.hpp>
#include <nlohmann/json.hpp>

void save_in_batches() {
  using namespace std::chrono_literals;
  using Orders = kvstore::BatchPersistentKeyValueStore<int, nlohmann::json>;
  // On disk after every third operation, and whatever is left at the latest after ten seconds.
  Orders orders{"orders.json", {.batch_size = 3, .auto_save_interval = 10s}};
  orders.create(1, {{"item", "tea"}, {"count", 2}});
}
