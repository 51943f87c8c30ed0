// SPDX-License-Identifier: MIT

// Fails each call that a store makes to the disk, one in each run, in every way in which a disk may fail.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "support/catch.hpp"
#include "support/crash_recovery.hpp"
#include "support/crash_workload.hpp"
#include "support/fault_file_system.hpp"
#include "support/faulted_run.hpp"

namespace nth_call_test {

using support::Call;
using support::Effect;
using support::Fault;
using support::FaultedRun;
using support::Session;
using support::StorageKind;
using support::Workload;

namespace {

constexpr std::size_t kBatchSizes[] = {1, 2, 1000};
const support::State kStart{{"a", 100}, {"b", 200}};

std::error_code code(int number) { return {number, std::generic_category()}; }

support::Trouble trouble_with(Fault fault) {
  return {[fault](Session& session) { session.files().inject(fault); },
          [](Session& session) { return session.files().failed() != 0; },
          [](Session& session) { session.files().heal(); }};
}

/// Runs every workload with every batch size: with `fault` at the first call that it may hit, then at the
/// second, and so on.
void fail_everywhere(const Fault& fault, const std::string& what) {
  for (const StorageKind& kind : support::storage_kinds()) {
    for (const std::size_t batch_size : kBatchSizes) {
      FaultedRun run{kind, kStart, batch_size};
      for (const Workload& workload : support::workloads_to_fail()) {
        INFO(kind.name << ", batch size " << batch_size << ": " << describe(workload));
        const std::string words = fail_each(run, workload, [&](std::uint64_t nth) {
          Fault at = fault;
          at.nth = nth;
          return trouble_with(at);
        });
        REQUIRE(words == "");
      }
      report(what + ", " + kind.name + ", batch size " + std::to_string(batch_size), run.judge());
    }
  }
}

}  // namespace

TEST_CASE("Each call fails with EIO: an error says so, or the promise holds, and nothing older is lost") {
  fail_everywhere({.error = code(EIO)}, "EIO");
}

TEST_CASE("Each call fails with EIO although it was made: the same") {
  fail_everywhere({.error = code(EIO), .effect = Effect::full}, "EIO after it");
}

TEST_CASE("Each call fails with ENOSPC half way: the same") {
  fail_everywhere({.error = code(ENOSPC), .effect = Effect::partial}, "ENOSPC");
}

TEST_CASE("Each call is interrupted once: the same") { fail_everywhere({.error = code(EINTR)}, "EINTR"); }

TEST_CASE("Each write is short: the same") {
  fail_everywhere({.call = Call::write, .effect = Effect::partial}, "Short write");
}

TEST_CASE("Each rename fails with EBUSY: the same") {
  fail_everywhere({.error = code(EBUSY), .call = Call::rename}, "EBUSY");
}

TEST_CASE("All calls fail with ENOSPC from each on, until there is space again: the same") {
  fail_everywhere({.error = code(ENOSPC), .effect = Effect::partial, .forever = true}, "A full disk");
}

}  // namespace nth_call_test
