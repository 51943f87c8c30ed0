// SPDX-License-Identifier: MIT
#pragma once

// A workload in which the disk fails once, checked step by step.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/crash_recovery.hpp"
#include "support/crash_workload.hpp"
#include "support/repeatable_random.hpp"
#include "support/simulated_disk.hpp"
#include "support/stride.hpp"

namespace support {

/// The trouble of a run, and whether the run has met it.
struct Trouble {
  std::function<void(Session&)> arm;     ///< called before the store is opened
  std::function<bool(Session&)> met;     ///< whether the failure has come
  std::function<void(Session&)> disarm;  ///< called at the end: from here on nothing fails
};

/// Runs workloads on a disk that fails. Each step must keep its promise or report an error. Memory must hold
/// the contents that the contract requires. The disk must hold some state between the last promised one and
/// the newest, whatever crash comes. Afterwards a save must make everything durable, and a close must leave
/// nothing but the files of the store.
class FaultedRun {
 public:
  FaultedRun(const StorageKind& kind, State start, std::size_t batch_size)
      : kind_{kind},
        start_{std::move(start)},
        image_{image_with(kind, start_)},
        batch_size_{batch_size},
        judge_{kind, kind.journals ? 12U : 8U} {
    if (kind.journals) sampling_ = {.exhaustive_bits = 2, .samples = 4, .seed = test_seed()};
  }

  /// @returns a description of the trouble, if any. Sets `met` if the failure came
  [[nodiscard]] std::string run(const Workload& workload, const Trouble& trouble, bool& met) {
    const RepeatableRandom same_names{1};
    Session session{kind_, std::make_unique<SimulatedDisk>(image_), start_, batch_size_};
    trouble.arm(session);
    try {
      std::string words = run_steps(session, workload);
      met = trouble.met(session);
      trouble.disarm(session);
      return words.empty() ? finish(session) : words;
    } catch (const std::exception& error) { return std::string{"threw "} + error.what(); }
  }

  [[nodiscard]] const CrashJudge& judge() const { return judge_; }

 private:
  std::string run_steps(Session& session, const Workload& workload) {
    for (const Verb verb : workload) {
      const bool done = session.run(verb);
      std::string words = check_memory(session);
      if (words.empty()) words = check_disk(session);
      if (words.empty()) continue;
      return "after " + describe(Workload{verb}) + (done ? "" : "refused (" + session.refusal() + ")") +
             ": " + words;
    }
    return {};
  }

  static std::string check_memory(Session& session) {
    if (session.store() == nullptr) return {};
    const State held = contents_of(*session.store());
    return held == session.timeline().now() ? std::string{} : "the store holds " + describe(held);
  }

  std::string check_disk(Session& session) {
    const Timeline& timeline = session.timeline();
    ++sampling_.seed;
    return judge_.judge_power_loss(session.disk(), sampling_,
                                   timeline.states(timeline.durable(), timeline.begun()));
  }

  /// Checks the end of a run, when the fault is gone.
  std::string finish(Session& session) {
    if (!session.run(Verb::save)) return "a save without a fault is refused: " + session.refusal();
    if (session.store()->unsaved() != 0) return "operations are unsaved after a save";
    if (session.store()->last_error()) return "still complains: " + *session.store()->last_error();
    if (std::string words = check_disk(session); !words.empty()) return "after a last save: " + words;
    if (!session.run(Verb::close)) return "a close without a fault is refused: " + session.refusal();
    if (std::string words = litter(session.disk(), kind_.files); !words.empty()) return words;
    if (std::string words = check_disk(session); !words.empty()) return "after a close: " + words;
    if (!session.run(Verb::compact)) return "compact() without a fault is refused: " + session.refusal();
    if (!session.run(Verb::close)) return "a close without a fault is refused: " + session.refusal();
    if (std::string words = litter(session.disk(), {"data.json", "data.json.journal.torn"}); !words.empty())
      return words;
    return check_disk(session);
  }

  const StorageKind& kind_;
  State start_;
  DiskImage image_;
  std::size_t batch_size_;
  CrashJudge judge_;
  CrashSampling sampling_{.exhaustive_bits = 4, .samples = 16, .seed = test_seed()};
};

/// Fails the 1st, 2nd, 3rd … call, each in a run of its own, until a run ends without the failure. If
/// sanitizers make that slow, fails only every so many of the calls. @returns a description of the trouble,
/// with the number of the call
template <class MakeTrouble>
std::string fail_each(FaultedRun& run, const Workload& workload, const MakeTrouble& trouble_at) {
  bool met = true;
  for (std::uint64_t nth = 1 + test_seed() % kWorkloadStride; met; nth += kWorkloadStride) {
    std::string words = run.run(workload, trouble_at(nth), met);
    if (!words.empty()) return "failure number " + std::to_string(nth) + ": " + words;
  }
  return {};
}

/// Workloads that reach every kind of call, in the relevant states.
[[nodiscard]] inline std::vector<Workload> workloads_to_fail() {
  using enum Verb;
  return {{create, update, batch, save, remove, batch, close, create, save},
          {save, clear, create, create, compact, update, create, compact, remove}};
}

}  // namespace support
