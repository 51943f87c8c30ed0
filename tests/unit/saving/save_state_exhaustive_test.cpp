// SPDX-License-Identifier: MIT

// Everything that a few threads may do to a `SaveState`, within bounds: every order of their steps, with each
// step failing.

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kvstore/detail/saving/state.hpp"
#include "support/catch.hpp"
#include "support/save_model.hpp"

namespace save_state_exhaustive_test {

using support::ModelCall;
using support::ModelSetup;
using support::SaveModel;

struct Hash {
  std::size_t operator()(const SaveModel& model) const { return model.hash(); }
};

/// All states of a model, breadth first, and the first violation found.
class StateSpace {
 public:
  explicit StateSpace(const ModelSetup& setup) {
    add(SaveModel{setup}, {0, 0, "starts"});
    for (std::size_t i = 0; i < states_.size() && wrong_.empty(); ++i) expand(i);
    if (wrong_.empty()) look_for_cycle();
  }

  [[nodiscard]] std::size_t states() const { return states_.size(); }
  [[nodiscard]] std::size_t transitions() const { return transitions_; }
  /// The path to the first violation, in words; empty if there is none.
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  struct Origin {
    std::size_t from;
    std::size_t thread;
    const char* words;
  };

  std::size_t add(const SaveModel& model, const Origin& origin) {
    const auto [place, is_new] = numbers_.try_emplace(model, states_.size());
    if (!is_new) return place->second;
    states_.push_back(&place->first);
    origins_.push_back(origin);
    if (const char* violation = model.violation()) complain(violation, states_.size() - 1);
    return states_.size() - 1;
  }

  void expand(std::size_t number) {
    bool goes_on = false;
    states_[number]->for_each_next(
        [&](const SaveModel& next, bool is_inner, std::size_t thread, const char* words) {
          ++transitions_;
          const std::size_t other = add(next, {number, thread, words});
          if (is_inner) inner_.emplace_back(number, other);
          goes_on = goes_on || is_inner;
        });
    if (!goes_on && !states_[number]->is_idle()) complain("threads wait for ever", number);
  }

  /// Without new calls all threads come to an end, in whatever order they continue: there is no cycle.
  void look_for_cycle() {
    std::vector<std::uint32_t> entries(states_.size());
    std::vector<std::size_t> begins(states_.size() + 1);  // first transition of each state
    for (const auto& [from, to] : inner_) {
      ++entries[to];
      ++begins[from + 1];
    }
    for (std::size_t i = 0; i < states_.size(); ++i) begins[i + 1] += begins[i];
    std::vector<std::size_t> free;
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (entries[i] == 0) free.push_back(i);
    }
    for (std::size_t done = 0; done < free.size(); ++done) {
      for (std::size_t way = begins[free[done]]; way < begins[free[done] + 1]; ++way) {
        if (--entries[inner_[way].second] == 0) free.push_back(inner_[way].second);
      }
    }
    for (std::size_t i = 0; i < states_.size() && free.size() != states_.size(); ++i) {
      if (entries[i] != 0) return complain("threads go on for ever", i);
    }
  }

  void complain(const std::string& what, std::size_t number) {
    if (!wrong_.empty()) return;
    std::string way;
    for (std::size_t i = number; i != 0; i = origins_[i].from) {
      way = "\n  thread " + std::to_string(origins_[i].thread) + ' ' + origins_[i].words + ": " +
            states_[i]->describe() + way;
    }
    wrong_ = what + way;
  }

  std::unordered_map<SaveModel, std::size_t, Hash> numbers_;
  std::vector<const SaveModel*> states_;
  std::vector<Origin> origins_;
  std::vector<std::pair<std::size_t, std::size_t>> inner_;  // transitions without a new call
  std::size_t transitions_ = 0;
  std::string wrong_;
};

/// `floor` is the least number of states. It lets nobody reduce the exploration unnoticed.
void require_no_wrong_state(const ModelSetup& setup, std::size_t floor) {
  const StateSpace space{setup};
  UNSCOPED_INFO(space.states() << " states, " << space.transitions() << " transitions");
  CHECK(space.wrong() == "");
  CHECK(space.states() >= floor);
}

using enum ModelCall;

TEST_CASE("Save state: two threads that call anything beside a journal lose nothing, and come to an end") {
  require_no_wrong_state(
      {.changes = 1, .calls = {put, replace, save, auto_save, compact, copy, take_over, close}}, 117'000);
}

TEST_CASE("Save state: two changes of a journal are durable when that is said, whichever step fails") {
  require_no_wrong_state({.calls = {put, save, auto_save, close}}, 29'500);
}

TEST_CASE("Save state: compactions beside changes lose nothing, whichever step fails") {
  require_no_wrong_state({.calls = {put, replace, compact}}, 97'000);
}

TEST_CASE("Save state: a compaction that starts over and fails keeps nobody waiting") {
  require_no_wrong_state({.changes = 1, .faults = 2, .calls = {put, save, compact}}, 210'000);
}

TEST_CASE("Save state: a journal whose new beginning fails as well loses nothing") {
  require_no_wrong_state({.changes = 1, .faults = 3, .calls = {put, replace, auto_save}}, 17'400);
}

TEST_CASE("Save state: two changes may wait for a third, and for no more") {
  require_no_wrong_state({.bound = 1, .changes = 3, .calls = {put, save}}, 44'000);
}

TEST_CASE("Save state: who does not wait for saves loses nothing to a kill, whichever step fails") {
  require_no_wrong_state({.background = true, .calls = {put, replace, auto_save}}, 16'900);
}

TEST_CASE("Save state: a file is saved whole, whichever two steps fail") {
  require_no_wrong_state(
      {.journal = false, .faults = 2, .calls = {put, replace, save, auto_save, copy, take_over, close}},
      196'000);
}

TEST_CASE("Save state: a storage that takes changes may want everything after all") {
  require_no_wrong_state(
      {.journal = false, .wants_everything = false, .faults = 2, .calls = {put, replace, save, close}},
      77'000);
}

TEST_CASE("Save state: marked changes are saved, or everything is, whichever two steps fail") {
  require_no_wrong_state({.journal = false,
                          .marks = true,
                          .wants_everything = false,
                          .faults = 2,
                          .calls = {put, replace, save, auto_save, copy, close}},
                         100'000);
}

TEST_CASE("Save state: three threads beside a journal come to an end, whichever step fails") {
  require_no_wrong_state({.threads = 3, .changes = 1, .calls = {put, save, compact}}, 255'000);
}

}  // namespace save_state_exhaustive_test
