// SPDX-License-Identifier: MIT
#pragma once

// All entries as one JSON object, in the order of their keys. A few megabytes of keys are in memory at once:
// a large store needs no large answer, and a slow client holds no lock. Each entry is as it was when its turn
// came; entries that come or go meanwhile may be there or not.

#include <cstddef>
#include <kvstore/json_writer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "exchange.hpp"
#include "listing.hpp"
#include "store.hpp"
#include "target.hpp"
#include "workers.hpp"

namespace metrics_server {

/// How many exports may be under way. Each of them looks at all entries many times.
inline constexpr std::size_t kMaxExports = 8;

class Export {
 public:
  Export(const Store& store, Query query, std::shared_ptr<void> slot)
      : store_{store}, query_{std::move(query)}, slot_{std::move(slot)} {}

  /// Appends one entry, unless it has gone meanwhile. @returns whether more come
  bool append(std::string& out) {
    if (next_ == keys_.size()) find_keys();
    if (keys_.empty()) {
      out += first_ ? "{}\n" : "\n}\n";
      return false;
    }
    const std::string& key = keys_[next_++];
    if (const std::optional<ValueText> value = store_.try_read(key)) {
      name_.clear();
      name_.string(key);
      out.append(std::exchange(first_, false) ? "{\n" : ",\n").append(name_.text()).append(": ") +=
          value->text;
    }
    return true;
  }

 private:
  /// Those that follow the last.
  void find_keys() {
    if (!keys_.empty()) query_.after = std::move(keys_.back());
    keys_.clear();
    next_ = 0;
    NearestKeys nearest{true, kListBytes};
    store_.for_each([&](const std::string& key, const ValueText& value) {
      if ((query_.after && key <= *query_.after) || !nearest.takes(key)) return;
      if (query_.matches(key, value)) nearest.add(key);
    });
    keys_ = std::move(nearest).sorted();
  }

  const Store& store_;
  Query query_;
  std::shared_ptr<void> slot_;
  std::vector<std::string> keys_;
  std::size_t next_ = 0;
  bool first_ = true;
  kvstore::JsonWriter name_;
};

/// GET /export?prefix=P&key_contains=T&value_contains=T
inline void export_entries(const Store& store, Slots& slots, const Target& target, Response& response) {
  target.allow_only({"prefix", "key_contains", "value_contains"});
  auto entries = std::make_shared<Export>(store, query_of(store, target), slots.take());
  response.set_header("Content-Type", "application/json");
  response.set_header("Content-Disposition", "attachment; filename=\"export.json\"");
  response.next_piece = [entries](std::string& out) { return entries->append(out); };
}

}  // namespace metrics_server
