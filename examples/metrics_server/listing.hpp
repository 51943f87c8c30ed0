// SPDX-License-Identifier: MIT
#pragma once

// The entries in the order of their keys, a page at a time. A hash map has no order, so each page looks at
// every key, in the memory of one page.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <kvstore/json_writer.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "entity_tag.hpp"
#include "exchange.hpp"
#include "problem.hpp"
#include "store.hpp"
#include "target.hpp"

namespace metrics_server {

/// Which entries are wanted.
struct Query {
  std::string prefix;      ///< of the key
  std::string key_part;    ///< anywhere in the key
  std::string value_part;  ///< anywhere in the JSON of the value
  std::optional<std::string> after{}, before{};
  std::size_t limit = 100;

  [[nodiscard]] bool matches(const std::string& key, const ValueText& value) const {
    return key.starts_with(prefix) && key.find(key_part) != std::string::npos &&
           value.text.find(value_part) != std::string::npos;
  }
};

[[nodiscard]] inline Query query_of(const Target& target) {
  const auto text = [&](const char* name) {
    const std::string* const found = target.find(name);
    return found == nullptr ? std::string{} : *found;
  };
  Query query{text("prefix"), text("key_contains"), text("value_contains")};
  if (target.find("after") != nullptr) query.after = text("after");
  if (target.find("before") != nullptr) query.before = text("before");
  if (query.after && query.before)
    throw Refusal{400, "a page begins after a key or ends before one, not both"};
  return query;
}

struct Page {
  std::vector<std::string> keys;  ///< ascending
  std::uint64_t matching = 0;     ///< entries that match, on whatever page
  std::uint64_t position = 0;     ///< how many of them come before this page
};

[[nodiscard]] inline Page find_page(const Store& store, const Query& query) {
  Page page;
  std::uint64_t candidates = 0;
  const bool upwards = !query.before;
  const auto nearer = [&](const std::string& a, const std::string& b) { return upwards ? a < b : b < a; };
  std::vector<std::string>& heap = page.keys;  // the nearest keys; the farthest of them is on top
  store.for_each([&](const std::string& key, const ValueText& value) {
    if (!query.matches(key, value)) return;
    ++page.matching;
    if ((query.after && key <= *query.after) || (query.before && key >= *query.before)) return;
    ++candidates;
    if (heap.size() == query.limit) {
      if (!nearer(key, heap.front())) return;
      std::pop_heap(heap.begin(), heap.end(), nearer);
      heap.pop_back();
    }
    heap.push_back(key);
    std::push_heap(heap.begin(), heap.end(), nearer);
  });
  std::sort(heap.begin(), heap.end());
  page.position = upwards ? page.matching - candidates : candidates - heap.size();
  return page;
}

/// The start of a text, cut between two characters.
[[nodiscard]] inline std::string start_of(const std::string& text, std::size_t bytes) {
  std::size_t end = std::min(bytes, text.size());
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

/// Appends an entry of a list. With `preview` it has the start of its JSON in place of the value: a browser's
/// own numbers cannot hold every value.
inline void add_entry(kvstore::JsonWriter& out, const std::string& key, const std::string& value,
                      std::size_t preview) {
  out.raw(R"({"key":)");
  out.string(key);
  out.raw(R"(,"bytes":)");
  out.integer(value.size());
  out.raw(R"(,"etag":)");
  out.string(tag_of(value));
  out.raw(preview == 0 ? R"(,"value":)" : R"(,"preview":)");
  if (preview == 0)
    out.raw(value);
  else
    out.string(start_of(value, preview));
  out.raw('}');
}

/// The bytes of a list after which no further entry is added, so that no answer needs the memory of a
/// thousand large values. One entry is there in any case.
inline constexpr std::size_t kListBytes = 4 * 1024 * 1024;

/// The path and query of the page that begins after a key.
[[nodiscard]] inline std::string next_path(const Target& target, const std::string& key) {
  std::string path = target.path + "?after=" + percent_encoded(key);
  for (const auto& [name, value] : target.query) {
    if (name != "after" && name != "before") path.append("&" + name + "=").append(percent_encoded(value));
  }
  return path;
}

inline void answer_list(const Page& page, const std::string* next, std::string_view entries,
                        const Target& target, Response& response) {
  kvstore::JsonWriter out;
  const auto key = [&](std::string_view name, const std::string* value) {
    out.raw(name);
    if (value == nullptr)
      out.null();
    else
      out.string(*value);
  };
  out.raw(R"({"matching":)");
  out.integer(page.matching);
  out.raw(R"(,"position":)");
  out.integer(page.position);
  key(R"(,"previous":)", page.position == 0 || page.keys.empty() ? nullptr : &page.keys.front());
  key(R"(,"next":)", next);
  out.raw(R"(,"entries":[)");
  out.raw(entries);
  out.raw("]}\n");
  if (next != nullptr) response.set_header("Link", "<" + next_path(target, *next) + ">; rel=\"next\"");
  response.set_content(std::string{out.text()}, "application/json");
}

/// GET /entries?prefix=P&key_contains=T&value_contains=T&after=KEY&before=KEY&limit=N&preview=BYTES
inline void list_entries(const Store& store, const Target& target, Response& response) {
  target.allow_only({"prefix", "key_contains", "value_contains", "after", "before", "limit", "preview"});
  Query query = query_of(target);
  query.limit = target.number("limit", 1, 1000, 100);
  const std::size_t preview = target.number("preview", 1, 4096, 0);
  const Page page = find_page(store, query);

  kvstore::JsonWriter entries;
  const std::string* last = nullptr;
  bool full = false;
  for (const std::string& key : page.keys) {  // whose entries may be gone by now
    const std::optional<ValueText> value = store.try_read(key);
    const std::size_t bytes = !value         ? 0
                              : preview == 0 ? value->text.size()
                                             : std::min(value->text.size(), preview);
    full = entries.size() != 0 && entries.size() + bytes > kListBytes;
    if (full) break;
    last = &key;
    if (!value) continue;
    if (entries.size() != 0) entries.raw(',');
    add_entry(entries, key, value->text, preview);
  }
  const bool more = full || page.position + page.keys.size() < page.matching;
  answer_list(page, more ? last : nullptr, entries.text(), target, response);
}

}  // namespace metrics_server
