// SPDX-License-Identifier: MIT
#pragma once

// A storage in memory whose contents outlive it, and which fails or calls back when a test wants it to.

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace support {

/// What a `MemoryStorage` keeps, and how it behaves. Shared by a test and the storages it makes.
struct Disk {
  kvstore::SaveScope scope = kvstore::SaveScope::everything;
  std::map<std::string, std::string> entries;  ///< key text -> JSON, as of the last successful save
  std::size_t saves = 0;                       ///< attempts
  std::size_t handed_over = 0;                 ///< changes in the last attempt
  std::atomic<bool> fail = false;              ///< fail at the end of the next saves
  std::function<void()> on_save = [] {};       ///< at the start of each save
  std::function<void(std::size_t)> on_change = [](std::size_t) {};  ///< after each change, with its number

  [[nodiscard]] std::size_t count_saves() const {
    const std::scoped_lock lock{mutex};
    return saves;
  }
  [[nodiscard]] std::size_t count_entries() const {
    const std::scoped_lock lock{mutex};
    return entries.size();
  }

  mutable std::mutex mutex;  ///< guards the fields above while threads save
};

class MemoryStorage : public kvstore::Storage {
 public:
  explicit MemoryStorage(std::shared_ptr<Disk> disk) : disk_{std::move(disk)} {}

  void load(kvstore::LoadSink& sink) override {
    for (const auto& [key, value] : disk_->entries) sink.put(key, value);
  }

  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return disk_->scope; }

  void save(kvstore::ChangeSource& source) override {
    disk_->on_save();
    std::map<std::string, std::string> next;
    if (disk_->scope == kvstore::SaveScope::changes) next = disk_->entries;
    std::size_t count = 0;
    for (kvstore::Change change; source.next(change); disk_->on_change(count)) {
      ++count;
      if (change.value)
        next[std::string{change.key}] = *change.value;
      else
        next.erase(std::string{change.key});
    }
    const std::scoped_lock lock{disk_->mutex};
    ++disk_->saves;
    disk_->handed_over = count;
    if (disk_->fail) {
      throw kvstore::StorageError{"memory", std::make_error_code(std::errc::io_error), "cannot save"};
    }
    disk_->entries = std::move(next);
  }

  [[nodiscard]] std::filesystem::path path() const override { return "memory"; }

 private:
  std::shared_ptr<Disk> disk_;
};

[[nodiscard]] inline std::unique_ptr<MemoryStorage> storage_on(const std::shared_ptr<Disk>& disk) {
  return std::make_unique<MemoryStorage>(disk);
}

}  // namespace support
