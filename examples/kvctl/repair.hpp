// SPDX-License-Identifier: MIT
#pragma once

// Writes what can be saved of a damaged store into a new one. The damaged files are only read.

#include <memory>
#include <string>
#include <string_view>

#include "acting_user.hpp"
#include "arguments.hpp"
#include "fresh_target.hpp"
#include "lock_holder.hpp"
#include "output.hpp"
#include "salvage.hpp"
#include "salvage_journal.hpp"
#include "salvage_json.hpp"
#include "salvage_sqlite.hpp"
#include "session.hpp"

namespace kvctl {

inline void salvage(const Place& place, const Arguments& arguments, Salvage& result) {
  switch (place.kind) {
    case Kind::sqlite:
      salvage_rows(place.path, result);
      break;
    case Kind::journal:
      JournalSalvage{place.path, arguments.until_damage, result}.run();
      break;
    case Kind::json:
      const std::string text = read_store_file(place.path);
      JsonSalvage{text, place.path, result}.run();
      break;
  }
}

inline void write_new(const Place& place, const Place& like, const Table& table, bool integer_keys) {
  const auto storage = open_to_write(place, integer_keys);
  storage->make_like(fs::absolute(like.path));
  NoSink none;
  storage->load({.purpose = kvstore::LoadPurpose::exclusive}, none);
  ListSource everything{table.entries(), kvstore::SaveScope::everything, table.version};
  storage->save(everything);
}

inline Status repair(const Arguments& arguments, Output& out) {
  act_as_owner(arguments.path, arguments.other);
  const Place damaged = find_existing(arguments.path, arguments.storage);
  Place fresh = find_place(arguments.other, "json");
  if (fresh.exists) throw Failure{kNoSuchKey, arguments.other + ": exists already; name a new file"};
  fresh.kind = damaged.kind == Kind::sqlite ? Kind::sqlite : Kind::json;
  if (const auto holder = find_lock_holder(damaged.path); holder && holder->holds) {
    throw kvstore::LockedError{damaged.path, holder->process};
  }
  Salvage result;
  salvage(damaged, arguments, result);
  if (result.table.size() == 0 && result.losses != 0) {
    throw Failure{kDamaged,
                  arguments.path + ": nothing could be saved; " + arguments.other + " was not written"};
  }
  FreshTarget target{damaged, fresh, arguments.other};
  write_new(target.place(), damaged, result.table, result.integer_keys);
  target.publish();
  const std::size_t count = result.table.size();
  out.append_message(arguments.other + ": " + std::to_string(count) +
                     (count == 1 ? " entry saved" : " entries saved"));
  if (result.losses == 0) return kDone;
  Salvage::note(damaged.kind == Kind::json
                    ? "a JSON file has no checksums: what still parses was taken as it stands"
                    : "what is not named above is as it was stored");
  return kDamaged;
}

}  // namespace kvctl
