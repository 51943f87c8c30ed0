// SPDX-License-Identifier: MIT
#pragma once

// The entries in the order of their keys, a page at a time. A hash map has no order, so each page looks at
// every key, in the memory of one page.

#include <httplib.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "entity_tag.hpp"
#include "store.hpp"
#include "target.hpp"

namespace metrics_server {

struct Page {
  std::vector<std::string> keys;  ///< ascending
  std::uint64_t matching = 0;     ///< entries with the prefix, on whatever page
  bool more = false;              ///< whether another page follows
};

[[nodiscard]] inline Page find_page(const Store& store, const std::string& prefix, const std::string* after,
                                    std::size_t limit) {
  Page page;
  std::priority_queue<std::string> lowest;  // of what comes behind `after`; the highest of them is on top
  store.for_each([&](const std::string& key, const nlohmann::json&) {
    if (!key.starts_with(prefix)) return;
    ++page.matching;
    if (after != nullptr && key <= *after) return;
    page.more = page.more || lowest.size() == limit;
    if (lowest.size() == limit && key >= lowest.top()) return;
    lowest.push(key);
    if (lowest.size() > limit) lowest.pop();
  });
  page.keys.resize(lowest.size());
  for (auto key = page.keys.rbegin(); key != page.keys.rend(); ++key, lowest.pop()) *key = lowest.top();
  return page;
}

/// The start of a text, cut between two characters.
[[nodiscard]] inline std::string start_of(const std::string& text, std::size_t bytes) {
  std::size_t end = std::min(bytes, text.size());
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

/// With `preview` the start of its JSON in place of the value: a browser's own numbers cannot hold every
/// value.
[[nodiscard]] inline nlohmann::ordered_json entry_of(const std::string& key, const nlohmann::json& value,
                                                     std::size_t preview) {
  const std::string text = value.dump();
  nlohmann::ordered_json entry{{"key", key}, {"bytes", text.size()}, {"etag", tag_of(value)}};
  if (preview == 0)
    entry["value"] = value;
  else
    entry["preview"] = start_of(text, preview);
  return entry;
}

/// GET /entries?prefix=P&after=KEY&limit=N&preview=BYTES
inline void list_entries(const Store& store, const Target& target, httplib::Response& response) {
  target.allow_only({"prefix", "after", "limit", "preview"});
  const std::string* const prefix = target.find("prefix");
  const std::size_t limit = target.number("limit", 1, 1000, 100);
  const std::size_t preview = target.number("preview", 1, 4096, 0);
  const Page page = find_page(store, prefix != nullptr ? *prefix : "", target.find("after"), limit);

  auto entries = nlohmann::ordered_json::array();
  for (const std::string& key : page.keys) {  // whose entries may be gone by now
    store.visit(key, [&](const nlohmann::json& value) { entries.push_back(entry_of(key, value, preview)); });
  }
  const nlohmann::ordered_json next = page.more ? nlohmann::ordered_json(page.keys.back()) : nullptr;
  const nlohmann::ordered_json list{
      {"matching", page.matching}, {"next", next}, {"entries", std::move(entries)}};
  response.set_content(list.dump() + "\n", "application/json");
}

}  // namespace metrics_server
