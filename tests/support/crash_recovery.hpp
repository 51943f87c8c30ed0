// SPDX-License-Identifier: MIT
#pragma once

// Opens the disks that crashes leave, and judges whether the store holds what was promised.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "support/crash_workload.hpp"
#include "support/fault_file_system.hpp"
#include "support/repeatable_random.hpp"
#include "support/simulated_disk.hpp"

namespace support {

/// The outcome of an opening: the contents of the store, or a description of the trouble.
struct Recovery {
  State state;
  std::string trouble;
};

/// Opens a store, reads all of it, and closes it. Calls `looked` while the store is open.
template <class Looked>
Recovery open_and_look(const StorageKind& kind, kvstore::detail::FileSystem& files, const Looked& looked) {
  try {
    Store store{kind.make(files), quiet_options(0)};
    Recovery recovery{contents_of(store), {}};
    looked(store);
    store.close();
    return recovery;
  } catch (const std::exception& error) { return {{}, std::string{"does not open: "} + error.what()}; }
}

inline Recovery open_and_look(const StorageKind& kind, kvstore::detail::FileSystem& files) {
  return open_and_look(kind, files, [](Store&) {});
}

/// Describes a file that a clean close has left on `disk` besides the `expected` ones; empty if there is
/// none.
inline std::string litter(const SimulatedDisk& disk, const std::set<std::string>& expected) {
  for (const auto& file : disk.visible()) {
    const std::string name = std::filesystem::path{file.first}.filename().string();
    if (!expected.contains(name)) return "a clean close leaves " + name;
  }
  return {};
}

/// Judges disks that crashes leave. Each distinct image is opened once. It must open without an error, leave
/// no litter when closed, and show the same contents when opened again. For one image in `thorough_every`,
/// this must also hold if power fails at any call of that opening, and the store must go on to work.
class CrashJudge {
 public:
  explicit CrashJudge(const StorageKind& kind, std::size_t thorough_every = 4)
      : kind_{kind}, thorough_every_{thorough_every} {}

  /// Whether `image` is known to open to one of `legal`. Cheap: opens nothing.
  [[nodiscard]] bool is_known_good(const std::string& key, std::span<const State> legal) const {
    const auto found = known_.find(key);
    return found != known_.end() && problem(found->second, legal).empty();
  }

  /// Describes the trouble if `image` does not open to one of `legal`; empty if it does.
  [[nodiscard]] std::string judge(const DiskImage& image, std::span<const State> legal) {
    return judge(image, key_of(image), legal);
  }

  /// The same, where the key is known already.
  [[nodiscard]] std::string judge(const DiskImage& image, const std::string& key,
                                  std::span<const State> legal) {
    ++judged_;
    std::string words = problem(recover(image, key), legal);
    return words.empty() ? words : words + "\non a disk with\n" + describe(image);
  }

  /// The same for every image that power loss may leave of `disk` now.
  [[nodiscard]] std::string judge_power_loss(const SimulatedDisk& disk, const CrashSampling& sampling,
                                             std::span<const State> legal) {
    for (const DiskImage& image : disk.crash_states(sampling)) {
      if (std::string words = judge(image, legal); !words.empty()) return "after power loss " + words;
    }
    return {};
  }

  /// The contents of a store on `image`, which must open.
  [[nodiscard]] State state_of(const DiskImage& image) { return recover(image, key_of(image)).state; }

  void count_known() { ++judged_; }
  [[nodiscard]] std::size_t judged() const { return judged_; }
  [[nodiscard]] std::size_t opened() const { return known_.size(); }
  [[nodiscard]] std::size_t looked_closely() const { return looked_closely_; }

 private:
  static constexpr std::uint64_t kFirstName = std::uint64_t{1} << 62U;  // of the journals that it begins
  static constexpr CrashSampling kFew{.exhaustive_bits = 4, .samples = 12};

  [[nodiscard]] static std::string problem(const Recovery& recovery, std::span<const State> legal) {
    if (!recovery.trouble.empty()) return recovery.trouble;
    if (std::find(legal.begin(), legal.end(), recovery.state) != legal.end()) return {};
    std::string words = "opens to " + describe(recovery.state) + ", and not to one of";
    for (const State& state : legal) words += ' ' + describe(state);
    return words;
  }

  const Recovery& recover(const DiskImage& image, const std::string& key) {
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
    const RepeatableRandom same_names{kFirstName};
    Recovery recovery = open_twice(image);
    if (recovery.trouble.empty() && known_.size() % thorough_every_ == 0) {
      ++looked_closely_;
      recovery.trouble = crash_while_opening(image, recovery.state);
      if (recovery.trouble.empty()) recovery.trouble = work_on(image, recovery.state);
    }
    return known_.emplace(key, std::move(recovery)).first->second;
  }

  /// What is wrong unless `image` opens to `expected`. Each is opened once: many openings leave the same.
  [[nodiscard]] std::string open_once(const DiskImage& image, const State& expected,
                                      const std::string& when) {
    std::string key = key_of(image) + describe(expected);
    if (sound_.contains(key)) return {};
    SimulatedDisk disk{image};
    std::string words = compare(open_and_look(kind_, disk), expected, when);
    if (!words.empty()) return words + "\nfrom\n" + describe(image);
    sound_.insert(std::move(key));
    return {};
  }

  [[nodiscard]] Recovery open_twice(const DiskImage& image) const {
    SimulatedDisk disk{image};
    Recovery first = open_and_look(kind_, disk);
    if (first.trouble.empty()) first.trouble = litter(disk, kind_.files);
    if (first.trouble.empty()) first.trouble = compare(open_and_look(kind_, disk), first.state, "again");
    return first;
  }

