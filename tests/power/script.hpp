// SPDX-License-Identifier: MIT
#pragma once

// The steps that each thread of the guest takes. The same seed gives the same steps, so that the judge knows
// the state after each of them.
//
// No two states of a thread are alike, so that what a crash has left names the last step that is in it:
//   - a value holds the number of its step, and a number is never used again;
//   - `remove` takes the key that was written longest ago, and never the last one: a key that a step has
//   added
//     goes only after all keys from before that step were written again or removed;
//   - an increment of the shared counter shows in the component of its thread.
// `clear` alone, in runs with one thread, brings the empty state back.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "power/setup.hpp"
#include "support/step_model.hpp"

namespace power {

/// The same numbers on every machine, and cheap to begin anew for each step.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_{seed} {}

  std::uint64_t operator()() noexcept { return mix(state_ += 0x9E3779B97F4A7C15); }
  std::size_t below(std::size_t bound) noexcept { return static_cast<std::size_t>((*this)() % bound); }

  /// SplitMix64's last step.
  [[nodiscard]] static std::uint64_t mix(std::uint64_t number) noexcept {
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9;
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB;
    return number ^ (number >> 31);
  }

 private:
  std::uint64_t state_;
};

/// Stands for an entry; a state is stood for by the exclusive or of its entries.
[[nodiscard]] inline std::uint64_t print_of(std::string_view key, std::string_view value) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325;
  const auto take = [&](char byte) { hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3; };
  for (const char byte : key) take(byte);
  take('\0');
  for (const char byte : value) take(byte);
  return Random::mix(hash);
}
[[nodiscard]] inline std::uint64_t print_of_increments(std::uint64_t increments) noexcept {
  return Random::mix(increments);  // 0 for 0: as if there were no counter
}

enum class Verb { create, update, upsert, remove, apply, increment, clear };

struct Change {
  std::string key;
  std::optional<std::string> value;  ///< none: removed
};

struct Step {
  Verb verb;
  std::vector<Change> changes;

  /// As which a store counts it.
  [[nodiscard]] std::size_t operations() const noexcept { return std::max<std::size_t>(changes.size(), 1); }
};

/// One thread's entries, as far as that is needed to plan its next step and to recognise the state.
class Script {
 public:
  Script(const Setup& setup, std::size_t thread)
      : seed_{Random::mix(setup.seed * 1000 + thread)},
        prefix_{'t' + std::to_string(thread) + '/'},
        big_{setup.big},
        clears_{setup.threads == 1} {}

  /// What step `number` does to the state as it is now.
  [[nodiscard]] Step plan(std::uint64_t number) const {
    Random random{seed_ + number};
    const std::size_t choice = random.below(40);
    if (choice < 8) return create(random, number);
    if (choice < 16) return rewrite(random, number);
    if (choice < 24) return {Verb::upsert, {{any_key(random), value(random, number)}}};
    if (choice < 28 && entries_.size() > 1) return {Verb::remove, {{entries_.front().key, std::nullopt}}};
    if (choice < 34) return batch(random, number);
    if (choice == 34 && clears_ && !entries_.empty() && random.below(8) == 0) return {Verb::clear, {}};
    return {Verb::increment, {}};
  }

