// SPDX-License-Identifier: MIT
#pragma once

// Another storage, with a hook at the start of each save.

#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "kvstore/storage.hpp"

namespace support {

/// Passes everything on. Calls `on_save` first in each save, and, if there is a journal, in each check before
/// a sync. If `on_save` throws, the save fails.
class HookedStorage final : public kvstore::Storage {
 public:
  HookedStorage(std::unique_ptr<kvstore::Storage> storage, std::function<void()> on_save)
      : storage_{std::move(storage)}, on_save_{std::move(on_save)} {}

  void load(const kvstore::LoadRequest& request, kvstore::LoadSink& sink) override {
    storage_->load(request, sink);
  }
  bool load_changes(kvstore::LoadSink& sink) override { return storage_->load_changes(sink); }
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return storage_->scope(); }
  void save(kvstore::ChangeSource& source) override {
    on_save_();
    storage_->save(source);
  }
  [[nodiscard]] bool takes_changes() const noexcept override { return storage_->takes_changes(); }
  [[nodiscard]] bool is_intact() override {
    if (storage_->journal() != nullptr) on_save_();
    return storage_->is_intact();
  }
  [[nodiscard]] kvstore::Journal* journal() noexcept override { return storage_->journal(); }
  [[nodiscard]] bool keeps_schema_version() const noexcept override {
    return storage_->keeps_schema_version();
  }
  [[nodiscard]] std::filesystem::path path() const override { return storage_->path(); }

 private:
  std::unique_ptr<kvstore::Storage> storage_;
  std::function<void()> on_save_;
};

/// Wants everything in the first save, as a storage with a new file does, and changes from then on.
class SettlingStorage final : public kvstore::Storage {
 public:
  /// `storage` accepts both kinds of saves.
  explicit SettlingStorage(std::unique_ptr<kvstore::Storage> storage) : storage_{std::move(storage)} {}

  void load(const kvstore::LoadRequest& request, kvstore::LoadSink& sink) override {
    storage_->load(request, sink);
  }
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return scope_; }
  void save(kvstore::ChangeSource& source) override {
    storage_->save(source);
    scope_ = kvstore::SaveScope::changes;
  }
  [[nodiscard]] bool keeps_schema_version() const noexcept override {
    return storage_->keeps_schema_version();
  }
  [[nodiscard]] std::filesystem::path path() const override { return storage_->path(); }

 private:
  std::unique_ptr<kvstore::Storage> storage_;
  kvstore::SaveScope scope_ = kvstore::SaveScope::everything;
};

}  // namespace support
