// SPDX-License-Identifier: MIT
#pragma once

// The stores whose power is cut, and the two controls, which must be caught.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/json_file.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "kvstore/storage/sqlite.hpp"
#include "power/setup.hpp"
#include "support/fault_file_system.hpp"

namespace power {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;

/// A control: the real file system, whose files are never synced.
class NoSyncFileSystem final : public support::FaultFileSystem {
 public:
  Result<std::unique_ptr<kvstore::detail::File>> open(const Path& path, kvstore::detail::OpenMode mode,
                                                      std::uint32_t permissions) override {
    auto opened = kvstore::detail::system_file_system().open(path, mode, permissions);
    if (opened.error) return opened;
    return {std::make_unique<NoSyncFile>(*this, path, std::move(opened.value)), {}};
  }

 private:
  struct NoSyncFile final : support::FaultFile {
    using FaultFile::FaultFile;
    std::error_code sync() override { return {}; }
  };
};

/// A control: a log as it is often written, to which each save appends, and which is never synced.
class NaiveLog final : public kvstore::Storage {
 public:
  explicit NaiveLog(std::filesystem::path path) : path_{std::move(path)} {}

  void load(const kvstore::LoadRequest&, kvstore::LoadSink& sink) override {
    sink.finish();
    std::ifstream log{path_, std::ios::binary};
    for (std::string line; std::getline(log, line) && !log.eof();) {  // without a newline, it is a torn end
      const std::string_view text{line};
      const auto tab = text.find('\t');
      kvstore::Change change{text.substr(0, tab), std::nullopt};
      if (tab != text.npos) change.value = text.substr(tab + 1);
      sink.change(change);
    }
  }
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return kvstore::SaveScope::changes; }
  void save(kvstore::ChangeSource& source) override {
    std::ofstream log{path_, std::ios::binary | std::ios::app};
    for (kvstore::Change change; source.next(change);) {
      log << change.key;
      if (change.value) log << '\t' << *change.value;
      log << '\n';
    }
    if (!log.flush()) throw std::runtime_error{"cannot write the log"};
  }

 private:
  std::filesystem::path path_;
};

/// @param honest a control is opened without its fault: by the judge
[[nodiscard]] inline std::unique_ptr<kvstore::Storage> make_storage(const Setup& setup,
                                                                    const std::filesystem::path& folder,
                                                                    bool honest) {
  static NoSyncFileSystem no_sync;
  if (setup.store == "JsonFile") return std::make_unique<kvstore::JsonFile>(folder / "data.json");
  if (setup.store == "SqliteFile") return std::make_unique<kvstore::SqliteFile>(folder / "data.db");
  if (setup.store == "Naive") return std::make_unique<NaiveLog>(folder / "data.log");
  if (setup.store == "JsonJournal" || (setup.store == "JsonJournal-nosync" && honest))
    return std::make_unique<kvstore::JsonJournal>(folder / "data.json");
  if (setup.store == "JsonJournal-nosync")
    return std::make_unique<kvstore::JsonJournal>(folder / "data.json", no_sync);
  throw std::runtime_error{"there is no store " + setup.store};
}

[[nodiscard]] inline kvstore::Options options_of(const Setup& setup) {
  using std::chrono::milliseconds;
  return {.batch_size = setup.batch,
          .auto_save_interval = setup.background ? milliseconds{150} : milliseconds{0},
          .batch_save = setup.background ? kvstore::BatchSave::background : kvstore::BatchSave::wait};
}

}  // namespace power
