// SPDX-License-Identifier: MIT

// Verbs that run out of memory: every allocation of every call fails once, and then for good. The call throws
// std::bad_alloc and leaves the store as it was, or throws the StorageError that says otherwise. The store
// stays usable, and nothing leaks.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "memory/out_of_memory.hpp"
#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/memory_storage.hpp"

namespace out_of_memory_verb_test {

using kvstore::SaveScope;
using out_of_memory::Base;
using out_of_memory::changed_by;
using out_of_memory::Contents;
using out_of_memory::contents_of;
using out_of_memory::fill;
using out_of_memory::for_every_allocation;
using out_of_memory::kAlwaysSaves;
using out_of_memory::key;
using out_of_memory::kNeverSaves;
using out_of_memory::kVerbs;
using out_of_memory::Outcome;
using out_of_memory::outcome_of;
using out_of_memory::require_usable;
using out_of_memory::Store;
using out_of_memory::stored_on;
using out_of_memory::value;
using out_of_memory::Verb;
using support::AllocationFault;
using support::Disk;

namespace {

/// A verb on a persistent store: what it may do to the contents is up to what came out of it.
bool verb_round(const Verb& verb, SaveScope scope, const kvstore::Options& options, int entries,
                std::uint64_t nth, bool for_good) {
  const auto disk = std::make_shared<Disk>();
  disk->wanted = scope;
  Store store{support::storage_on(disk), options};
  fill(store, entries);
  store.save();
  const Contents before = contents_of(store);
  Outcome outcome{};
  {
    const AllocationFault fault{nth, for_good};
    outcome = outcome_of([&] { verb.act(store); });
  }
  const bool struck = AllocationFault::struck();
  const bool changed = outcome == Outcome::done || outcome == Outcome::not_on_disk;
  CAPTURE(static_cast<int>(outcome));
  REQUIRE(contents_of(store) == (changed ? changed_by(verb, before) : before));
  if (!changed) REQUIRE(store.unsaved() == 0);
  if (outcome == Outcome::not_on_disk) REQUIRE(store.unsaved() > 0);
  if (outcome == Outcome::done && options.batch_size == 1) REQUIRE(store.unsaved() == 0);
  require_usable(store, disk);
  return struck;
}

}  // namespace

TEST_CASE("Out of memory: a verb of a store in memory leaves it as it was") {
  const int entries = GENERATE(4, 10, 13);  // where the next one makes the table grow
  for (const Verb& verb : kVerbs) {
    CAPTURE(entries, verb.name);
    for_every_allocation([&](std::uint64_t nth) {
      Base store;
      fill(store, entries);
      const Contents before = contents_of(store);
      Outcome outcome{};
      {
        const AllocationFault fault{nth};
        outcome = outcome_of([&] { verb.act(store); });
      }
      const bool struck = AllocationFault::struck();
      REQUIRE(contents_of(store) == (outcome == Outcome::done ? changed_by(verb, before) : before));
      store.upsert(key(0), value(7));
      REQUIRE(store.read(key(0)) == value(7));
      return struck;
    });
  }
}

TEST_CASE("Out of memory: a verb of a persistent store leaves it as it was") {
  const auto scope = GENERATE(SaveScope::everything, SaveScope::changes);
  const bool for_good = GENERATE(false, true);
  for (const Verb& verb : kVerbs) {
    CAPTURE(static_cast<int>(scope), for_good, verb.name);
    for_every_allocation(
        [&](std::uint64_t nth) { return verb_round(verb, scope, kNeverSaves, 13, nth, for_good); });
  }
}

TEST_CASE("Out of memory: a verb that saves is undone, or applied and said not to be on disk") {
  const auto scope = GENERATE(SaveScope::everything, SaveScope::changes);
  const bool for_good = GENERATE(false, true);
  for (const Verb& verb : kVerbs) {
    CAPTURE(static_cast<int>(scope), for_good, verb.name);
    for_every_allocation(
        [&](std::uint64_t nth) { return verb_round(verb, scope, kAlwaysSaves, 4, nth, for_good); });
  }
}

TEST_CASE("Out of memory: a verb in the midst of a snapshot spoils neither the store nor the snapshot") {
  const std::size_t moment = GENERATE(1U, 6U, 13U);
  for (const Verb& verb : kVerbs) {
    CAPTURE(moment, verb.name);
    for_every_allocation([&](std::uint64_t nth) {
      const auto disk = std::make_shared<Disk>();
      Store store{support::storage_on(disk), kNeverSaves};
      fill(store, 13);
      const Contents before = contents_of(store);
      Outcome outcome{};
      disk->on_change = [&](std::size_t change) {
        if (change != moment) return;
        {
          const AllocationFault fault{nth};
          outcome = outcome_of([&] { verb.act(store); });
        }
        store.upsert(key(3), value(99));
      };
      store.save();
      const bool struck = AllocationFault::struck();
      disk->on_change = [](std::size_t) {};
      REQUIRE(stored_on(disk) == before);
      Contents expected = outcome == Outcome::done ? changed_by(verb, before) : before;
      expected[key(3)] = value(99);
      REQUIRE(contents_of(store) == expected);
      require_usable(store, disk);
      return struck;
    });
  }
}

TEST_CASE("Out of memory: where memory cannot be given back, an entry is removed all the same") {
  const bool for_good = GENERATE(false, true);
  std::vector<std::string> keys;
  for (int i = 0; i < 300; ++i) keys.push_back(key(i));
  for_every_allocation([&](std::uint64_t nth) {
    Base store;
    fill(store, 300);
    {
      const AllocationFault fault{nth, for_good};
      for (std::size_t i = 299; i >= 2; --i) {
        if (!store.try_remove(keys[i])) throw std::logic_error{"lost"};
      }
    }
    const bool struck = AllocationFault::struck();
    REQUIRE(contents_of(store) == Contents{{key(0), value(0)}, {key(1), value(1)}});
    for (int i = 2; i < 300; ++i) store.create(key(i), value(i));
    REQUIRE(store.size() == 300);
    REQUIRE(store.read(key(299)) == value(299));
    return struck;
  });
}

}  // namespace out_of_memory_verb_test