  [[nodiscard]] static std::string compare(const Recovery& found, const State& expected,
                                           const std::string& when) {
    if (!found.trouble.empty()) return "opened " + when + " it " + found.trouble;
    if (found.state == expected) return {};
    return "opened " + when + " it has " + describe(found.state) + " instead of " + describe(expected);
  }

  /// Power fails before each call of an opening, and after the last call.
  [[nodiscard]] std::string crash_while_opening(const DiskImage& image, const State& expected) {
    SimulatedDisk disk{image};
    FaultFileSystem files{disk};
    std::vector<DiskImage> left;
    std::unordered_set<std::string> seen;
    std::uint64_t version = ~std::uint64_t{0};
    const auto look = [&] {
      if (std::exchange(version, disk.version()) == disk.version()) return;
      for (DiskImage& state : disk.crash_states(kFew)) {
        if (seen.insert(key_of(state)).second) left.push_back(std::move(state));
      }
    };
    files.before_each([&](Call, const std::filesystem::path&) { look(); });
    open_and_look(kind_, files, [&](Store&) { look(); });
    for (const DiskImage& state : left) {
      if (std::string words = open_once(state, expected, "after power loss during recovery"); !words.empty())
        return words;
    }
    return {};
  }

  /// The remains of a recovery must not harm later writes.
  [[nodiscard]] std::string work_on(const DiskImage& image, State state) {
    SimulatedDisk disk{image};
    std::vector<DiskImage> left;
    {
      Store store{kind_.make(disk), quiet_options(1)};
      store.create("after", 1);
      state["after"] = 1;
      left = disk.crash_states(kFew);
      store.close();
    }
    left.push_back(disk.visible());
    if (std::string words = litter(disk, kind_.files); !words.empty()) return words;
    for (const DiskImage& next : left) {
      if (std::string words = open_once(next, state, "after one more operation"); !words.empty())
        return words;
    }
    open_and_look(kind_, disk, [](Store& store) { store.compact(); });
    if (std::string words = litter(disk, {"data.json", "data.json.journal.torn"}); !words.empty())
      return "after compact() " + words;
    return compare(open_and_look(kind_, disk), state, "after compact()");
  }

  const StorageKind& kind_;
  std::size_t thorough_every_;
  std::unordered_map<std::string, Recovery> known_;
  std::unordered_set<std::string> sound_;  // images, each with what it has opened to
  std::size_t looked_closely_ = 0;
  std::size_t judged_ = 0;
};

/// Looks at a session before each of its calls to the disk and after each of its steps, and notes the disks
/// that a crash there would leave. The verdict comes later, since no store can be opened inside a call of
/// another one.
class CrashWatch {
 public:
  enum class Kind { power_loss, kill };

  CrashWatch(Session& session, CrashJudge& judge, Kind kind, const CrashSampling& sampling)
      : session_{session}, judge_{judge}, kind_{kind}, sampling_{sampling} {
    session_.files().before_each([this](Call, const std::filesystem::path&) { look(); });
  }
  CrashWatch(const CrashWatch&) = delete;
  CrashWatch& operator=(const CrashWatch&) = delete;
  ~CrashWatch() { session_.files().before_each(nullptr); }

  void look() {
    const Timeline& timeline = session_.timeline();
    const std::size_t oldest = must_have();
    const auto moment = std::make_pair(session_.disk().version(), std::make_pair(oldest, timeline.begun()));
    if (std::exchange(moment_, moment) == moment) return;
    ++sampling_.seed;
    if (kind_ == Kind::kill) return note(session_.disk().visible(), oldest);
    for (DiskImage& image : session_.disk().crash_states(sampling_)) note(std::move(image), oldest);
  }

  /// Judges the noted disks. @returns a description of the trouble; empty if there is none
  [[nodiscard]] std::string verdict() {
    look();
    std::string words;
    for (const Noted& noted : noted_) {
      if (words.empty()) words = judge_.judge(noted.image, noted.key, states(noted.oldest, noted.newest));
    }
    noted_.clear();
    return words;
  }

 private:
  struct Noted {
    DiskImage image;
    std::string key;
    std::size_t oldest;
    std::size_t newest;
  };

  [[nodiscard]] std::size_t must_have() const {
    const bool nothing_lost = kind_ == Kind::kill && session_.kind().outlives_kill;
    return nothing_lost ? session_.timeline().acknowledged() : session_.timeline().durable();
  }
  [[nodiscard]] std::span<const State> states(std::size_t oldest, std::size_t newest) const {
    return session_.timeline().states(oldest, newest);
  }
  void note(DiskImage image, std::size_t oldest) {
    const std::size_t newest = session_.timeline().begun();
    std::string key = key_of(image);
    if (judge_.is_known_good(key, states(oldest, newest))) return judge_.count_known();
    noted_.push_back({std::move(image), std::move(key), oldest, newest});
  }

  Session& session_;
  CrashJudge& judge_;
  Kind kind_;
  CrashSampling sampling_;
  std::pair<std::uint64_t, std::pair<std::size_t, std::size_t>> moment_{~std::uint64_t{0}, {0, 0}};
  std::vector<Noted> noted_;
};

/// Prints how much a test has examined.
inline void report(const std::string& test, const CrashJudge& judge) {
  std::cout << test << ": " << judge.judged() << " crash states judged, " << judge.opened()
            << " different ones opened, " << judge.looked_closely() << " of them closely, seed "
            << test_seed() << std::endl;
}

}  // namespace support
