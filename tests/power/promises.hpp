// SPDX-License-Identifier: MIT
#pragma once

// What the records of a run promise at each place of the log, and whether what was found there keeps it.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "power/record.hpp"
#include "power/script.hpp"
#include "power/setup.hpp"
#include "power/write_log.hpp"

namespace power {

/// A record and where in the log it was written.
struct Placed {
  std::size_t place;
  Record record;
};

/// The records among the writes: one write may hold several.
[[nodiscard]] inline std::vector<Placed> records_of(std::span<const DiskWrite> writes) {
  std::vector<Placed> records;
  for (std::size_t place = 0; place < writes.size(); ++place) {
    const auto data = writes[place].data;
    for (std::size_t at = 0; at + kSector <= data.size(); at += kSector) {
      const Record record = parse_record(data.data() + at);
      if (record.valid()) records.push_back({place, record});
    }
  }
  return records;
}

struct Verdict {
  std::string violation;  ///< empty if all promises are kept
  std::size_t lost = 0;   ///< acknowledged operations that are missing
};

class Promises {
 public:
  /// @throws std::runtime_error if the recording is of no use
  explicit Promises(const std::vector<Placed>& records) {
    if (records.empty() || records[0].record.kind != RecordKind::setup)
      throw std::runtime_error{"the guest has recorded nothing"};
    setup_ = parse_setup(records[0].record.words.data());
    for (std::size_t i = 0; i < setup_.threads; ++i) scripts_.emplace_back(setup_, i);
    begin_life(Placed{records[0].place, {}});
    lives_.back().threads.assign(setup_.threads, Thread{.next = 1});
    for (const Placed& placed : records) take(placed);
    end_life();
  }

  [[nodiscard]] const Setup& setup() const noexcept { return setup_; }
  /// Steps that were acknowledged.
  [[nodiscard]] std::size_t steps() const noexcept { return steps_; }
  /// Promises that the guest itself has seen broken, by the store or by a kill.
  [[nodiscard]] const std::vector<std::string>& broken() const noexcept { return broken_; }

