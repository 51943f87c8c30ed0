// SPDX-License-Identifier: MIT
#pragma once

// The commands that change a store. What they need to read from standard input they read before they take its
// lock, so that a slow writer at the other end of a pipe keeps nobody out.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <kvstore/migrate.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "acting_user.hpp"
#include "arguments.hpp"
#include "entries.hpp"
#include "fresh_target.hpp"
#include "object_reader.hpp"
#include "output.hpp"
#include "places.hpp"
#include "reading.hpp"
#include "session.hpp"
#include "text.hpp"

namespace kvctl {

/// @throws Failure for a key that no entry may have
inline void check_key(std::string_view key) {
  if (!is_utf8(key)) throw Failure{kUsage, "key " + shown(key) + " is not valid UTF-8"};
  if (key != kvstore::kSchemaVersionKey) return;
  throw Failure{kUsage, "JSON files keep the schema version under " + shown(key) + "; use another key"};
}

/// The value on its own: without white space around it.
[[nodiscard]] inline std::string trimmed(std::string_view json) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t start = std::min(json.find_first_not_of(kSpace), json.size());
  json.remove_prefix(start);
  return std::string{json.substr(0, json.find_last_not_of(kSpace) + 1)};
}

[[nodiscard]] inline std::string value_of(const Arguments& arguments) {
  const std::string value = trimmed(arguments.value == "-" ? read_file("-") : arguments.value);
  try {
    check_strictly(value);  // before a line feed in a string, which is no JSON, could become a space
  } catch (const kvstore::ParseError& error) {
    throw Failure{kUsage, "the value is not JSON: byte " + std::to_string(error.offset()) + ": " +
                              error.what() + "; a string stands in quotes of its own: '\"text\"'"};
  }
  return on_one_line(value);
}

inline Status put(const Arguments& arguments, Output&) {
  const std::string& key = arguments.key;
  check_key(key);
  Place place = find_place(arguments.path, arguments.storage);
  const std::string value = value_of(arguments);
  act_as_owner(arguments.path);
  place = find_place(arguments.path, arguments.storage);  // reading may have taken long
  const Failure missing{kNoSuchKey, arguments.path + ": key " + shown(key) + " does not exist"};
  if (arguments.update && !place.exists) throw missing;
  Session session{place, arguments.integer_keys};
  const bool exists = session.table().contains(key);
  if (arguments.update && !exists) throw missing;
  if (arguments.create && exists) {
    throw Failure{kNoSuchKey, arguments.path + ": key " + shown(key) + " exists already"};
  }
  session.put(key, value);
  session.commit();
  return kDone;
}

/// All of them or none.
inline Status rm(const Arguments& arguments, Output&) {
  act_as_owner(arguments.path);
  Session session{find_existing(arguments.path, arguments.storage)};
  for (const std::string& key : arguments.keys) {
    if (session.table().contains(key)) continue;
    throw Failure{kNoSuchKey,
                  arguments.path + ": key " + shown(key) + " does not exist; nothing was removed"};
  }
  for (const std::string& key : arguments.keys) session.remove(key);
  session.commit();
  return kDone;
}

inline Status compact(const Arguments& arguments, Output& out) {
  act_as_owner(arguments.path);
  const Place place = find_existing(arguments.path, arguments.storage);
  const auto bytes = [&] {
    std::uintmax_t sum = size_of(place.path) + size_of(beside(place.path, "-wal"));
    for (const char* suffix : kJournals) sum += size_of(beside(place.path, suffix));
    return std::to_string(sum);
  };
  const std::string before = bytes();
  {
    Session session{place};
    if (place.kind == Kind::sqlite)
      vacuum(place.path);
    else
      session.save_everything();
  }
  out.append_message(arguments.path + ": " + before + " bytes before, " + bytes() + " now");
  return kDone;
}

// ---- import ---------------------------------------------------------------------------------------------

[[nodiscard]] inline Imported read_object(const std::string& name) {
  try {
    const std::string text = read_file(name);
    return ObjectReader{text}.read();
  } catch (const kvstore::ParseError& error) {
    throw Failure{kDamaged, (name.empty() || name == "-" ? "standard input" : name) + ": byte " +
                                std::to_string(error.offset()) + ": " + error.what() +
                                "; nothing was imported"};
  }
}

inline Status import_entries(const Arguments& arguments, Output&) {
  static_cast<void>(find_place(arguments.path, arguments.storage));
  const Imported imported = read_object(arguments.other);
  act_as_owner(arguments.path);
  const Place place = find_place(arguments.path, arguments.storage);
  Session session{place, arguments.integer_keys};
  if (arguments.replace || !place.exists) session.clear();
  if (session.table().size() == 0) {
    session.schema_version(imported.version);
  } else if (imported.version != session.table().version) {
    throw Failure{kUsage, arguments.path + ": its values have schema version " +
                              std::to_string(session.table().version) + ", those to import have " +
                              std::to_string(imported.version) + "; nothing was imported"};
  }
  for (const Entry& entry : imported.entries) session.put(entry.key, *entry.value);
  session.commit();
  return kDone;
}

// ---- migrate --------------------------------------------------------------------------------------------

inline Status migrate(const Arguments& arguments, Output& out) {
  act_as_owner(arguments.path, arguments.other);
  const Place from = find_existing(arguments.path, arguments.storage);
  const Place to = find_place(arguments.other, arguments.to_storage);
  if (to.exists && fs::exists(to.path) && fs::exists(from.path) && fs::equivalent(from.path, to.path)) {
    throw Failure{kUsage, "the source and the target are one file"};
  }
  if (to.exists && !arguments.replace) {
    std::uint64_t present = 0;
    for_each_entry(*open_to_read(to), [&](std::string_view, std::string_view) { ++present; });
    if (present != 0) {
      throw Failure{kNoSuchKey, arguments.other + ": holds " + std::to_string(present) +
                                    " entries already; name an empty store, or say --replace"};
    }
  }
  const auto source = open_to_read(from);
  CheckedStorage checked{*source};
  const bool integer_keys = arguments.integer_keys || has_integer_keys(from);
  const auto copy_to = [&](const Place& place) {
    const auto target = open_to_write(place, integer_keys);
    ProgressBar bar{"migrating"};
    return kvstore::migrate(checked, *target, {.replace = arguments.replace, .on_progress = std::ref(bar)});
  };
  std::uint64_t count = 0;
  if (to.exists) {
    count = copy_to(to);
  } else {
    FreshTarget fresh{from, to, arguments.other};
    count = copy_to(fresh.place());
    fresh.publish();
  }
  out.append(std::to_string(count) + (count == 1 ? " entry\n" : " entries\n"));
  return kDone;
}

}  // namespace kvctl
