// SPDX-License-Identifier: MIT

// A sync that fails once and drops the bytes that it should have written. Later syncs succeed without having
// written them, as on Linux. Nothing that depends on these bytes may be called durable.

#include <cstddef>
#include <cstdint>
#include <string>

#include "support/catch.hpp"
#include "support/crash_recovery.hpp"
#include "support/crash_workload.hpp"
#include "support/faulted_run.hpp"
#include "support/simulated_disk.hpp"

namespace lying_sync_test {

using support::FaultedRun;
using support::Session;
using support::StorageKind;
using support::Workload;

namespace {

constexpr std::size_t kBatchSizes[] = {1, 2, 1000};
const support::State kStart{{"a", 100}, {"b", 200}};

support::Trouble lie_at(std::uint64_t nth) {
  return {[nth](Session& session) { session.disk().fail_sync(nth); },
          [](Session& session) { return !session.disk().sync_failure_pending(); },
          [](Session& session) { session.disk().fail_sync(0); }};
}

}  // namespace

TEST_CASE("A sync fails and later ones lie: only what does not rest on it is called durable") {
  for (const StorageKind& kind : support::storage_kinds()) {
    for (const std::size_t batch_size : kBatchSizes) {
      FaultedRun run{kind, kStart, batch_size};
      for (const Workload& workload : support::workloads_to_fail()) {
        INFO(kind.name << ", batch size " << batch_size << ": " << describe(workload));
        const std::string words = fail_each(run, workload, lie_at);
        REQUIRE(words == "");
      }
      report("A lying sync, " + kind.name + ", batch size " + std::to_string(batch_size), run.judge());
    }
  }
}

TEST_CASE("A sync fails and later ones lie: the save after it makes everything durable") {
  using enum support::Verb;
  for (const StorageKind& kind : support::storage_kinds()) {
    FaultedRun run{kind, kStart, 1000};
    for (const Workload& before :
         {Workload{create, save}, Workload{create, compact}, Workload{batch, close}}) {
      Workload workload = before;                                              // fails somewhere in here …
      workload.insert(workload.end(), {save, update, save, remove, compact});  // … and is repaired here
      INFO(kind.name << ": " << describe(workload));
      const std::string words = fail_each(run, workload, lie_at);
      REQUIRE(words == "");
    }
  }
}

}  // namespace lying_sync_test
