// SPDX-License-Identifier: MIT

// The same with nlohmann/json.

#include <kvstore/kvstore.hpp>
#include <kvstore/more_codecs.hpp>
#include <memory>
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

// A codec that is there and lacks that of its element.
namespace element {
struct Node {};
// says: Node | has no list of its fields
void open() { kvstore::DurableMap<int, std::shared_ptr<Node>> nodes{"nodes.json"}; }
}  // namespace element

// nlohmann/json takes a view for a container.
namespace view {
// says: span<int | a view or reference cannot
void open() { kvstore::DurableMap<int, std::span<int>> names{"names.json"}; }
}  // namespace view
