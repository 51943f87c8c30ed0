// SPDX-License-Identifier: MIT

// Power loss and kills at every call that a store makes to the disk, over all short workloads and samples of
// longer ones. The remaining disk opens to an exact prefix of the operations, and that prefix keeps the
// durability bound.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/crash_recovery.hpp"
#include "support/crash_workload.hpp"
#include "support/fault_file_system.hpp"
#include "support/repeatable_random.hpp"
#include "support/simulated_disk.hpp"
#include "support/stride.hpp"

namespace power_loss_test {

using support::contents_of;
using support::CrashJudge;
using support::CrashSampling;
using support::CrashWatch;
using support::describe;
using support::DiskImage;
using support::FaultFileSystem;
using support::RepeatableRandom;
using support::Session;
using support::SimulatedDisk;
using support::State;
using support::StorageKind;
using support::Verb;
using support::Workload;

namespace {

constexpr std::size_t kBatchSizes[] = {1, 2, 1000};
const std::vector<State> kStarts{{}, {{"a", 100}, {"b", 200}}};

constexpr std::size_t kMaxWorkload = 3;
constexpr std::size_t kStride = support::kWorkloadStride;

/// The disk for the workload with the number `index`. The sectors are small, so that even a short file has
/// several of them, and tears anywhere. Half of the disks cannot reserve space, regardless of the last step.
support::DiskModel disk_for(std::size_t index) {
  return {.sector = 16, .can_allocate = (index + index / support::kVerbs.size()) % 2 == 0};
}

/// The effort spent on every call of every short workload. If whole files are replaced, the same states come
/// back again and again, and up to 2^10 of them are affordable. A journal has a different state for every
/// history.
struct Care {
  CrashSampling sampling;
  std::size_t thorough_every;
};
Care care_for(const StorageKind& kind) {
  Care care{{.exhaustive_bits = 10, .samples = 128}, 4};
  if (kind.journals) care = {{.exhaustive_bits = 2, .samples = 4}, 32};
  care.sampling.seed = support::test_seed();
  return care;
}
/// The crashes after a killed process was followed by another process.
constexpr CrashSampling kAfterKill{.exhaustive_bits = 2, .samples = 5};
constexpr CrashSampling kLong{.exhaustive_bits = 2, .samples = 5};
constexpr std::uint64_t kLongRuns = kStride == 1 ? 3 : 1;  // for each batch size
constexpr int kLives = 3;                                  // in each long run, of 20 to 100 operations each

std::vector<Workload> workloads_up_to(std::size_t longest) {
  std::vector<Workload> all{{}};
  std::size_t first = 0;
  for (std::size_t length = 1; length <= longest; ++length) {
    const std::size_t end = all.size();
    for (; first < end; ++first) {
      for (const Verb verb : support::kVerbs) {
        Workload longer = all[first];
        longer.push_back(verb);
        all.push_back(std::move(longer));
      }
    }
  }
  return all;
}

/// Calls `run(session)` for each workload up to a length, from each start and with each batch size. `run`
/// returns a description of the trouble, if any.
template <class Run>
void for_each_workload(const StorageKind& kind, std::size_t longest, const Run& run) {
  const std::vector<Workload> workloads = workloads_up_to(longest);
  for (const State& start : kStarts) {
    const DiskImage image = image_with(kind, start);
    for (const std::size_t batch_size : kBatchSizes) {
      for (std::size_t i = support::test_seed() % kStride; i < workloads.size(); i += kStride) {
        const Workload& workload = workloads[i];
        const RepeatableRandom same_names{1};
        Session session{kind, std::make_unique<SimulatedDisk>(image, disk_for(i)), start, batch_size};
        const std::string words = run(session, workload);
        INFO(kind.name << " from " << describe(start) << ", batch size " << batch_size << ": "
                       << describe(workload));
        REQUIRE(words == "");
      }
    }
  }
}

/// Runs all steps but the last. Shorter workloads examine these.
void run_up_to_last(Session& session, const Workload& workload) {
  for (std::size_t i = 0; i + 1 < workload.size(); ++i) session.run(workload[i]);
}

/// Runs the last step, or opens the store if there is none. @returns a description of the trouble, if any
std::string run_last(Session& session, const Workload& workload) {
  const bool done = workload.empty() ? session.open() : session.run(workload.back());
  if (!done) return "refused: " + session.refusal();
  if (session.store() == nullptr || contents_of(*session.store()) == session.timeline().now()) return {};
  return "the store holds " + describe(contents_of(*session.store()));
}

void crash_all_short_workloads(CrashWatch::Kind crash, const std::string& what) {
  for (const StorageKind& kind : support::storage_kinds()) {
    CrashJudge judge{kind, care_for(kind).thorough_every};
    for_each_workload(kind, kMaxWorkload, [&](Session& session, const Workload& workload) {
      run_up_to_last(session, workload);
      CrashWatch watch{session, judge, crash, care_for(kind).sampling};
      const std::string words = run_last(session, workload);
      return words.empty() ? watch.verdict() : words;
    });
    support::report(what + " in all short workloads, " + kind.name, judge);
  }
}

/// Opens the store on `disk`, the remains of a killed process, in another process. Power loss during this
/// leaves one of `legal`. Once the store is open, power loss leaves exactly the contents that it shows.
std::string power_loss_after_kill(CrashJudge& judge, const StorageKind& kind, SimulatedDisk& disk,
                                  std::span<const State> legal) {
  const RepeatableRandom same_names{std::uint64_t{1} << 61U};
  FaultFileSystem files{disk};
  std::vector<DiskImage> during;
  std::uint64_t version = ~std::uint64_t{0};
  files.before_each([&](support::Call, const std::filesystem::path&) {
    if (std::exchange(version, disk.version()) == disk.version()) return;
    for (DiskImage& image : disk.crash_states(kAfterKill)) during.push_back(std::move(image));
  });
  std::vector<DiskImage> after;
  const auto opened = open_and_look(kind, files, [&](support::Store&) {
    files.before_each(nullptr);
    after = disk.crash_states(kAfterKill);
  });
  if (!opened.trouble.empty()) return opened.trouble;
  std::string words;
  for (const DiskImage& image : during) {
    if (words.empty()) words = judge.judge(image, legal);
  }
  for (const DiskImage& image : after) {
    if (words.empty()) words = judge.judge(image, std::span{&opened.state, 1});
  }
  return words;
}

/// One process after another on the same disk, each ended by power loss, a kill or a close.
class Lives {
 public:
  Lives(const StorageKind& kind, CrashJudge& judge, std::size_t batch_size, std::uint64_t seed)
      : kind_{kind},
        judge_{judge},
        batch_size_{batch_size},
        random_{seed},
        disk_{std::make_unique<SimulatedDisk>()} {}

