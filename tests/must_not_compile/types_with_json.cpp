// SPDX-License-Identifier: MIT

// The same with nlohmann/json.

#include <kvstore/kvstore.hpp>
#include <nlohmann/json.hpp>
#include <span>

// A to_json without a from_json.
namespace to_json_only {
struct Item {
  int price = 0;
};
inline void to_json(nlohmann::json& json, const Item& item) { json = item.price; }
// says: Item | cannot convert this type both ways
void open() { kvstore::DurableMap<int, Item> items{"items.json"}; }
}  // namespace to_json_only

// nlohmann/json takes a view for a container.
namespace view {
// says: span<int | a view or reference cannot
void open() { kvstore::DurableMap<int, std::span<int>> names{"names.json"}; }
}  // namespace view
