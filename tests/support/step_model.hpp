// SPDX-License-Identifier: MIT
#pragma once

// A seeded sequence of steps. A store executes the steps in one process, a model in another.

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/key_value_store.hpp"
#include "support/contents_of.hpp"

namespace support {

using Contents = std::map<std::string, std::string>;
using TextStore = kvstore::KeyValueStore<std::string, std::string>;

enum class StepKind { create, update, upsert, remove, modify, apply, save, compact, clear };

struct Step {
  StepKind kind;
  std::string key;
  std::string other_key;  // used only in a batch
  std::string value;
};

/// Makes the same steps for the same seed, on keys that start with `prefix` and belong to this maker alone.
class StepMaker {
 public:
  explicit StepMaker(std::uint64_t seed, std::string prefix = {}, bool clears = true)
      : random_{seed}, prefix_{std::move(prefix)}, clears_{clears} {}

  Step next() { return {next_kind(), key(), key(), value()}; }

 private:
  /// Mostly changes of one entry. A `clear` is rare, and is made only if `clears_` allows it.
  StepKind next_kind() {
    const std::size_t choice = below(60);
    if (choice == 59) return clears_ ? StepKind::clear : StepKind::remove;
    if (choice >= 57) return choice == 58 ? StepKind::save : StepKind::compact;
    return choice >= 50 ? StepKind::apply : static_cast<StepKind>(choice % 5);
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
  std::string key() { return prefix_ + std::to_string(below(24)); }
  std::string value() {
    std::string text = std::to_string(random_());
    const std::size_t size = below(8) == 0 ? below(6000) : below(60);
    for (std::size_t i = 0; i < size; ++i) text += "abc \"\\\n/\x01\xC3\xA9"[below(9)];
    return text;
  }

  std::mt19937_64 random_;
  std::string prefix_;
  bool clears_;
};

/// The new value that `modify` gives to an entry.
inline std::string modified(std::string value, const Step& step) {
  return value.substr(0, 40) + '+' + step.key;
}

/// Executes a step on a store, if the step changes entries.
inline void perform(const Step& step, TextStore& store) {
  switch (step.kind) {
    case StepKind::create:
      store.try_create(step.key, step.value);
      break;
    case StepKind::update:
      store.try_update(step.key, step.value);
      break;
    case StepKind::upsert:
      store.upsert(step.key, step.value);
      break;
    case StepKind::remove:
      store.try_remove(step.key);
      break;
    case StepKind::modify:
      store.modify(step.key, [&](std::string& value) { value = modified(std::move(value), step); });
      break;
    case StepKind::apply: {
      TextStore::Batch batch;
      batch.upsert(step.key, step.value).upsert(step.other_key, "with " + step.key);
      store.apply(std::move(batch));
      break;
    }
    case StepKind::clear:
      store.clear();
      break;
    case StepKind::save:
    case StepKind::compact:
      break;
  }
}

/// The same, on the model. @returns whether the step counts as an unsaved operation
inline bool perform(const Step& step, Contents& contents) {
  const bool exists = contents.contains(step.key);
  switch (step.kind) {
    case StepKind::create:
      if (!exists) contents[step.key] = step.value;
      return !exists;
    case StepKind::update:
      if (exists) contents[step.key] = step.value;
      return exists;
    case StepKind::upsert:
      contents[step.key] = step.value;
      return true;
    case StepKind::remove:
      contents.erase(step.key);
      return exists;
    case StepKind::modify:
      if (exists) contents[step.key] = modified(contents[step.key], step);
      return exists;
    case StepKind::apply:
      contents[step.key] = step.value;
      contents[step.other_key] = "with " + step.key;
      return true;
    case StepKind::clear:
      return !std::exchange(contents, {}).empty();
    case StepKind::save:
    case StepKind::compact:
      return false;
  }
  return false;
}

/// The possible contents of a store whose process was killed: the states after each step, and which steps
/// counted.
class StepHistory {
 public:
  /// Executes `count` steps on the model, from `start`.
  StepHistory(Contents start, StepMaker maker, std::size_t count) : states_{std::move(start)} {
    for (std::size_t i = 0; i < count; ++i) {
      const Step step = maker.next();
      Contents next = states_.back();
      counted_.push_back(perform(step, next));
      saved_.push_back(step.kind == StepKind::save || step.kind == StepKind::compact);
      states_.push_back(std::move(next));
    }
  }

  static constexpr std::size_t kImpossible = static_cast<std::size_t>(-1);

  /// The number of the first `acknowledged` operations that are missing in `found`, the contents after a
  /// crash. These must be the state after a prefix of the steps. The prefix must include the last
  /// acknowledged `save`, and may end with one step more than was acknowledged, which was under way.
  /// @returns `kImpossible` if there is no such prefix
  [[nodiscard]] std::size_t fewest_missing(const Contents& found, std::size_t acknowledged) const {
    std::size_t missing = 0;
    if (states_.at(acknowledged + 1) == found) return 0;
    for (std::size_t steps = acknowledged;; --steps) {
      if (states_[steps] == found) return missing;
      if (steps == 0 || saved_[steps - 1]) return kImpossible;
      missing += counted_[steps - 1];
    }
  }

 private:
  std::vector<Contents> states_;  // indexed by the number of steps
  std::vector<bool> counted_;     // indexed by the step
  std::vector<bool> saved_;
};

}  // namespace support
