// SPDX-License-Identifier: MIT
#pragma once

// Stores of values that need memory, and rounds in which one allocation after another fails.

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/detail/base/descriptors.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/contents_of.hpp"
#include "support/failing_new.hpp"
#include "support/memory_storage.hpp"
#include "support/stride.hpp"

namespace out_of_memory {

using namespace std::chrono_literals;
using support::contents_of;
using support::Disk;

// Not nlohmann::json, whose destructor needs memory and ends the program where there is none.
using Value = std::vector<std::string>;
using Base = kvstore::KeyValueStore<std::string, Value>;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, Value>;
using Contents = std::map<std::string, Value>;
using Path = std::filesystem::path;

inline const kvstore::Options kNeverSaves{.batch_size = 0, .auto_save_interval = 0ms, .segments = 2};
inline const kvstore::Options kAlwaysSaves{.batch_size = 1, .auto_save_interval = 0ms, .segments = 2};

// Longer than what a string keeps without an allocation.
inline std::string key(int number) { return "a key that needs memory of its own " + std::to_string(number); }
inline Value value(int number) { return {std::string(40, 'v') + std::to_string(number), "short"}; }

struct Verb {
  const char* name;
  void (*act)(Base&);
};

inline const std::vector<Verb> kVerbs{
    {"create", [](Base& store) { store.create(key(100), value(1)); }},
    {"create of an existing key", [](Base& store) { store.create(key(0), value(1)); }},
    {"upsert of a new key", [](Base& store) { store.upsert(key(100), value(1)); }},
    {"upsert of an existing key", [](Base& store) { store.upsert(key(0), value(1)); }},
    {"update", [](Base& store) { store.update(key(1), value(1)); }},
    {"update of a missing key", [](Base& store) { store.update(key(100), value(1)); }},
    {"remove", [](Base& store) { store.remove(key(0)); }},
    {"modify", [](Base& store) { store.modify(key(0), [](Value& value) { value.emplace_back(50, 'n'); }); }},
    {"compare_exchange", [](Base& store) { store.compare_exchange(key(2), value(2), value(3)); }},
    {"apply",
     [](Base& store) {
       Base::Batch batch;
       batch.create(key(100), value(1)).update(key(0), value(2)).remove(key(1)).upsert(key(101), value(3));
       store.apply(std::move(batch));
     }},
    {"apply of a batch that is refused",
     [](Base& store) {
       Base::Batch batch;
       batch.upsert(key(100), value(1)).remove(key(101));
       store.apply(std::move(batch));
     }},
    {"clear", [](Base& store) { store.clear(); }},
    {"read", [](Base& store) { static_cast<void>(store.read(key(0))); }},
    {"for_each",
     [](Base& store) { store.for_each([](const std::string& text, const Value&) { std::string{text}; }); }},
};

inline void fill(Base& store, int entries) {
  for (int i = 0; i < entries; ++i) store.create(key(i), value(i));
}

/// What a verb makes of a store when all goes well.
inline Contents changed_by(const Verb& verb, const Contents& before) {
  Base store;
  for (const auto& [name, found] : before) store.create(name, found);
  try {
    verb.act(store);
  } catch (const kvstore::Error&) {}  // NOLINT(bugprone-empty-catch): the contents tell
  return contents_of(store);
}

enum class Outcome { done, refused, out_of_memory, not_on_disk };

/// Runs `act` with a failing allocation. Nothing else may come out than what the library documents.
template <class Act>
Outcome outcome_of(const Act& act) {
  try {
    act();
    return Outcome::done;
  } catch (const std::bad_alloc&) { return Outcome::out_of_memory; } catch (const kvstore::StorageError&) {
    return Outcome::not_on_disk;
  } catch (const kvstore::Error&) { return Outcome::refused; }
}

/// The list of locked files, which lasts as long as the process, gets as long as any test makes it.
inline void make_list_of_locked_files() {
  using kvstore::detail::LockedDescriptor;
  std::array<LockedDescriptor*, 8> listed{};
  for (LockedDescriptor*& one : listed) one = LockedDescriptor::list(1 << 20);  // no file has that number
  for (LockedDescriptor* const one : listed) one->unlist();
}

/// Runs `round(nth)` for 1, 2, … until a round has met no failing allocation. A round returns whether it has;
/// whatever it makes it must have given back by its end.
template <class Round>
void for_every_allocation(const Round& round) {
  make_list_of_locked_files();
  static_cast<void>(round(UINT64_MAX));  // so that what is made once per thread or program is there
  for (std::uint64_t nth = 1;; nth += support::kRunStride) {
    CAPTURE(nth);
    const std::int64_t before = support::living_allocations();
    const bool struck = round(nth);
    const std::int64_t leaked = support::living_allocations() - before;
    REQUIRE(leaked == 0);
    if (!struck) return;
  }
}

/// What another store finds there while the first one is open.
inline Contents stored_on(const std::shared_ptr<Disk>& disk) {
  kvstore::Options looks_only = kNeverSaves;
  looks_only.read_only = true;
  return contents_of(Store{support::storage_on(disk), looks_only});
}

/// The store behaves, saves what it holds, and another one on the same disk finds that.
inline void require_usable(Store& store, const std::shared_ptr<Disk>& disk) {
  store.save();
  store.upsert(key(200), value(200));
  REQUIRE(store.read(key(200)) == value(200));
  store.save();
  REQUIRE(store.unsaved() == 0);
  REQUIRE_FALSE(store.last_error().has_value());
  REQUIRE(stored_on(disk) == contents_of(store));
}

}  // namespace out_of_memory
