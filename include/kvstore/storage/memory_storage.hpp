// SPDX-License-Identifier: MIT
#pragma once

// A storage in memory, for tests of this library and of programs that use it.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
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
    [[nodiscard]] std::size_t count_saves() const;
    /// The number of `entries`, readable also while threads save.
    [[nodiscard]] std::size_t count_entries() const;

    mutable std::mutex mutex;  ///< guards the plain fields while threads save
  };

  /// A storage with contents of its own, or with shared ones.
  explicit MemoryStorage(std::shared_ptr<Contents> contents = std::make_shared<Contents>())
      : contents_{std::move(contents)} {}

  KVSTORE_INLINE ~MemoryStorage() override;

  KVSTORE_INLINE void load(const LoadRequest& request, LoadSink& sink) override;

  [[nodiscard]] SaveScope scope() const noexcept override { return contents_->wanted; }
  [[nodiscard]] KVSTORE_INLINE bool takes_changes() const noexcept override;

  KVSTORE_INLINE void save(ChangeSource& source) override;

  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }
  [[nodiscard]] std::filesystem::path path() const override { return "memory"; }

 private:
  void acquire();

  std::shared_ptr<Contents> contents_;
  bool acquired_ = false;
};

}}  // namespace kvstore::v1

#ifndef KVSTORE_COMPILED
#include "kvstore/storage/memory_storage.ipp"
#endif
