// SPDX-License-Identifier: MIT

// A journal whose lines are stored in its tail first. The tests of crashes reach the tail, and its pages may
// survive power loss in any combination.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/storage/json_journal.hpp"
#include "support/catch.hpp"
#include "support/crash_recovery.hpp"
#include "support/crash_workload.hpp"
#include "support/fault_file_system.hpp"
#include "support/simulated_disk.hpp"

namespace staged_journal_test {

using support::CrashJudge;
using support::FaultFileSystem;
using support::SimulatedDisk;
using support::State;
using support::StorageKind;
using support::Store;

namespace {

/// A round has room for many lines.
constexpr kvstore::detail::JournalSpace kWideSpace{.step = std::uint64_t{64} << 10,
                                                   .tail = std::size_t{64} << 10,
                                                   .zero_from = std::uint64_t{1} << 20,
                                                   .stage_from = 1};

const StorageKind& staged_kind() {
  static const StorageKind kind{"JsonJournal, widely staged",
                                support::open_storage<kvstore::JsonJournal, kWideSpace>,
                                true,
                                {"data.json", "data.json.journal", "data.json.journal.torn"}};
  return kind;
}

}  // namespace

TEST_CASE("Staged journal: all but its first lines are stored in the tail, and written once a save") {
  SimulatedDisk disk;
  FaultFileSystem files{disk};
  Store store{staged_kind().make(files), support::quiet_options(1)};
  store.create("a", 1);
  CHECK(disk.mappings() == 1);
  files.reset_counts();
  for (int i = 0; i < 20; ++i) store.upsert("a", i);
  CHECK(files.count(support::Call::write) == 20);
  CHECK(files.count(support::Call::sync) == 20);
  CHECK(files.count(support::Call::map) == 0);
}

TEST_CASE("Staged journal: where files cannot be mapped or space not be reserved, lines are written") {
  for (const support::DiskModel& model :
       {support::DiskModel{.can_allocate = false}, support::DiskModel{.can_map = false}}) {
    SimulatedDisk disk{{}, model};
    FaultFileSystem files{disk};
    Store store{staged_kind().make(files), support::quiet_options(1)};
    files.reset_counts();
    for (int i = 0; i < 3; ++i) store.upsert("a", i);
    CHECK(disk.mappings() == 0);
    CHECK(files.count(support::Call::write) == 3);
  }
}

TEST_CASE("Staged journal: of lines over many pages power loss leaves a prefix, whichever pages survive") {
  constexpr std::size_t kPage = 4096;
  constexpr int kMaxLines = 400;  // lines of about 25 bytes
  CrashJudge judge{staged_kind(), 16};
  SimulatedDisk disk{{}, {.sector = kPage}};
  Store store{staged_kind().make(disk), support::quiet_options(0)};
  store.create("start", 0);
  store.save();
  std::vector<State> states{{{"start", 0}}};
  for (int i = 0; i < kMaxLines; ++i) {
    const std::string key = "key" + std::to_string(i);
    store.create(key, i);
    states.push_back(states.back());
    states.back()[key] = i;
  }
  CHECK(disk.mappings() == 1);
  CHECK(judge.judge_power_loss(disk, {.exhaustive_bits = 10}, states) == "");
  CHECK(judge.opened() >= 3);
}

}  // namespace staged_journal_test
