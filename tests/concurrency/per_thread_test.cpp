// SPDX-License-Identifier: MIT

#include "kvstore/detail/base/per_thread.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <variant>
#include <vector>

#include "support/catch.hpp"

namespace per_thread_test { namespace {

using kvstore::detail::PerThread;
using kvstore::detail::thread_memory;

bool remembered(const void* object) {
  const auto& places = thread_memory.places;
  return std::any_of(places.begin(), places.end(), [&](const auto& place) { return place.object == object; });
}

TEST_CASE("PerThread: a thread has its own object, and finds it again") {
  PerThread<int> numbers;
  *numbers.local() = 5;
  int* other = nullptr;
  std::jthread{[&] {
    other = numbers.local();
    CHECK(*other == 0);
  }}.join();
  CHECK(numbers.local() != other);
  CHECK(*numbers.local() == 5);
  CHECK(numbers.size() == 2);
}

TEST_CASE("PerThread: objects of different types are remembered side by side") {
  struct Store {
    PerThread<int> numbers;
    PerThread<double> figures;
    PerThread<char> letters;
  };
  std::array<Store, 20> stores;
  std::vector<const void*> objects;
  for (Store& store : stores) {
    objects.insert(objects.end(), {store.numbers.local(), store.figures.local(), store.letters.local()});
  }
  for (const void* object : objects) {
    REQUIRE(object != nullptr);
    CHECK(remembered(object));
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
    here.emplace<1>().local()->figure = 7;
    CHECK(here.emplace<2>().local()->figure == 0);
    std::get<2>(here).local()->figure = 9;
  }
}

TEST_CASE("PerThread: a thread keeps its object among many, and leaves it to the next thread") {
  std::vector<std::unique_ptr<PerThread<int>>> many;
  for (int i = 0; i < 100; ++i) many.push_back(std::make_unique<PerThread<int>>());
  std::vector<const int*> first;
  std::jthread{[&] {
    for (const auto& objects : many) first.push_back(objects->local());
    for (std::size_t i = 0; i < many.size(); ++i) CHECK(many[i]->local() == first[i]);
  }}.join();
  std::vector<const int*> next;
  std::jthread{[&] {
    for (const auto& objects : many) next.push_back(objects->local());
  }}.join();
  CHECK(next == first);
  for (const auto& objects : many) CHECK(objects->size() == 1);
}

TEST_CASE("PerThread: threads that live at once have objects of their own") {
  PerThread<std::atomic<int>> objects;
  std::atomic<int> wrong = 0;
  for (int round = 0; round < 50; ++round) {
    std::vector<std::jthread> team;
    for (int t = 0; t < 4; ++t) {
      team.emplace_back([&] {
        std::atomic<int>* const own = objects.local();
        if (own == nullptr || own->exchange(1) != 0) ++wrong;
        std::this_thread::yield();
        if (own != nullptr) own->store(0);
      });
    }
  }
  CHECK(wrong == 0);
  CHECK(objects.size() <= 4);
}

/// Reads when its thread ends. It was made before the objects that the store keeps for that thread, so these
/// are gone by then.
struct LateReader {
  ~LateReader() {
    if (objects != nullptr) *result = objects->local();
  }
  PerThread<int>* objects = nullptr;
  const int** result = nullptr;
};

TEST_CASE("PerThread: a thread that is ending has none, as the next one may have it already") {
  PerThread<int> objects;
  int anything = 0;
  const int* late = &anything;
  std::jthread{[&] {
    thread_local LateReader reader;
    reader.objects = &objects;
    reader.result = &late;
    CHECK(objects.local() != nullptr);
  }}.join();
  CHECK(late == nullptr);
}

}  // namespace
}  // namespace per_thread_test
