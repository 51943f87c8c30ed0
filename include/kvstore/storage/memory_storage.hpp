// SPDX-License-Identifier: MIT
#pragma once

// A storage in memory, for tests of this library and of programs that use it.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/file/native.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 {

/// Keeps a store in a `Contents`, which outlives the storage, so that a test can inspect the saved entries,
/// open them again, or make saves fail.
///
/// *Thread safety*: as documented for `Storage`. *Durability*: none.
///
/// ```cpp
/// const auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
/// kvstore::BatchPersistentKeyValueStore<std::string, int> store{
///     std::make_unique<kvstore::MemoryStorage>(contents), {.batch_size = 1}};
/// contents->fail = true;  // what does my code do when a save fails?
/// ```
class MemoryStorage final : public Storage {
 public:
  /// The stored entries, and the behaviour of the storage. Set the functions and `wanted` before using it.
  struct Contents {
    SaveScope wanted = SaveScope::everything;    ///< the scope that saves ask for
    std::map<std::string, std::string> entries;  ///< key text -> JSON, as of the last successful save
    std::uint32_t schema_version = 0;            ///< of that save
    bool saved = false;                          ///< at least once; without that and without entries, there
                                                 ///< is no store
    std::size_t saves = 0;                       ///< attempts
    std::size_t handed_over = 0;                 ///< the number of changes in the last attempt
    std::atomic<bool> fail = false;              ///< fail at the end of the next saves
    std::function<void()> on_save = [] {};       ///< called at the start of each save
    std::function<void(std::size_t)> on_change = [](std::size_t) {};  ///< called after each change, with its
                                                                      ///< number
    std::atomic<bool> owned = false;                                  ///< a store has it open for writing

    /// `saves`, readable also while threads save.
    [[nodiscard]] std::size_t count_saves() const {
      const std::scoped_lock lock{mutex};
      return saves;
    }
    /// The number of `entries`, readable also while threads save.
    [[nodiscard]] std::size_t count_entries() const {
      const std::scoped_lock lock{mutex};
      return entries.size();
    }

    mutable std::mutex mutex;  ///< guards the plain fields while threads save
  };

  /// A storage with contents of its own, or with shared ones.
  explicit MemoryStorage(std::shared_ptr<Contents> contents = std::make_shared<Contents>())
      : contents_{std::move(contents)} {}

  ~MemoryStorage() override {
    if (acquired_) contents_->owned = false;
  }

  void load(const LoadRequest& request, LoadSink& sink) override {
    if (request.purpose == LoadPurpose::exclusive) acquire();
    const std::scoped_lock lock{contents_->mutex};
    if (!contents_->saved && contents_->entries.empty()) sink.missing(path(), request);
    sink.schema_version(contents_->schema_version);
    for (const auto& [key, value] : contents_->entries) sink.put(key, value);
  }

  [[nodiscard]] SaveScope scope() const noexcept override { return contents_->wanted; }
  [[nodiscard]] bool takes_changes() const noexcept override {
    return contents_->wanted == SaveScope::changes;
  }

  void save(ChangeSource& source) override {
    acquire();
    contents_->on_save();
    std::map<std::string, std::string> next;
    if (source.scope() == SaveScope::changes) next = contents_->entries;
    std::size_t count = 0;
    for (Change change; source.next(change); contents_->on_change(count)) {
      ++count;
      if (change.value)
        next[std::string{change.key}] = *change.value;
      else
        next.erase(std::string{change.key});
    }
    const std::scoped_lock lock{contents_->mutex};
    ++contents_->saves;
    contents_->handed_over = count;
    if (contents_->fail) throw StorageError{path(), std::make_error_code(std::errc::io_error), "cannot save"};
    contents_->entries = std::move(next);
    contents_->schema_version = source.schema_version();
    contents_->saved = true;
  }

  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }
  [[nodiscard]] std::filesystem::path path() const override { return "memory"; }

 private:
  void acquire() {
    if (acquired_) return;
    if (contents_->owned.exchange(true)) throw LockedError{path(), detail::system_file_system().process_id()};
    acquired_ = true;
  }

  std::shared_ptr<Contents> contents_;
  bool acquired_ = false;
};

}}  // namespace kvstore::v1
