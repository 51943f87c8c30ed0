// SPDX-License-Identifier: MIT

// Real processes, killed by SIGKILL wherever they happen to be. The next process must find the state after
// some first operations of the sequence. At the end of the sequence, no more operations may be missing than
// the storage promises.

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/fault_file_system.hpp"
#include "support/killable_child.hpp"
#include "support/step_model.hpp"
#include "support/temp_folder.hpp"

namespace kill_test {

using namespace std::chrono_literals;
using support::Contents;
using support::KillableChild;
using support::StepHistory;
using support::StepMaker;

namespace {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;
using Path = std::filesystem::path;
using kvstore::detail::FileSystem;
using Random = std::mt19937_64;

/// A storage under test, and its promises for a process that is killed.
struct Tested {
  const char* name;
  std::unique_ptr<kvstore::Storage> (*open)(const Path&, FileSystem&);
  bool keeps_all_acknowledged;    ///< otherwise all but `batch_size - 1`
  std::set<std::string> files{};  ///< files that may exist once a store is closed
};

template <class Storage>
std::unique_ptr<kvstore::Storage> open_storage(const Path& path, FileSystem& files) {
  return std::make_unique<Storage>(path, files);
}

std::unique_ptr<kvstore::Storage> open_in_small_blocks(const Path& path, FileSystem& files) {
  return std::make_unique<kvstore::JsonFile>(path, files, 64);
}

/// Uses the tail from the second line on, and goes round and round in it.
std::unique_ptr<kvstore::Storage> open_staged(const Path& path, FileSystem& files) {
  return std::make_unique<kvstore::JsonJournal>(
      path, files, kvstore::detail::JournalSpace{.tail = std::size_t{64} << 10, .stage_from = 1});
}

const std::array kTested{
    Tested{"JsonFile", open_storage<kvstore::JsonFile>, false, {"data.json"}},
    Tested{"JsonFile in small blocks", open_in_small_blocks, false, {"data.json"}},
    Tested{"JsonJournal",
           open_storage<kvstore::JsonJournal>,
           true,
           {"data.json", "data.json.journal", "data.json.journal.next", "data.json.journal.torn"}},
    Tested{"JsonJournal, staged",
           open_staged,
           true,
           {"data.json", "data.json.journal", "data.json.journal.next", "data.json.journal.torn"}},
};

FileSystem& system_files() { return kvstore::detail::system_file_system(); }

std::size_t below(Random& random, std::size_t bound) { return static_cast<std::size_t>(random() % bound); }

/// One of several ways to save, and the number of acknowledged operations that may be missing after a kill.
struct Saving {
  Saving(Random& random, const Tested& tested) {
    constexpr std::array<std::size_t, 7> kSizes{1, 1, 2, 3, 10, 50, 1000};
    options.batch_size = kSizes.at(below(random, kSizes.size()));
    options.auto_save_interval = below(random, 2) == 0 ? 1ms : 0ms;
    options.segments = below(random, 2) == 0 ? 1 : 16;
    allowed = tested.keeps_all_acknowledged ? 0 : options.batch_size - 1;
    if (below(random, 6) != 0) return;
    options.batch_save = kvstore::BatchSave::background;
    if (!tested.keeps_all_acknowledged) allowed = StepHistory::kImpossible - 1;  // any number
  }

  kvstore::Options options;
  std::size_t allowed = 0;
};

constexpr std::uint32_t kSteps = 120;

/// Executes the steps of `maker`, and acknowledges each.
void work(Store& store, StepMaker maker, std::uint32_t lane, const KillableChild::Acknowledge& acknowledge) {
  for (std::uint32_t number = 1; number <= kSteps; ++number) {
    const support::Step step = maker.next();
    if (step.kind == support::StepKind::save) store.save();
    if (step.kind == support::StepKind::compact) store.compact();
    perform(step, store);
    acknowledge(lane, number);
  }
}

/// The end of a child: either some acknowledgements and some microseconds after its start, or just before one
/// of its calls to the operating system. The second kind hits moments that take no time.
class Moment {
 public:
  explicit Moment(Random& random)
      : acknowledgements_{below(random, 4) == 0 ? 0 : static_cast<std::uint32_t>(below(random, 60))},
        delay_{below(random, 3000)},
        call_{below(random, 2) == 0 ? 0 : below(random, 250) + 1} {}

