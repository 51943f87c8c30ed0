// SPDX-License-Identifier: MIT
#pragma once

// Every storage that the conformance suite tests.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/hooked_storage.hpp"
#include "support/temp_folder.hpp"
#ifndef _WIN32
#include "../examples/length_prefixed_file.hpp"
#endif
#if __has_include(<sqlite3.h>)
#include "kvstore/storage/sqlite.hpp"
#endif
#ifdef KVSTORE_TEST_REDIS
#include "kvstore/storage/redis_cluster_storage.hpp"
#include "support/redis_servers.hpp"
#endif

namespace support {

/// The promises of a storage beyond those of every storage.
struct StorageTraits {
  bool locks = true;             ///< keeps out a second owner
  bool keeps_version = true;     ///< keeps the schema version
  bool in_file = false;          ///< is kept in a file whose name the caller chooses
  bool reads_only_news = false;  ///< load_changes() knows what changed, even while others write
};

struct StorageCase {
  std::string name;
  /// Opens the one storage in a folder.
  std::function<std::unique_ptr<kvstore::Storage>(const std::filesystem::path& folder)> open;
  StorageTraits traits = {};
};

/// Memory does not outlive its owner, so this one lives as long as the program, by folder.
inline std::unique_ptr<kvstore::Storage> open_memory(const std::filesystem::path& folder,
                                                     kvstore::SaveScope wanted) {
  static std::map<std::filesystem::path, std::shared_ptr<kvstore::MemoryStorage::Contents>> all;
  auto& contents = all[folder];
  if (!contents) contents = std::make_shared<kvstore::MemoryStorage::Contents>();
  contents->wanted = wanted;
  return std::make_unique<kvstore::MemoryStorage>(contents);
}

template <class Storage>
auto in_file(const char* name) {
  return [name](const std::filesystem::path& folder) { return std::make_unique<Storage>(folder / name); };
}

inline std::unique_ptr<kvstore::Storage> open_at_save(const std::filesystem::path& folder) {
  return std::make_unique<kvstore::JsonJournal>(
      folder / "data.json", kvstore::JsonJournalOptions{.record = kvstore::Record::at_save});
}

#ifdef KVSTORE_TEST_REDIS
inline std::unique_ptr<kvstore::Storage> open_on_redis(const std::filesystem::path& folder) {
  return std::make_unique<kvstore::RedisClusterStorage>(RedisServers{}.options(), folder.string());
}
#endif

/// All storages under test. A new one is one more line here. Storages that need servers are tested alone, in
/// the program that has the servers.
[[nodiscard]] inline const std::vector<StorageCase>& storages() {
  static const std::vector<StorageCase> all{
#ifdef KVSTORE_TEST_REDIS
      {"RedisClusterStorage", open_on_redis},
#else
      {"JsonFile", in_file<kvstore::JsonFile>("data.json"), {.in_file = true}},
      {"JsonJournal", in_file<kvstore::JsonJournal>("data.json"), {.in_file = true, .reads_only_news = true}},
      {"JsonJournal, at save", open_at_save, {.in_file = true, .reads_only_news = true}},
#if __has_include(<sqlite3.h>)
      {"SqliteFile", in_file<kvstore::SqliteFile>("data.db"), {.in_file = true}},
#endif
      {"MemoryStorage, everything",
       [](const auto& folder) { return open_memory(folder, kvstore::SaveScope::everything); }},
      {"MemoryStorage, changes",
       [](const auto& folder) { return open_memory(folder, kvstore::SaveScope::changes); }},
      {"MemoryStorage, everything at first",
       [](const auto& folder) {
         return std::make_unique<SettlingStorage>(open_memory(folder, kvstore::SaveScope::changes));
       }},
#ifndef _WIN32  // syncs with POSIX calls
      {"LengthPrefixedFile, of the examples",
       in_file<LengthPrefixedFile>("data.entries"),
       {.locks = false, .keeps_version = false}},
#endif
#endif
  };
  return all;
}

/// Whether a file that is open for reading can be replaced, as on the systems that users have. Wine 8 cannot
/// do that, so there no journal is compacted while a reader has it open.
[[nodiscard]] inline bool replaces_open_files() {
  static const bool result = [] {
    const TempFolder folder;
    write_file(folder / "old", "old");
    write_file(folder / "new", "new");
    auto& files = kvstore::detail::system_file_system();
    const auto reader = kvstore::detail::open_file(files, folder / "old", kvstore::detail::OpenMode::read);
    return !files.rename(folder / "new", folder / "old");
  }();
  return result;
}

}  // namespace support
