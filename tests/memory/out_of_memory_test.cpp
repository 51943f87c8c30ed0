// SPDX-License-Identifier: MIT

// Memory that runs out: every allocation of every call fails once, and then for good. What comes out is
// std::bad_alloc with the store as it was, or the StorageError that says otherwise; the store goes on working
// and nothing leaks.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/detail/base/descriptors.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/memory_storage.hpp"
#include "support/temp_folder.hpp"

namespace out_of_memory_test {

using namespace std::chrono_literals;
using kvstore::SaveScope;
using support::AllocationFault;
using support::Disk;

// Threads share the exception of a failed save; whoever lets go of it last frees it. The count of owners is
// inside libstdc++, where ThreadSanitizer does not see it.
extern "C" const char* __tsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __tsan_default_suppressions() { return "race:^free$"; }

namespace {

// Not nlohmann::json, whose destructor needs memory and ends the program where there is none.
using Value = std::vector<std::string>;
using Base = kvstore::KeyValueStore<std::string, Value>;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, Value>;
using Contents = std::map<std::string, Value>;
using Path = std::filesystem::path;

const kvstore::Options kNeverSaves{.batch_size = 0, .auto_save_interval = 0ms, .segments = 2};
const kvstore::Options kAlwaysSaves{.batch_size = 1, .auto_save_interval = 0ms, .segments = 2};

// Longer than what a string keeps without an allocation.
std::string key(int number) { return "a key that needs memory of its own " + std::to_string(number); }
Value value(int number) { return {std::string(40, 'v') + std::to_string(number), "short"}; }

struct Verb {
  const char* name;
  void (*act)(Base&);
};

const std::vector<Verb> kVerbs{
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

void fill(Base& store, int entries) {
  for (int i = 0; i < entries; ++i) store.create(key(i), value(i));
}

Contents contents_of(const Base& store) {
  Contents contents;
  store.for_each([&](const std::string& name, const Value& found) { contents[name] = found; });
  return contents;
}

/// What a verb makes of a store when all goes well.
Contents changed_by(const Verb& verb, const Contents& before) {
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
void make_list_of_locked_files() {
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
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth);
    const std::int64_t before = support::living_allocations();
    const bool struck = round(nth);
    const std::int64_t leaked = support::living_allocations() - before;
    REQUIRE(leaked == 0);
    if (!struck) return;
  }
}

/// What another store finds there while the first one is open.
Contents stored_on(const std::shared_ptr<Disk>& disk) {
  kvstore::Options looks_only = kNeverSaves;
  looks_only.read_only = true;
  return contents_of(Store{support::storage_on(disk), looks_only});
}

/// The store behaves, saves what it holds, and another one on the same disk finds that.
void require_usable(Store& store, const std::shared_ptr<Disk>& disk) {
  store.save();
  store.upsert(key(200), value(200));
  REQUIRE(store.read(key(200)) == value(200));
  store.save();
  REQUIRE(store.unsaved() == 0);
  REQUIRE_FALSE(store.last_error().has_value());
  REQUIRE(stored_on(disk) == contents_of(store));
}

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

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) ++count;
  return count;
}

/// A storage in files.
struct Tested {
  const char* name;
  std::unique_ptr<kvstore::Storage> (*open)(const Path&);
};

template <class Storage>
std::unique_ptr<kvstore::Storage> open_storage(const Path& path) {
  return std::make_unique<Storage>(path);
}

const std::vector<Tested> kTested{{"JsonFile", open_storage<kvstore::JsonFile>},
                                  {"JsonJournal", open_storage<kvstore::JsonJournal>}};

/// A folder with a store of some entries that is closed.
class Files {
 public:
  explicit Files(const Tested& tested) : tested_{tested}, descriptors_{open_descriptors()} {
    const auto store = open();
    fill(*store, 5);
    store->close();
    names_ = folder_.names();
  }