  /// In the child: returns the file system to use. That is `files` if the child is to be killed before a
  /// call.
  FileSystem& arm(support::FaultFileSystem& files) {
    if (call_ == 0) return system_files();
    files.before_each([this](support::Call, const Path&) {
      if (--call_ == 0) ::kill(::getpid(), SIGKILL);
    });
    return files;
  }

  /// In the parent: waits for the end, or causes it.
  void kill(KillableChild& child) const {
    child.wait_for(call_ != 0 ? UINT32_MAX : acknowledgements_);
    if (call_ == 0) std::this_thread::sleep_for(delay_);
    child.kill();
  }

 private:
  std::uint32_t acknowledgements_;
  std::chrono::microseconds delay_;
  std::atomic<std::size_t> call_;  // 0: at no call
};

/// Starts processes that only open and close the store, and kills them as well. The remains of a crash must
/// survive the next one.
void kill_while_opening(const Tested& tested, const Path& path, Random& random) {
  for (std::size_t times = below(random, 3); times > 0; --times) {
    KillableChild child{
        [&](const auto&) { Store{tested.open(path, system_files()), {.auto_save_interval = 1ms}}.close(); }};
    std::this_thread::sleep_for(std::chrono::microseconds{below(random, 2000)});
    child.kill();
  }
}

/// The contents that the next process finds. That process also takes over the lock, and removes all files but
/// those of the storage.
Contents reopened(const Tested& tested, const support::TempFolder& folder) {
  Store store{tested.open(folder / "data.json", system_files()),
              {.batch_size = 0, .auto_save_interval = 0ms}};
  const Contents contents = support::contents_of(store);
  store.close();
  const std::set<std::string> names = folder.names();
  CAPTURE(names);
  REQUIRE(std::ranges::includes(tested.files, names));
  return contents;
}

/// Runs one process with one thread from `start` to its end. @returns the contents that the next process
/// finds
Contents kill_once(const Tested& tested, const support::TempFolder& folder, const Contents& start,
                   std::uint64_t seed) {
  CAPTURE(tested.name, seed);
  Random random{seed};
  const Path path = folder / "data.json";
  const Saving saving{random, tested};
  Moment moment{random};
  KillableChild child{[&](const KillableChild::Acknowledge& acknowledge) {
    support::FaultFileSystem files;
    Store store{tested.open(path, moment.arm(files)), saving.options};
    work(store, StepMaker{seed}, 0, acknowledge);
    store.close();
  }};
  moment.kill(child);
  kill_while_opening(tested, path, random);
  Contents found = reopened(tested, folder);
  const std::size_t acknowledged = child.acknowledged(0);
  const StepHistory history{start, StepMaker{seed}, kSteps + 1};
  const std::size_t missing = history.fewest_missing(found, acknowledged);
  CAPTURE(saving.options.batch_size, acknowledged, missing, start, found);
  REQUIRE(missing <= saving.allowed);
  return found;
}

/// After any crash, compacting leaves only the JSON file, with the same contents.
void require_compacts(const Tested& tested, const support::TempFolder& folder, const Contents& contents) {
  Store store{tested.open(folder / "data.json", system_files()),
              {.batch_size = 0, .auto_save_interval = 0ms}};
  store.compact();
  store.close();
  REQUIRE(
      std::ranges::includes(std::set<std::string>{"data.json", "data.json.journal.torn"}, folder.names()));
  REQUIRE(reopened(tested, folder) == contents);
}

Contents with_prefix(const Contents& all, const std::string& prefix) {
  Contents some;
  for (const auto& entry : all) {
    if (entry.first.starts_with(prefix)) some.insert(entry);
  }
  return some;
}

}  // namespace

TEST_CASE("Kill: a new store is found after some first operations, as many as promised") {
  const Tested& tested = GENERATE(from_range(kTested));
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const support::TempFolder folder;
    require_compacts(tested, folder, kill_once(tested, folder, {}, seed));
  }
}

