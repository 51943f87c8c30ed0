// SPDX-License-Identifier: MIT

#include "kvstore/detail/per_thread.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <thread>
#include <variant>

#include "support/catch.hpp"

namespace per_thread_test {
namespace {

using kvstore::detail::PerThread;
using kvstore::detail::thread_memory;

bool remembered(const void* of) {
  const auto& places = thread_memory.places;
  return std::any_of(places.begin(), places.end(), [&](const auto& place) { return place.of == of; });
}

TEST_CASE("PerThread: a thread has its own object, and finds it again") {
  PerThread<int> numbers;
  *numbers.own() = 5;
  int* other = nullptr;
  std::jthread{[&] {
    other = numbers.own();
    CHECK(*other == 0);
  }}.join();
  CHECK(numbers.own() != other);
  CHECK(*numbers.own() == 5);
  CHECK(numbers.size() == 2);
}

TEST_CASE("PerThread: objects of different types are remembered side by side") {
  struct Store {
    PerThread<int> numbers;
    PerThread<double> figures;
    PerThread<char> letters;
  };
  std::array<Store, 20> stores;
  for (Store& store : stores) {
    REQUIRE(store.numbers.own() != nullptr);
    REQUIRE(store.figures.own() != nullptr);
    REQUIRE(store.letters.own() != nullptr);
  }
  for (const Store& store : stores) {
    CHECK(remembered(&store.numbers));
    CHECK(remembered(&store.figures));
    CHECK(remembered(&store.letters));
  }
}

TEST_CASE("PerThread: what another type has left at the same address is not taken for one's own") {
  struct First {
    int figure = 0;
  };
  struct Second {
    int figure = 0;
  };
  std::variant<std::monostate, PerThread<First>, PerThread<Second>> here;
  for (int life = 0; life < 3; ++life) {
    here.emplace<1>().own()->figure = 7;
    CHECK(here.emplace<2>().own()->figure == 0);
    std::get<2>(here).own()->figure = 9;
  }
}

}  // namespace
}  // namespace per_thread_test