  /// @returns a description of the trouble, if any
  std::string live_once() {
    Session session{kind_, std::move(disk_), start_, batch_size_};
    // The watch begins once the store is open. Before that, the remains of a killed process are on disk only
    // as far as that process saw to it (see the test of power loss after a kill).
    if (!session.open()) return "refused: " + session.refusal();
    CrashSampling sampling = kLong;
    sampling.seed = random_();
    CrashWatch watch{session, judge_, CrashWatch::Kind::power_loss, sampling};
    Workload done;
    for (std::uint64_t steps = 20 + random_() % 81; steps > 0; --steps) {
      const Verb verb = pick();
      done.push_back(verb);
      if (!session.run(verb)) return describe(done) + "refused: " + session.refusal();
      if (std::string words = watch.verdict(); !words.empty()) return describe(done) + words;
    }
    return end(session);
  }

 private:
  /// Mostly small changes.
  Verb pick() {
    const std::uint64_t number = random_() % 32;
    if (number < 24) return support::kVerbs[number % 4];
    return support::kVerbs[4 + number % 5];
  }

  std::string end(Session& session) {
    const auto& timeline = session.timeline();
    std::size_t oldest = timeline.durable();
    if (random_() % 2 == 0) {
      auto images = session.disk().crash_states(care_for(kind_).sampling);
      disk_ = std::make_unique<SimulatedDisk>(images[random_() % images.size()]);
    } else {
      disk_ = session.disk().after_kill();
      if (kind_.outlives_kill) oldest = timeline.acknowledged();
    }
    start_ = judge_.state_of(disk_->visible());
    return judge_.judge(disk_->visible(), timeline.states(oldest, timeline.begun()));
  }

  const StorageKind& kind_;
  CrashJudge& judge_;
  std::size_t batch_size_;
  std::mt19937_64 random_;
  std::unique_ptr<SimulatedDisk> disk_;
  State start_;
};

}  // namespace

TEST_CASE("Power loss at every call of all short workloads: a legal prefix opens, and opens again") {
  crash_all_short_workloads(CrashWatch::Kind::power_loss, "Power loss");
}

TEST_CASE("Kill at every call of all short workloads: what was acknowledged and written is there") {
  crash_all_short_workloads(CrashWatch::Kind::kill, "Kill");
}

TEST_CASE("Power loss after a kill: what the next process showed once it was open is on disk") {
  for (const StorageKind& kind : support::storage_kinds()) {
    CrashJudge judge{kind, kind.journals ? 8U : 64U};
    for_each_workload(kind, 2, [&](Session& session, const Workload& workload) {
      run_up_to_last(session, workload);
      struct Left {
        std::unique_ptr<SimulatedDisk> disk;
        std::size_t oldest;
        std::size_t newest;
      };
      std::vector<Left> left;
      const auto look = [&] {
        left.push_back(
            {session.disk().after_kill(), session.timeline().durable(), session.timeline().begun()});
      };
      session.files().before_each([&](support::Call, const std::filesystem::path&) { look(); });
      std::string words = run_last(session, workload);
      look();
      session.files().before_each(nullptr);
      for (const Left& one : left) {
        const auto legal = session.timeline().states(one.oldest, one.newest);
        if (words.empty()) words = power_loss_after_kill(judge, kind, *one.disk, legal);
      }
      return words;
    });
    support::report("Power loss after a kill, " + kind.name, judge);
  }
}

TEST_CASE("Power loss and kills in long random workloads: every life goes on from a legal prefix") {
  for (const StorageKind& kind : support::storage_kinds()) {
    CrashJudge judge{kind, std::max(std::size_t{16}, 3 * care_for(kind).thorough_every)};
    for (const std::size_t batch_size : kBatchSizes) {
      for (std::uint64_t run = 0; run < kLongRuns; ++run) {
        const std::uint64_t seed = support::test_seed() + run;
        INFO(kind.name << ", batch size " << batch_size << ", KVSTORE_TEST_SEED=" << seed);
        const RepeatableRandom same_names{1};
        Lives lives{kind, judge, batch_size, seed};
        for (int life = 1; life <= kLives; ++life) {
          INFO("life " << life);
          const std::string words = lives.live_once();
          REQUIRE(words == "");
        }
      }
    }
    support::report("Long random workloads, " + kind.name, judge);
  }
}

}  // namespace power_loss_test
