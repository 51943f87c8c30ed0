// SPDX-License-Identifier: MIT

// Saving, opening and closing that run out of memory: every allocation fails once, and then for good. The
// files are as promised, the store stays usable, and nothing leaks.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "memory/out_of_memory.hpp"
#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/memory_storage.hpp"
#include "support/temp_folder.hpp"

namespace out_of_memory_save_test {

using namespace std::chrono_literals;
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
using out_of_memory::Path;
using out_of_memory::require_usable;
using out_of_memory::Store;
using out_of_memory::value;
using out_of_memory::Verb;
using support::AllocationFault;
using support::Disk;

// Threads share the exception of a failed save; the last one to release it frees it. The count of owners is
// inside libstdc++, where ThreadSanitizer does not see it.
extern "C" const char* __tsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __tsan_default_suppressions() { return "race:^free$"; }

namespace {

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

}  // namespace out_of_memory_save_test
