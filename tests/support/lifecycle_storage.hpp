// SPDX-License-Identifier: MIT
#pragma once

// The storages of the lifecycle suite, by name.

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "kvstore/kvstore.hpp"
#if __has_include(<sqlite3.h>)
#include "kvstore/storage/sqlite.hpp"
#endif

namespace support {

[[nodiscard]] inline std::vector<std::string> lifecycle_storages() {
#if __has_include(<sqlite3.h>)
  return {"JsonFile", "JsonJournal", "SqliteFile"};
#else
  return {"JsonFile", "JsonJournal"};
#endif
}

[[nodiscard]] inline std::unique_ptr<kvstore::Storage> open_lifecycle_storage(
    const std::string& name, const std::filesystem::path& folder) {
  if (name == "JsonFile") return std::make_unique<kvstore::JsonFile>(folder / "data.json");
  if (name == "JsonJournal") return std::make_unique<kvstore::JsonJournal>(folder / "data.json");
#if __has_include(<sqlite3.h>)
  if (name == "SqliteFile") return std::make_unique<kvstore::SqliteFile>(folder / "data.db");
#endif
  throw std::runtime_error{"no storage has the name " + name};
}

}  // namespace support