  /// Carries a step out.
  void take(const Step& step) {
    if (step.verb == Verb::increment) ++increments_;
    if (step.verb == Verb::clear) {
      entries_.clear();
      entries_print_ = increments_ = 0;
    }
    for (const Change& change : step.changes) take(change);
  }
  /// Carries out the steps from number `first` to `last`.
  void take(std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t number = first; number <= last; ++number) take(plan(number));
  }

  /// Stands for the state.
  [[nodiscard]] std::uint64_t print() const noexcept {
    return entries_print_ ^ print_of_increments(increments_);
  }

 private:
  static constexpr std::size_t kKeys = 24;

  struct Entry {
    std::string key;
    std::uint64_t print;
  };

  [[nodiscard]] auto find(std::string_view key) const {
    return std::find_if(entries_.begin(), entries_.end(),
                        [&](const Entry& entry) { return entry.key == key; });
  }

  void take(const Change& change) {
    if (const auto old = find(change.key); old != entries_.end()) {
      entries_print_ ^= old->print;
      entries_.erase(old);
    }
    if (!change.value) return;
    entries_.push_back({change.key, print_of(change.key, *change.value)});
    entries_print_ ^= entries_.back().print;
  }

  [[nodiscard]] std::string any_key(Random& random) const {
    return prefix_ + std::to_string(random.below(kKeys));
  }

  [[nodiscard]] Step create(Random& random, std::uint64_t number) const {
    const std::string key = any_key(random);
    return {find(key) == entries_.end() ? Verb::create : Verb::update, {{key, value(random, number)}}};
  }
  [[nodiscard]] Step rewrite(Random& random, std::uint64_t number) const {
    if (entries_.empty()) return create(random, number);
    return {Verb::update, {{entries_[random.below(entries_.size())].key, value(random, number)}}};
  }

  /// Two to eight changes, among them sometimes the removal of a key that the others leave alone.
  [[nodiscard]] Step batch(Random& random, std::uint64_t number) const {
    Step step{Verb::apply, {}};
    const bool removes = entries_.size() > 1 && random.below(2) == 0;
    if (removes) step.changes.push_back({entries_.front().key, std::nullopt});
    const std::size_t size = 2 + random.below(7);
    while (step.changes.size() < size) {
      const std::string key = any_key(random);
      const auto same = [&](const Change& change) { return change.key == key; };
      if (std::none_of(step.changes.begin(), step.changes.end(), same))
        step.changes.push_back({key, value(random, number)});
    }
    return step;
  }

  [[nodiscard]] std::string value(Random& random, std::uint64_t number) const {
    static constexpr std::array<std::string_view, 6> kPieces{"plain text, ",       "\"quoted\" \\ ",
                                                             "two\nlines\t",       "\x01 control ",
                                                             "\xC3\xA9t\xC3\xA9 ", "0123456789"};
    std::string text = std::to_string(number) + ':';
    const std::size_t size = big_ && random.below(4) == 0 ? random.below(6000) : random.below(60);
    while (text.size() < size) text += kPieces[random.below(kPieces.size())];
    return text;
  }

  std::uint64_t seed_;
  std::string prefix_;
  bool big_;
  bool clears_;
  std::vector<Entry> entries_;  // in the order in which they were written last
  std::uint64_t entries_print_ = 0;
  std::uint64_t increments_ = 0;
};

// ---- The counter that all threads share --------------------------------------------------------------

inline constexpr std::string_view kShared = "shared";

/// The increments of each thread: a state of the counter names a state of every thread.
[[nodiscard]] inline std::vector<std::uint64_t> parse_increments(std::string_view text, std::size_t threads) {
  std::vector<std::uint64_t> increments(threads);
  const char* at = text.data();
  for (std::uint64_t& number : increments) {
    at = std::from_chars(at, text.data() + text.size(), number).ptr;
    if (at != text.data() + text.size()) ++at;
  }
  return increments;
}

[[nodiscard]] inline std::string incremented(std::string_view text, std::size_t thread, std::size_t threads) {
  std::vector<std::uint64_t> increments = parse_increments(text, threads);
  ++increments.at(thread);
  std::string next;
  for (const std::uint64_t number : increments) next += std::to_string(number) + ' ';
  return next;
}

/// Carries a step out on a store. The verbs are the strict ones: a store that has missed a step says so.
inline void perform(const Step& step, support::TextStore& store, std::size_t thread, std::size_t threads) {
  const auto& changes = step.changes;
  switch (step.verb) {
    case Verb::create:
      return store.create(changes[0].key, *changes[0].value);
    case Verb::update:
      return store.update(changes[0].key, *changes[0].value);
    case Verb::upsert:
      return static_cast<void>(store.upsert(changes[0].key, *changes[0].value));
    case Verb::remove:
      return store.remove(changes[0].key);
    case Verb::clear:
      return store.clear();
    case Verb::increment: {
      const auto add = [&](std::string& text) { text = incremented(text, thread, threads); };
      // Two threads may find it missing at once.
      while (!store.modify(kShared, add) &&
             !store.try_create(std::string{kShared}, incremented("", thread, threads))) {}
      return;
    }
    case Verb::apply: {
      support::TextStore::Batch batch;
      for (const Change& change : changes)
        change.value ? batch.upsert(change.key, *change.value) : batch.remove(change.key);
      return store.apply(std::move(batch));
    }
  }
}

// ---- What was found --------------------------------------------------------------------------------------

struct Found {
  std::vector<std::uint64_t> prints;  ///< of the state of each thread
  std::string stranger;               ///< a key that no thread writes
};

[[nodiscard]] inline Found prints_of(const support::Contents& contents, std::size_t threads) {
  Found found{std::vector<std::uint64_t>(threads), {}};
  for (const auto& [key, value] : contents) {
    const std::size_t thread = key.size() > 2 && key[0] == 't' && key[2] == '/'
                                   ? static_cast<std::size_t>(key[1] - '0')
                                   : kMaxThreads;
    if (thread < threads) {
      found.prints[thread] ^= print_of(key, value);
    } else if (key == kShared) {
      const auto increments = parse_increments(value, threads);
      for (std::size_t i = 0; i < threads; ++i) found.prints[i] ^= print_of_increments(increments[i]);
    } else {
      found.stranger = key;
    }
  }
  return found;
}

}  // namespace power
