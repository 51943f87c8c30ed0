// SPDX-License-Identifier: MIT
#pragma once

// What is written in an afternoon instead of using a library: one map, one lock, one dump.

#include <filesystem>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>

#include "bench/support/files.hpp"

namespace bench {

class NaiveStore {
 public:
  void upsert(std::string key, std::string value) {
    const std::unique_lock lock{mutex_};
    map_.insert_or_assign(std::move(key), std::move(value));
  }

  /// Readers go on while it encodes; writers wait. The disk is waited for without the lock.
  void save(const std::filesystem::path& path) {
    std::shared_lock lock{mutex_};
    const std::string text = nlohmann::json(map_).dump();
    lock.unlock();
    replace_file(path, text);
  }

 private:
  std::shared_mutex mutex_;
  std::unordered_map<std::string, std::string> map_;
};

}  // namespace bench