TEST_CASE("Kill: a store killed again and again goes on from where it was found") {
  const Tested& tested = GENERATE(from_range(kTested));
  const support::TempFolder folder;
  Contents contents;
  for (std::uint64_t seed = 1001; seed <= 1040; ++seed) contents = kill_once(tested, folder, contents, seed);
}

TEST_CASE("Kill: of several threads each is found after its own first operations") {
  constexpr std::uint32_t kThreads = 3;
  const Tested& tested = GENERATE(from_range(kTested));
  for (std::uint64_t seed = 2001; seed <= 2020; ++seed) {
    CAPTURE(tested.name, seed);
    Random random{seed};
    const support::TempFolder folder;
    const Saving saving{random, tested};
    const auto steps_of = [&](std::uint32_t thread) {
      return StepMaker{seed * kThreads + thread, std::to_string(thread) + '-', false};
    };
    Moment moment{random};
    KillableChild child{[&](const KillableChild::Acknowledge& acknowledge) {
      support::FaultFileSystem files;
      Store store{tested.open(folder / "data.json", moment.arm(files)), saving.options};
      std::vector<std::jthread> threads;
      for (std::uint32_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] { work(store, steps_of(thread), thread, acknowledge); });
      }
    }};
    moment.kill(child);
    const Contents found = reopened(tested, folder);
    std::size_t missing = 0;
    for (std::uint32_t thread = 0; thread < kThreads; ++thread) {
      const StepHistory history{{}, steps_of(thread), kSteps + 1};
      const Contents own = with_prefix(found, std::to_string(thread) + '-');
      const std::size_t here = history.fewest_missing(own, child.acknowledged(thread));
      CAPTURE(thread, child.acknowledged(thread), here, own);
      REQUIRE(here != StepHistory::kImpossible);
      missing += here;
    }
    CAPTURE(saving.options.batch_size, missing);
    REQUIRE(missing <= saving.allowed);
    require_compacts(tested, folder, found);
  }
}

TEST_CASE("Kill: what came after a replacement of all entries is never found without it") {
  // One thread replaces all entries by those of the next generation. Another thread writes down the
  // generation that it has seen.
  const Tested& tested = GENERATE(from_range(kTested));
  const support::TempFolder folder;
  Random random{3001};
  std::uint64_t start = 0;
  for (int run = 0; run < 25; ++run) {
    KillableChild child{[&](const KillableChild::Acknowledge& acknowledge) {
      Store store{tested.open(folder / "data.json", system_files()), {.batch_size = 1000}};
      std::jthread observer{[&] {
        while (true) {
          if (const auto generation = store.try_read("generation")) store.upsert("seen", *generation);
        }
      }};
      for (std::uint32_t done = 1;; ++done) {
        const auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
        const std::string next = '"' + std::to_string(start + done) + '"';
        contents->entries = {{"generation", next}, {"seen", "\"0\""}};
        kvstore::MemoryStorage from{contents};
        store.load_from(from);
        acknowledge(0, done);
      }
    }};
    child.wait_for(static_cast<std::uint32_t>(1 + below(random, 8)));
    std::this_thread::sleep_for(std::chrono::microseconds{below(random, 3000)});  // any moment will do
    child.kill();
    const Store store{tested.open(folder / "data.json", system_files())};
    const std::uint64_t generation = std::stoull(store.read("generation"));
    const std::uint64_t seen = std::stoull(store.read("seen"));
    CAPTURE(tested.name, run, start, child.acknowledged(0), generation, seen);
    REQUIRE(seen <= generation);
    REQUIRE(generation >= start + child.acknowledged(0));
    start = generation;
  }
}

}  // namespace kill_test
