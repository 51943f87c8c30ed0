// SPDX-License-Identifier: MIT
#pragma once

// Another storage, with something that happens at the start of each save.

#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "kvstore/storage.hpp"

namespace support {

/// Passes everything on; `on_save` is called first in each save, which fails if it throws; where there is a
/// journal, in each look that comes before a sync.
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

/// Wants everything once, as a storage does whose file is new, and changes from then on.
class SettlingStorage final : public kvstore::Storage {
 public:
  /// `storage` takes whichever it is handed.
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
