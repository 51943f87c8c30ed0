// SPDX-License-Identifier: MIT
#pragma once

// Calls of stores on servers, made up at random, whose outcome may stay unknown.

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/error.hpp"
#include "support/linearizability.hpp"
#include "support/map_history.hpp"

namespace support {

/// A call that may have been carried out at any time after it began, or never: its result is open, and it is
/// not over before the history is, where it explains nothing any more.
struct MaybeOperation {
  MapOperation operation;
  bool unknown = false;

  [[nodiscard]] bool perform(MapState& state) const {
    if (!unknown) return operation.perform(state);
    MapOperation other = operation;
    for (const bool succeeded : {true, false}) {
      other.succeeded = succeeded;
      if (MapState next = state; other.perform(next)) {
        state = next;
        break;
      }
    }
    return true;
  }
};

using MaybeHistory = History<MaybeOperation>;

[[nodiscard]] inline std::string to_text(const MaybeHistory& history) {
  std::string text;
  for (const auto& call : history) {
    text += std::to_string(call.began) + ".." + std::to_string(call.returned) + "  " +
            to_text(call.operation.operation) + (call.operation.unknown ? " ?\n" : "\n");
  }
  return text;
}

/// Makes calls up and makes them, on keys of one round.
template <class Store>
class MapCaller {
 public:
  MapCaller(Store& store, unsigned seed) : store_{&store}, random_{seed} {}

  void call(int round, HistoryClock& clock, MaybeHistory& history) {
    bool unchanged = false;
    clock.record(history, [&] {
      MaybeOperation made{made_up()};
      try {
        perform(round * kMapKeys, made.operation);
      } catch (const kvstore::OutcomeUnknownError&) {
        made.unknown = true;
      } catch (const kvstore::UnavailableError&) { unchanged = true; }
      return made;
    });
    if (history.back().operation.unknown) history.back().returned = UINT64_MAX;
    if (unchanged) history.pop_back();
  }

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }

  MapOperation made_up() {
    constexpr std::array kVerbs{MapVerb::create,           MapVerb::read,    MapVerb::read,
                                MapVerb::update,           MapVerb::upsert,  MapVerb::remove,
                                MapVerb::compare_exchange, MapVerb::contains};
    MapOperation operation;
    operation.verb = kVerbs.at(static_cast<std::size_t>(below(kVerbs.size())));
    operation.first = {operation.verb, below(2), below(4)};
    operation.expected = below(4);
    return operation;
  }

  void perform(int first_key, MapOperation& operation) {
    const int key = first_key + operation.first.key;
    const int value = operation.first.value;
    switch (operation.verb) {
      case MapVerb::create:
        operation.succeeded = store_->try_create(key, value);
        break;
      case MapVerb::update:
        operation.succeeded = store_->try_update(key, value);
        break;
      case MapVerb::upsert:
        operation.succeeded = store_->upsert(key, value);
        break;
      case MapVerb::remove:
        operation.succeeded = store_->try_remove(key);
        break;
      case MapVerb::compare_exchange:
        operation.succeeded = store_->compare_exchange(key, operation.expected, value);
        break;
      case MapVerb::contains:
        operation.succeeded = store_->contains(key);
        break;
      default:
        operation.seen = store_->try_read(key);
    }
  }

  Store* store_;
  std::minstd_rand random_;
};

/// One burst of calls from every caller at once. `disturb` runs in the midst of it.
template <class Store, class Disturb>
[[nodiscard]] MaybeHistory burst(std::deque<MapCaller<Store>>& callers, int round, const Disturb& disturb) {
  HistoryClock clock;
  std::vector<MaybeHistory> histories(callers.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < callers.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int call = 0; call < 12; ++call) {
        if (i == 0 && call == 4) disturb();
        callers[i].call(round, clock, histories[i]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return merged(histories);
}

}  // namespace support
