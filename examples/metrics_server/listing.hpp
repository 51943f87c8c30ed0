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
#include "needle.hpp"
#include "problem.hpp"
#include "store.hpp"
#include "target.hpp"

namespace metrics_server {

/// The bytes of a list after which no further entry is added, so that no answer needs the memory of a
/// thousand large keys or values. One entry is there in any case.
inline constexpr std::size_t kListBytes = 4 * 1024 * 1024;

/// Which entries are wanted.
struct Query {
  std::string prefix;  ///< of the key
  Needle key_part;     ///< anywhere in the key
  Needle value_part;   ///< anywhere in the JSON of the value
  std::optional<std::string> after{}, before{};
  std::size_t limit = 100;

  [[nodiscard]] bool matches(const std::string& key, const ValueText& value) const {
    return key.starts_with(prefix) && key_part.is_in(key) && value_part.is_in(value.text);
  }
};

/// How a place in the list is named in `after` and `before`: by its key, and if that is too long for a path,
/// by the key's digest. A key that looks like a digest is named by one too, so that no two have one name.
[[nodiscard]] inline bool is_digest(std::string_view place) {
  constexpr std::string_view kStart = "sha256:";
  return place.size() == kStart.size() + 64 && place.starts_with(kStart) &&
         place.find_first_not_of("0123456789abcdef", kStart.size()) == std::string_view::npos;
}
[[nodiscard]] inline bool needs_digest(const std::string& key) {
  return key.size() > kMaxPart || is_digest(key);
}
[[nodiscard]] inline std::string place_of(const std::string& key) {
  return needs_digest(key) ? "sha256:" + sha256(key) : key;
}

/// The key of a place. @throws Refusal if it is named by a digest, and its entry has gone
[[nodiscard]] inline std::string key_of_place(const Store& store, const std::string& place) {
  if (!is_digest(place)) return place;
  std::optional<std::string> found;
  store.for_each([&](const std::string& key, const ValueText&) {
    if (!found && needs_digest(key) && place_of(key) == place) found = key;
  });
  if (found) return *std::move(found);
  throw Refusal{404, "the entry with a long key at which the page begins or ends has gone: begin anew"};
}

[[nodiscard]] inline Query query_of(const Store& store, const Target& target) {
  const auto text = [&](const char* name) {
    const std::string* const found = target.find(name);
    return found == nullptr ? std::string{} : *found;
  };
  for (const char* const name : {"prefix", "key_contains", "value_contains"}) {
    if (text(name).size() > kMaxPart)
      throw Refusal{400, std::string{name} + " is longer than " + std::to_string(kMaxPart) + " bytes"};
  }
  Query query{text("prefix"), Needle{text("key_contains")}, Needle{text("value_contains")}};
  if (target.find("after") != nullptr && target.find("before") != nullptr)
    throw Refusal{400, "a page begins after a key or ends before one, not both"};
  if (target.find("after") != nullptr) query.after = key_of_place(store, text("after"));
  if (target.find("before") != nullptr) query.before = key_of_place(store, text("before"));
  return query;
}

/// Of many keys in any order those that come first, or last, as many as there is room for.
class NearestKeys {
 public:
  NearestKeys(bool upwards, std::size_t most) : nearer_{upwards}, most_{most} {}

  [[nodiscard]] bool takes(const std::string& key) const { return !edge_ || nearer_(key, *edge_); }

  void add(const std::string& key) {
    if (!takes(key) || (heap_.size() == most_ && !nearer_(key, heap_.front()))) return;
    heap_.push_back(key);
    std::push_heap(heap_.begin(), heap_.end(), nearer_);
    bytes_ += room_of(key);
    while (heap_.size() > most_ || (bytes_ > kListBytes && heap_.size() > 1)) drop_farthest();
  }

  [[nodiscard]] std::vector<std::string> sorted() && {
    std::sort(heap_.begin(), heap_.end());
    return std::move(heap_);
  }

 private:
  struct Nearer {
    bool upwards;
    [[nodiscard]] bool operator()(const std::string& a, const std::string& b) const {
      return upwards ? a < b : b < a;
    }
  };

  [[nodiscard]] static std::size_t room_of(const std::string& key) { return key.size() + sizeof key; }

  void drop_farthest() {
    std::pop_heap(heap_.begin(), heap_.end(), nearer_);
    bytes_ -= room_of(heap_.back());
    edge_ = std::move(heap_.back());
    heap_.pop_back();
  }

  Nearer nearer_;
  std::size_t most_;
  std::vector<std::string> heap_;  ///< the farthest of them is on top
  std::size_t bytes_ = 0;
  std::optional<std::string> edge_;  ///< the nearest one that had to go: a farther one would leave a gap
};

struct Page {
  std::vector<std::string> keys;  ///< ascending
  std::uint64_t matching = 0;     ///< entries that match, on whatever page
  std::uint64_t position = 0;     ///< how many of them come before this page
};

[[nodiscard]] inline Page find_page(const Store& store, const Query& query) {
  Page page;
  std::uint64_t candidates = 0;
  const bool upwards = !query.before;
  NearestKeys nearest{upwards, query.limit};
  store.for_each([&](const std::string& key, const ValueText& value) {
    if (!query.matches(key, value)) return;
    ++page.matching;
    if ((query.after && key <= *query.after) || (query.before && key >= *query.before)) return;
    ++candidates;
    nearest.add(key);
  });
  page.keys = std::move(nearest).sorted();
  page.position = upwards ? page.matching - candidates : candidates - page.keys.size();
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

/// The path and query of the page that begins after a place.
[[nodiscard]] inline std::string next_path(const Target& target, const std::string& place) {
  std::string path = target.path + "?after=" + percent_encoded(place);
  for (const auto& [name, value] : target.query) {
    if (name != "after" && name != "before") path.append("&" + name + "=").append(percent_encoded(value));
  }
  return path;
}

inline void answer_list(const Page& page, const std::string* next, std::string_view entries,
                        const Target& target, Response& response) {
  kvstore::JsonWriter out;
  const auto place = [&](std::string_view name, const std::string* key) {
    out.raw(name);
    if (key == nullptr)
      out.null();
    else
      out.string(place_of(*key));
  };
  out.raw(R"({"matching":)");
  out.integer(page.matching);
  out.raw(R"(,"position":)");
  out.integer(page.position);
  place(R"(,"previous":)", page.position == 0 || page.keys.empty() ? nullptr : &page.keys.front());
  place(R"(,"next":)", next);
  out.raw(R"(,"entries":[)");
  if (next != nullptr)
    response.set_header("Link", "<" + next_path(target, place_of(*next)) + ">; rel=\"next\"");
  constexpr std::string_view kEnd = "]}\n";
  std::string list;  // large: no more copies of it than needed
  list.reserve(out.size() + entries.size() + kEnd.size());
  list.append(out.text()).append(entries).append(kEnd);
  response.set_content(std::move(list), "application/json");
}

/// GET /entries?prefix=P&key_contains=T&value_contains=T&after=KEY&before=KEY&limit=N&preview=BYTES
inline void list_entries(const Store& store, const Target& target, Response& response) {
  target.allow_only({"prefix", "key_contains", "value_contains", "after", "before", "limit", "preview"});
  Query query = query_of(store, target);
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
