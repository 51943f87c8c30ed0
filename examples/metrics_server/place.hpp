// SPDX-License-Identifier: MIT
#pragma once

// By which storage a store is kept: as its files say, or as the user does. A journal that was begun beside a
// plain JSON file would keep out the program whose file it is.

#include <array>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <kvstore/storage.hpp>
#include <kvstore/storage/json_file.hpp>
#include <kvstore/storage/json_journal.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "options.hpp"
#include "outcome.hpp"

namespace metrics_server {

/// @throws Failure for a database, which has a storage of its own
inline void check_no_database(const std::filesystem::path& path) {
  constexpr std::string_view kMagic{"SQLite format 3\0", 16};
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return;  // to open a pipe would wait
  std::array<char, kMagic.size()> start{};
  std::ifstream{path, std::ios::binary}.read(start.data(), start.size());
  if (std::string_view{start.data(), start.size()} != kMagic) return;
  throw Failure{kUsage, path.string() +
                            ": is an SQLite database, and this serves JSON files and journals only; "
                            "`kvctl migrate " +
                            path.string() + " FILE.json` copies it into one"};
}

/// Whether a journal continues the file. It lies beside the file itself, not beside a link to it.
[[nodiscard]] inline bool has_journal(const std::filesystem::path& path) {
  const std::filesystem::path file = kvstore::JsonFile{path}.path();
  for (const char* const suffix : {".journal", ".journal.next", ".journal.new"}) {
    std::error_code ignored;
    if (std::filesystem::exists(std::filesystem::path{file} += suffix, ignored)) return true;
  }
  return false;
}

/// A reader takes both kinds, since the owner may begin a journal at any time. A journal that this program
/// has kept is compacted at the end: then the file alone is the store, for every program.
[[nodiscard]] inline std::unique_ptr<kvstore::Storage> make_storage(const Options& options,
                                                                    const std::filesystem::path& path) {
  check_no_database(path);
  const bool journaled =
      options.storage.empty() ? options.read_only || has_journal(path) : options.storage == "journal";
  if (!journaled) return std::make_unique<kvstore::JsonFile>(path);
  return std::make_unique<kvstore::JsonJournal>(
      path, kvstore::JsonJournalOptions{.compact_on_close = !options.read_only});
}

}  // namespace metrics_server