  [[nodiscard]] std::unique_ptr<Store> open() const {
    return std::make_unique<Store>(tested_.open(path()), kNeverSaves);
  }
  [[nodiscard]] Path path() const { return folder_ / "data.json"; }
  [[nodiscard]] Path other_path() const { return folder_ / "copy.json"; }

  /// What a store finds there now. With no store open, nothing but the files may be left.
  [[nodiscard]] Contents contents() const {
    REQUIRE(folder_.names() == names_);
    return found();
  }
  /// The same, whichever files there are by now.
  [[nodiscard]] Contents found() const {
    REQUIRE(open_descriptors() == descriptors_);
    return contents_of(*open());
  }

 private:
  Tested tested_;
  std::size_t descriptors_;
  support::TempFolder folder_;
  std::set<std::string> names_;
};

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

TEST_CASE("Out of memory: what a verb did is found again once a later save has succeeded") {
  const Tested& tested = kTested.back();  // the one that is told of each change as it happens
  const bool for_good = GENERATE(false, true);
  const bool has_much_unsynced = GENERATE(false, true);  // the journal is written in another way then
  for (const Verb& verb : kVerbs) {
    if (!std::set<std::string>{"create", "update", "remove", "apply", "clear"}.contains(verb.name)) continue;
    CAPTURE(for_good, has_much_unsynced, verb.name);
    for_every_allocation([&](std::uint64_t nth) {
      const Files files{tested};
      auto store = files.open();
      if (has_much_unsynced) store->upsert(key(0), {std::string(100'000, 'x')});
      const Contents before = contents_of(*store);
      Outcome outcome{};
      {
        const AllocationFault fault{nth, for_good};
        outcome = outcome_of([&] { verb.act(*store); });
      }
      const bool struck = AllocationFault::struck();
      const bool changed = outcome == Outcome::done || outcome == Outcome::not_on_disk;
      CAPTURE(static_cast<int>(outcome));
      REQUIRE(contents_of(*store) == (changed ? changed_by(verb, before) : before));
      store->save();
      store->upsert(key(60), value(60));
      const Contents contents = contents_of(*store);
      store->close();
      store.reset();
      REQUIRE(files.found() == contents);
      return struck;
    });
  }
}

TEST_CASE("Out of memory: a save that fails leaves the file, and the next one succeeds") {
  const Tested& tested = GENERATE(from_range(kTested));
  const bool for_good = GENERATE(false, true);
  CAPTURE(tested.name, for_good);
  const Files files{tested};
  for_every_allocation([&](std::uint64_t nth) {
    auto store = files.open();
    store->upsert(key(50), value(static_cast<int>(nth % 1000)));
    const Contents contents = contents_of(*store);
    Outcome outcome{};
    {
      const AllocationFault fault{nth, for_good};
      outcome = outcome_of([&] { store->save(); });
    }
    const bool struck = AllocationFault::struck();
    REQUIRE(contents_of(*store) == contents);
    REQUIRE((outcome == Outcome::done) == (store->unsaved() == 0));
    store->close();
    store.reset();
    REQUIRE(files.contents() == contents);
    return struck;
  });
}

TEST_CASE("Out of memory: compacting that fails leaves every operation, and the next one succeeds") {
  const Tested& tested = GENERATE(from_range(kTested));
  const bool for_good = GENERATE(false, true);
  CAPTURE(tested.name, for_good);
  for_every_allocation([&](std::uint64_t nth) {
    const Files files{tested};
    auto store = files.open();
    store->upsert(key(50), value(1));
    {
      const AllocationFault fault{nth, for_good};
      static_cast<void>(outcome_of([&] { store->compact(); }));
    }
    const bool struck = AllocationFault::struck();
    store->upsert(key(51), value(1));
    if (nth % 2 == 0) store->compact();
    store->upsert(key(52), value(1));
    const Contents contents = contents_of(*store);
    store->close();
    store.reset();
    REQUIRE(files.found() == contents);
    return struck;
  });
}

TEST_CASE("Out of memory: opening that fails leaves no lock, no descriptor and the files as they were") {
  const Tested& tested = GENERATE(from_range(kTested));
  const bool for_good = GENERATE(false, true);
  CAPTURE(tested.name, for_good);
  const Files files{tested};
  const Contents before = files.contents();
  for_every_allocation([&](std::uint64_t nth) {
    Outcome outcome{};
    {
      const AllocationFault fault{nth, for_good};
      outcome = outcome_of([&] { files.open().reset(); });
    }
    const bool struck = AllocationFault::struck();
    REQUIRE((outcome == Outcome::done || outcome == Outcome::out_of_memory));
    REQUIRE(files.contents() == before);
    return struck;
  });
}

TEST_CASE("Out of memory: close that fails leaves the store open, to be closed again") {
  const Tested& tested = GENERATE(from_range(kTested));
  const bool for_good = GENERATE(false, true);
  CAPTURE(tested.name, for_good);
  const Files files{tested};
  for_every_allocation([&](std::uint64_t nth) {
    auto store = files.open();
    store->upsert(key(50), value(static_cast<int>(nth % 1000)));
    Outcome outcome{};
    {
      const AllocationFault fault{nth, for_good};
      outcome = outcome_of([&] { store->close(); });
    }
    const bool struck = AllocationFault::struck();
    if (outcome != Outcome::done) store->upsert(key(51), value(static_cast<int>(nth % 1000)));
    store->close();
    const Contents contents = contents_of(*store);
    store.reset();
    REQUIRE(files.contents() == contents);
    return struck;
  });
}

TEST_CASE("Out of memory: a destructor that cannot save tells on_error and leaves the last good file") {
  const Tested& tested = GENERATE(from_range(kTested));
  const bool for_good = GENERATE(false, true);
  CAPTURE(tested.name, for_good);
  const Files files{tested};
  for_every_allocation([&](std::uint64_t nth) {
    const Contents before = files.contents();
    int told = 0;
    kvstore::Options options = kNeverSaves;
    options.on_error = [&](const std::exception&) { ++told; };
    auto store = std::make_unique<Store>(tested.open(files.path()), options);
    store->upsert(key(50), value(static_cast<int>(nth % 1000)));
    const Contents contents = contents_of(*store);
    {
      const AllocationFault fault{nth, for_good};
      store.reset();
    }
    const bool struck = AllocationFault::struck();
    const Contents found = files.contents();
    REQUIRE((found == contents || (told == 1 && found == before)));
    return struck;
  });
}

TEST_CASE("Out of memory: a checkpoint that fails leaves the store and the older copy") {
  const Files files{kTested.front()};
  const auto store = files.open();
  store->checkpoint(files.other_path());
  const std::string before = support::read_file(files.other_path());
  store->upsert(key(50), value(1));
  for_every_allocation([&](std::uint64_t nth) {
    Outcome outcome{};
    support::write_file(files.other_path(), before);
    {
      const AllocationFault fault{nth};
      outcome = outcome_of([&] { store->checkpoint(files.other_path()); });
    }
    const bool struck = AllocationFault::struck();
    if (outcome != Outcome::done) REQUIRE(support::read_file(files.other_path()) == before);
    REQUIRE_FALSE(std::filesystem::exists(files.other_path().string() + ".lock"));
    REQUIRE_FALSE(std::filesystem::exists(files.other_path().string() + ".tmp"));
    store->checkpoint(files.other_path());
    REQUIRE(contents_of(Store{files.other_path(), kNeverSaves}) == contents_of(*store));
    return struck;
  });
}

TEST_CASE("Out of memory: a save in the background that fails is tried again") {
  for (std::int64_t nth = 1; nth <= 40; ++nth) {
    CAPTURE(nth);
    const auto disk = std::make_shared<Disk>();
    kvstore::Options options = kAlwaysSaves;
    options.auto_save_interval = 1ms;
    options.batch_save = kvstore::BatchSave::background;
    Store store{support::storage_on(disk), options};
    fill(store, 3);
    Contents contents = contents_of(store);
    support::fail_allocation_of_any_thread(nth);
    const Outcome outcome = outcome_of([&] { store.upsert(key(10), value(10)); });
    while (store.unsaved() != 0) std::this_thread::yield();
    support::fail_allocation_of_any_thread(0);
    if (outcome == Outcome::done) contents[key(10)] = value(10);
    REQUIRE(contents_of(store) == contents);
    require_usable(store, disk);
  }
}

TEST_CASE("Out of memory: a refresh that fails changes nothing, and the next one succeeds") {
  const Tested& tested = GENERATE(from_range(kTested));
  const bool for_good = GENERATE(false, true);
  const bool clears = GENERATE(false, true);
  CAPTURE(tested.name, for_good, clears);
  for_every_allocation([&](std::uint64_t nth) {
    const Files files{tested};
    const auto owner = files.open();
    kvstore::Options follows = kNeverSaves;
    follows.read_only = true;
    Store reader{tested.open(files.path()), follows};
    const Contents before = contents_of(reader);
    if (clears) owner->clear();
    for (int i = 0; i < 40; ++i) owner->upsert(key(i), value(i + 1));
    if (!clears) owner->remove(key(2));
    owner->save();
    Outcome outcome{};
    {
      const AllocationFault fault{nth, for_good};
      outcome = outcome_of([&] { reader.refresh(); });
    }
    const bool struck = AllocationFault::struck();
    REQUIRE(contents_of(reader) == (outcome == Outcome::done ? contents_of(*owner) : before));
    reader.refresh();
    REQUIRE(contents_of(reader) == contents_of(*owner));
    return struck;
  });
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

TEST_CASE("Memory: entries that come and go at one size ask for no memory, whatever the size") {
  kvstore::KeyValueStore<int, int> store;
  for (int i = 0; i < 2000; ++i) store.create(i, i);
  for (int left = 2000; left > 0; --left) {
    store.remove(left - 1);
    const auto come_and_go = [&] {
      for (int i = 0; i < 3; ++i) store.create(5000 + i, i);
      for (int i = 0; i < 3; ++i) store.remove(5000 + i);
    };
    come_and_go();
    const std::uint64_t before = support::bytes_asked_for();
    for (int i = 0; i < 5; ++i) come_and_go();
    REQUIRE(support::bytes_asked_for() == before);
  }
}

TEST_CASE("Memory: a batch asks for as much as it has changes, however many segments there are") {
  const auto bytes_of_apply = [](std::size_t segments) {
    Store store{support::storage_on(std::make_shared<Disk>()),
                {.batch_size = 0, .auto_save_interval = 0ms, .segments = segments}};
    const auto apply = [&] {
      Base::Batch batch;
      for (int i = 0; i < 3; ++i) batch.upsert(key(i), value(i));
      batch.remove(key(2));
      store.apply(std::move(batch));
    };
    apply();
    store.clear();
    const std::uint64_t before = support::bytes_asked_for();
    apply();
    return support::bytes_asked_for() - before;
  };
  CHECK(bytes_of_apply(65536) < bytes_of_apply(256) + 1000);
}

TEST_CASE("Memory: a batch beside a save asks for about as much as any other") {
  const auto disk = std::make_shared<Disk>();
  Store store{support::storage_on(disk), {.batch_size = 0, .auto_save_interval = 0ms, .segments = 4096}};
  fill(store, 20'000);
  const auto bytes_of_apply = [&](int first) {
    Base::Batch batch;
    for (int i = first; i < first + 20'000; ++i) batch.create(key(i), {});
    const std::uint64_t before = support::bytes_asked_for();
    store.apply(std::move(batch));
    return support::bytes_asked_for() - before;
  };
  std::uint64_t beside_save = 0;
  disk->on_change = [&](std::size_t change) {
    if (change == 1) beside_save = bytes_of_apply(100'000);
  };
  store.save();
  disk->on_change = nullptr;  // the store ends later than what that uses
  CHECK(beside_save < 3 * bytes_of_apply(200'000) / 2);
}

}  // namespace out_of_memory_test
