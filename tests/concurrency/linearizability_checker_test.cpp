// SPDX-License-Identifier: MIT

// The checker itself: it accepts histories that a correct store can have, and refuses histories that no
// correct store can have.

#include <cstdint>
#include <optional>
#include <utility>

#include "support/catch.hpp"
#include "support/linearizability.hpp"
#include "support/map_history.hpp"

namespace linearizability_checker_test {

using support::MapHistory;
using support::MapOperation;
using support::MapState;
using support::MapVerb;

namespace {

MapOperation write(int key, int value) {
  return {.verb = MapVerb::upsert, .first = {MapVerb::upsert, key, value}, .succeeded = true};
}
MapOperation overwrite(int key, int value) {
  MapOperation operation = write(key, value);
  operation.succeeded = false;
  return operation;
}
MapOperation read(int key, std::optional<int> seen) {
  return {.verb = MapVerb::read, .first = {MapVerb::read, key, 0}, .seen = seen};
}
MapOperation create(int key, int value, bool succeeded) {
  return {.verb = MapVerb::create, .first = {MapVerb::create, key, value}, .succeeded = succeeded};
}
MapOperation increment(int key, int seen) {
  return {
      .verb = MapVerb::modify, .first = {MapVerb::modify, key, seen + 1}, .succeeded = true, .seen = seen};
}
MapOperation exchange(int key, int expected, int desired, bool succeeded) {
  return {.verb = MapVerb::compare_exchange,
          .first = {MapVerb::compare_exchange, key, desired},
          .expected = expected,
          .succeeded = succeeded};
}
MapOperation write_both(int value) {
  return {.verb = MapVerb::apply,
          .first = {MapVerb::upsert, 0, value},
          .second = {MapVerb::upsert, 1, value},
          .succeeded = true};
}

bool possible(const MapHistory& history, const MapState& initial = {}) {
  return support::is_linearizable(history, initial);
}

}  // namespace

TEST_CASE("Linearizability checker: an empty history is possible") { REQUIRE(possible({})); }

TEST_CASE("Linearizability checker: a read that overlaps a write may see it or not") {
  REQUIRE(possible({{0, 3, write(0, 5)}, {1, 2, read(0, 5)}}));
  REQUIRE(possible({{0, 3, write(0, 5)}, {1, 2, read(0, std::nullopt)}}));
}

TEST_CASE("Linearizability checker: a read after a write must see it") {
  REQUIRE(possible({{0, 1, write(0, 5)}, {2, 3, read(0, 5)}}));
  REQUIRE_FALSE(possible({{0, 1, write(0, 5)}, {2, 3, read(0, std::nullopt)}}));
}

TEST_CASE("Linearizability checker: a value that nobody wrote is impossible") {
  REQUIRE_FALSE(possible({{0, 3, write(0, 5)}, {1, 2, read(0, 6)}}));
}

TEST_CASE("Linearizability checker: two reads cannot see a write come and go") {
  REQUIRE_FALSE(possible({{0, 9, write(0, 5)}, {1, 2, read(0, 5)}, {3, 4, read(0, std::nullopt)}}));
}

TEST_CASE("Linearizability checker: two readers cannot see two writes in opposite orders") {
  const MapHistory history{{0, 9, write(0, 1)},           {1, 10, write(1, 1)}, {2, 3, read(0, 1)},
                           {4, 5, read(1, std::nullopt)}, {6, 7, read(1, 1)},   {8, 11, read(0, 1)}};
  REQUIRE(possible(history));
  const MapHistory opposite{{0, 20, write(0, 1)}, {1, 21, write(1, 1)},
                            {2, 3, read(0, 1)},   {6, 7, read(1, std::nullopt)},
                            {4, 5, read(1, 1)},   {8, 9, read(0, std::nullopt)}};
  REQUIRE_FALSE(possible(opposite));
}

TEST_CASE("Linearizability checker: one of two creates of a key succeeds") {
  REQUIRE(possible({{0, 2, create(0, 1, true)}, {1, 3, create(0, 2, false)}}));
  REQUIRE_FALSE(possible({{0, 2, create(0, 1, true)}, {1, 3, create(0, 2, true)}}));
  REQUIRE_FALSE(possible({{0, 2, create(0, 1, false)}, {1, 3, create(0, 2, false)}}));
}

TEST_CASE("Linearizability checker: a lost increment is impossible") {
  const MapState ten{10};
  REQUIRE(possible({{0, 2, increment(0, 10)}, {1, 3, increment(0, 11)}}, ten));
  REQUIRE_FALSE(possible({{0, 2, increment(0, 10)}, {1, 3, increment(0, 10)}}, ten));
}

TEST_CASE("Linearizability checker: compare_exchange fails only where another value stood") {
  const MapState ten{10};
  REQUIRE_FALSE(possible({{0, 1, exchange(0, 10, 11, false)}}, ten));
  REQUIRE(possible({{0, 2, exchange(0, 10, 11, false)}, {1, 3, overwrite(0, 12)}}, ten));
  REQUIRE_FALSE(possible({{0, 2, exchange(0, 10, 11, true)}, {1, 3, exchange(0, 10, 12, true)}}, ten));
}

TEST_CASE("Linearizability checker: half of a batch is never seen") {
  REQUIRE(possible({{0, 9, write_both(1)}, {1, 2, read(0, std::nullopt)}, {3, 4, read(1, 1)}}));
  REQUIRE_FALSE(possible({{0, 9, write_both(1)}, {1, 2, read(0, 1)}, {3, 4, read(1, std::nullopt)}}));
}

TEST_CASE("Linearizability checker: a snapshot shows one moment of the whole map") {
  const auto snapshot = [](const MapState& state) {
    return MapOperation{.verb = MapVerb::snapshot, .snapshot = state};
  };
  const MapHistory writes{{0, 1, write(0, 1)}, {2, 3, write(1, 1)}};
  for (const auto& [state, is_possible] :
       {std::pair{MapState{}, true}, std::pair{MapState{1}, true}, std::pair{MapState{1, 1}, true},
        std::pair{MapState{std::nullopt, 1}, false}}) {
    MapHistory history = writes;
    history.push_back({0, 4, snapshot(state)});
    REQUIRE(possible(history) == is_possible);
  }
}

TEST_CASE("Linearizability checker: three threads that overlap all the time are searched in no time") {
  MapHistory history;
  for (std::uint64_t i = 0; i < 16; ++i) {
    for (int thread = 0; thread < 3; ++thread)
      history.push_back({4 * i, 4 * i + 5, overwrite(thread, thread)});
  }
  const MapState initial{0, 0, 0};
  REQUIRE(possible(history, initial));
  history.push_back({100, 101, read(0, 99)});
  REQUIRE_FALSE(possible(history, initial));
}

}  // namespace linearizability_checker_test
