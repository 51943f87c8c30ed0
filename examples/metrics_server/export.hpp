// SPDX-License-Identifier: MIT
#pragma once

// All entries as one JSON object, in the order of their keys. Only the keys are in memory at once: a large
// store needs no large answer, and a slow client holds no lock.

#include <algorithm>
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

namespace metrics_server {

class Export {
 public:
  Export(const Store& store, const Query& query) : store_{store} {
    store.for_each([&](const std::string& key, const ValueText& value) {
      if (query.matches(key, value)) keys_.push_back(key);
    });
    std::sort(keys_.begin(), keys_.end());
  }

  /// Appends one entry, unless it has gone meanwhile. @returns whether more come
  bool append(std::string& out) {
    if (next_ == keys_.size()) {
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
  const Store& store_;
  std::vector<std::string> keys_;
  std::size_t next_ = 0;
  bool first_ = true;
  kvstore::JsonWriter name_;
};

/// GET /export?prefix=P&key_contains=T&value_contains=T
inline void export_entries(const Store& store, const Target& target, Response& response) {
  target.allow_only({"prefix", "key_contains", "value_contains"});
  auto entries = std::make_shared<Export>(store, query_of(target));
  response.set_header("Content-Type", "application/json");
  response.set_header("Content-Disposition", "attachment; filename=\"export.json\"");
  response.next_piece = [entries](std::string& out) { return entries->append(out); };
}

}  // namespace metrics_server
