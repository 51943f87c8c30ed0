// SPDX-License-Identifier: MIT
#pragma once

// Where a store is, and by which storage it is kept: as its files say, or as the user does.

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <kvstore/kvstore.hpp>
#include <kvstore/storage/json_journal.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "outcome.hpp"
#include "regular_file.hpp"
#include "sqlite_access.hpp"

namespace kvctl {

namespace fs = std::filesystem;

enum class Kind { json, journal, sqlite };

[[nodiscard]] inline const char* name_of(Kind kind) {
  return kind == Kind::json ? "json" : kind == Kind::journal ? "journal" : "sqlite";
}

struct Place {
  fs::path path;
  Kind kind = Kind::json;
  bool exists = false;
};

[[nodiscard]] inline fs::path beside(fs::path path, const char* suffix) { return path += suffix; }

inline constexpr const char* kJournals[] = {".journal", ".journal.next", ".journal.new"};

/// Whether a file has that name. @throws Failure if that cannot be told, or something else has it: opening a
/// pipe would wait for whoever writes it, and what it gives comes once
[[nodiscard]] inline bool is_there(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found || error == std::errc::filename_too_long) return false;
  if (error) throw Failure{kFailed, path.string() + ": " + error.message()};
  if (fs::is_directory(status)) throw Failure{kFailed, path.string() + ": is a folder; name the file in it"};
  if (!fs::is_regular_file(status)) {
    throw Failure{kFailed, path.string() +
                               ": is a pipe, a socket or a device; copy what it gives into a file, and name "
                               "that"};
  }
  return true;
}

[[nodiscard]] inline bool has_journal(const fs::path& path) {
  for (const char* suffix : kJournals) {
    if (is_there(beside(path, suffix))) return true;
  }
  return is_there(beside(path, ".journal.tail"));
}

/// What a file begins with says it: nothing else does, since any name may be given to any storage.
[[nodiscard]] inline bool is_sqlite(const fs::path& path) {
  constexpr std::string_view kMagic{"SQLite format 3\0", 16};
  return start_of(path, kMagic.size()) == kMagic;
}
[[nodiscard]] inline bool has_no_bytes(const fs::path& path) { return start_of(path, 1).empty(); }
[[nodiscard]] inline bool is_journal(const fs::path& path) {
  constexpr std::string_view kHeader = R"({"kvstore_journal")";
  constexpr std::size_t kChecksum = 9;  // eight digits and a space
  const std::string start = start_of(path, kChecksum + kHeader.size());
  return start.ends_with(kHeader) && !start.starts_with('{');
}

/// Of a store that is yet to be made.
[[nodiscard]] inline Kind kind_of_new(const fs::path& path) {
  const fs::path extension = path.extension();
  return extension == ".db" || extension == ".sqlite" || extension == ".sqlite3" ? Kind::sqlite : Kind::json;
}

/// Looks at what is there; `wanted` is what the user said, or empty.
[[nodiscard]] inline Place find_place(const std::string& name, const std::string& wanted) {
  if (name.empty()) throw Failure{kUsage, "an empty path names no store"};
  Place place{.path = name};
  // What belongs to a store lies beside the file itself, not beside a link to it.
  const bool is_link = fs::is_symlink(place.path);
  if (is_link) {
    static_cast<void>(is_there(place.path));
    place.path = kvstore::JsonFile{place.path}.path();
  }
  const bool has_file = is_there(place.path);
  const bool journaled = has_journal(place.path);
  place.exists = has_file || journaled;
  if (is_link && !place.exists) {
    throw Failure{kFailed, name + ": is a link to " + place.path.string() +
                               ", which does not exist; nothing is made through a link: name that file, or "
                               "remove the link"};
  }
  if (wanted == "json" || wanted == "journal" || wanted == "sqlite") {
    place.kind = wanted == "json" ? Kind::json : wanted == "journal" ? Kind::journal : Kind::sqlite;
    return place;
  }
  if (has_file && is_journal(place.path)) {
    throw Failure{kUsage, name + ": is a journal; name the store that it belongs to, " +
                              fs::path{place.path}.replace_extension().string()};
  }
  if (has_file && is_sqlite(place.path))
    place.kind = Kind::sqlite;
  else if (journaled)
    place.kind = Kind::journal;
  else if (!place.exists || has_no_bytes(place.path))  // a database whose making was cut short is empty
    place.kind = kind_of_new(place.path);
  return place;
}

/// The same of a store that must be there.
[[nodiscard]] inline Place find_existing(const std::string& name, const std::string& wanted) {
  const Place place = find_place(name, wanted);
  if (place.exists) return place;
  throw Failure{kFailed, name + ": there is no such file"};
}

/// To read: takes no lock, makes no file.
[[nodiscard]] inline std::unique_ptr<kvstore::Storage> open_to_read(const Place& place) {
  switch (place.kind) {
    case Kind::sqlite:
      return open_sqlite_to_read(place.path);
    case Kind::journal:
      return std::make_unique<kvstore::JsonJournal>(place.path);
    case Kind::json:
      break;
  }
  return std::make_unique<kvstore::JsonFile>(place.path);
}

/// A file that replaces a read-only one could be made all the same, which is not what its owner meant.
inline void check_writable(const fs::path& path) {
  if (::access(path.c_str(), W_OK) == 0 || errno == ENOENT || errno == ENAMETOOLONG) return;
  const std::error_code error{errno, std::generic_category()};
  throw Failure{kFailed, path.string() + ": the file may not be written: " + error.message()};
}

/// To write: its first load takes the lock.
[[nodiscard]] inline std::unique_ptr<kvstore::Storage> open_to_write(const Place& place) {
  check_writable(place.path);
  for (const char* suffix : kJournals) check_writable(beside(place.path, suffix));
  if (place.kind == Kind::sqlite) return open_sqlite_to_write(place.path);
  return open_to_read(place);
}

}  // namespace kvctl