  /// Judges what power loss at `place` has left.
  [[nodiscard]] Verdict judge(const Found& found, std::size_t place) const {
    if (!found.stranger.empty()) return {"STRANGER: nobody has written key " + found.stranger};
    const Life& life = life_at(place);
    std::vector<std::size_t> there(setup_.threads);
    Verdict verdict;
    for (std::size_t i = 0; i < setup_.threads && verdict.violation.empty(); ++i) {
      const Thread& thread = life.threads[i];
      const std::size_t acknowledged = acknowledged_at(thread, place);
      const std::size_t steps = last_match(thread, acknowledged + 1, found.prints[i]);
      if (steps == kNone) return {"BROKEN: " + describe_unknown(i, thread, found.prints[i])};
      there[i] = steps;
      verdict.lost += operations_between(thread, steps, acknowledged);
      verdict.violation = below_floor(life, i, steps, place);
    }
    if (verdict.violation.empty() && setup_.has_bound() && verdict.lost > setup_.bound())
      verdict.violation = "LOST: " + std::to_string(verdict.lost) + " operations, of " +
                          std::to_string(setup_.bound()) + " that may be lost";
    if (verdict.violation.empty()) verdict.violation = out_of_order(life, there);
    return verdict;
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  struct Acknowledged {
    std::size_t place;
    std::uint64_t begin;
    std::uint64_t end;
  };

  /// One thread of one process. Its steps are counted from the state in which the process opened the store.
  struct Thread {
    std::uint64_t kept = 0;                    // number of the last step that was there
    std::uint64_t next = 0;                    // number of its first step
    std::vector<Acknowledged> acknowledged{};  // by step
    std::vector<std::uint64_t> prints{};       // of the state after as many steps as the index says
    std::vector<std::size_t> operations{};     // in as many steps as the index says
  };

  struct Floor {
    std::size_t place;
    std::array<std::uint64_t, kMaxThreads> marks;
  };

  struct Life {
    std::size_t place;
    std::vector<Thread> threads{};
    std::vector<Floor> floors{};
  };

  // Reading ---------------------------------------------------------------------------------------

  void take(const Placed& placed) {
    const Record& record = placed.record;
    switch (record.kind) {
      case RecordKind::setup:
        return;
      case RecordKind::opened:
        if (record.life != 0) begin_life(placed);
        return;
      case RecordKind::step:
        return take_step(placed);
      case RecordKind::saved:
      case RecordKind::closed:
        return lives_.back().floors.push_back({placed.place, record.marks});
      case RecordKind::trouble:
        return broken_.push_back("in process " + std::to_string(record.life) + ": " + record.words.data());
    }
  }

  void take_step(const Placed& placed) {
    const Record& record = placed.record;
    Thread& thread = lives_.back().threads.at(record.thread);
    if (record.number != thread.next + thread.acknowledged.size() || record.life + 1 != lives_.size())
      throw std::runtime_error{"the guest's records are out of order"};
    thread.acknowledged.push_back({placed.place, record.begin, record.end});
    ++steps_;
  }

  void begin_life(const Placed& placed) {
    if (!lives_.empty()) {
      end_life();
      judge_kill(placed.record);
    }
    Life life{placed.place};
    for (std::size_t i = 0; i < setup_.threads; ++i) {
      const auto& record = placed.record;
      if (!lives_.empty()) scripts_[i].take(lives_.back().threads[i].next, record.marks[i]);
      life.threads.push_back({.kept = record.marks[i], .next = record.next[i]});
    }
    lives_.push_back(std::move(life));
  }

  /// All of its steps are known: notes the state after each, and after one more that may have been under way.
  void end_life() {
    for (std::size_t i = 0; i < setup_.threads; ++i) {
      Thread& thread = lives_.back().threads[i];
      Script script = scripts_[i];
      thread.prints = {script.print()};
      thread.operations = {0};
      for (std::uint64_t step = 0; step <= thread.acknowledged.size(); ++step) {
        const Step next = script.plan(thread.next + step);
        script.take(next);
        thread.prints.push_back(script.print());
        thread.operations.push_back(thread.operations.back() + next.operations());
      }
    }
  }

  /// What the next process found was still in the operating system's hands.
  void judge_kill(const Record& opened) {
    std::size_t lost = 0;
    for (std::size_t i = 0; i < setup_.threads; ++i) {
      const Thread& thread = lives_.back().threads[i];
      lost += operations_between(thread, steps_at(thread, opened.marks[i]), thread.acknowledged.size());
    }
    if (lost > setup_.kill_bound() && setup_.has_bound())
      broken_.push_back("LOST by a kill: " + std::to_string(lost) + " operations, of " +
                        std::to_string(setup_.kill_bound()) + " that may be lost");
  }

  // Judging ---------------------------------------------------------------------------------------

  [[nodiscard]] const Life& life_at(std::size_t place) const {
    std::size_t number = lives_.size() - 1;
    while (number > 0 && lives_[number].place >= place) --number;
    return lives_[number];
  }

  [[nodiscard]] static std::size_t acknowledged_at(const Thread& thread, std::size_t place) {
    const auto& all = thread.acknowledged;
    const auto end = std::partition_point(all.begin(), all.end(),
                                          [&](const Acknowledged& one) { return one.place < place; });
    return static_cast<std::size_t>(end - all.begin());
  }

  /// The step's count within the thread's life, from its number.
  [[nodiscard]] static std::size_t steps_at(const Thread& thread, std::uint64_t number) noexcept {
    return number < thread.next ? 0 : static_cast<std::size_t>(number - thread.next + 1);
  }

  [[nodiscard]] static std::size_t operations_between(const Thread& thread, std::size_t steps,
                                                      std::size_t acknowledged) {
    return steps >= acknowledged ? 0 : thread.operations[acknowledged] - thread.operations[steps];
  }

  [[nodiscard]] static std::size_t last_match(const Thread& thread, std::size_t most, std::uint64_t print) {
    for (std::size_t steps = most + 1; steps-- > 0;) {
      if (thread.prints[steps] == print) return steps;
    }
    return kNone;
  }

  [[nodiscard]] std::string describe_unknown(std::size_t number, const Thread& now,
                                             std::uint64_t print) const {
    const std::string words = "thread " + std::to_string(number) + " is in ";
    for (const Life& life : lives_) {
      const Thread& thread = life.threads[number];
      const std::size_t steps = last_match(thread, thread.prints.size() - 1, print);
      if (&thread == &now && steps != kNone) return words + "a state that it had not begun";
      if (steps != kNone)
        return words + "the state of step " + std::to_string(thread.next + steps - 1) +
               ", and the store was opened with step " + std::to_string(now.kept);
    }
    return words + "no state that it had";
  }

  [[nodiscard]] static std::string below_floor(const Life& life, std::size_t number, std::size_t steps,
                                               std::size_t place) {
    const Thread& thread = life.threads[number];
    for (const Floor& floor : life.floors) {
      if (floor.place >= place || steps_at(thread, floor.marks[number]) <= steps) continue;
      return "LOST: thread " + std::to_string(number) + " is at step " +
             std::to_string(thread.next + steps - 1) + ", and a save had returned that covers " +
             std::to_string(floor.marks[number]);
    }
    return {};
  }

  /// A step that is there and began after another had returned, which is missing.
  [[nodiscard]] static std::string out_of_order(const Life& life, const std::vector<std::size_t>& there) {
    for (std::size_t later = 0; later < there.size(); ++later) {
      const Thread& thread = life.threads[later];
      if (there[later] == 0 || there[later] > thread.acknowledged.size()) continue;
      const std::uint64_t begin = thread.acknowledged[there[later] - 1].begin;
      for (std::size_t earlier = 0; earlier < there.size(); ++earlier) {
        const auto& missing = life.threads[earlier].acknowledged;
        if (there[earlier] < missing.size() && missing[there[earlier]].end < begin)
          return "ORDER: a step of thread " + std::to_string(later) + " is there, and one of thread " +
                 std::to_string(earlier) + " that had returned before is not";
      }
    }
    return {};
  }

  Setup setup_;
  std::vector<Script> scripts_;  // at the beginning of the last life
  std::vector<Life> lives_;
  std::vector<std::string> broken_;
  std::size_t steps_ = 0;
};

}  // namespace power
