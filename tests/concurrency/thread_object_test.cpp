// SPDX-License-Identifier: MIT

#include "kvstore/detail/base/thread_object.hpp"

#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "kvstore/detail/base/per_thread.hpp"
#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/json/scratch_writer.hpp"
#include "support/catch.hpp"

namespace thread_object_test { namespace {

using kvstore::detail::TakenOut;
using kvstore::detail::thread_object;

/// Runs `early` in a new thread, and `late` when the objects of that thread have ended.
void live_and_die(const std::function<void()>& early, const std::function<void()>& late) {
  struct Last {
    std::function<void()> act;
    ~Last() { act(); }
  };
  std::thread{[&] {
    thread_local Last last{{}};  // made before `early`, so it ends after all objects made there
    early();
    last.act = late;
  }}.join();
}

TEST_CASE("Thread object: a thread meets its own again, and another thread has another") {
  struct Owner {};
  std::string* const mine = thread_object<std::string, Owner>();
  REQUIRE(mine != nullptr);
  CHECK((thread_object<std::string, Owner>()) == mine);
  std::thread{[&] { CHECK((thread_object<std::string, Owner>()) != mine); }}.join();
}

TEST_CASE("Thread object: there is none once it has ended") {
  struct Owner {};
  live_and_die([] { CHECK((thread_object<std::string, Owner>()) != nullptr); },
               [] { CHECK((thread_object<std::string, Owner>()) == nullptr); });
}

TEST_CASE("TakenOut: it is the thread's object, or a temporary one once that has ended") {
  struct Owner {};
  live_and_die(
      [] {
        TakenOut<std::string, Owner> early;
        *early = "early";
        early.give_back();
        CHECK((*TakenOut<std::string, Owner>{}) == "early");
      },
      [] {
        TakenOut<std::string, Owner> late;
        CHECK((*late).empty());
        *late = "late";
        late.give_back();
        CHECK((*TakenOut<std::string, Owner>{}).empty());
      });
}

TEST_CASE("TakenOut: two at a time are two objects, and what is given back is taken next") {
  struct Owner {};
  TakenOut<std::string, Owner> first;
  *first = "a text too long for the object itself";
  const TakenOut<std::string, Owner> second;
  CHECK((*second).empty());
  first.give_back();
  const TakenOut<std::string, Owner> third;
  CHECK(*third == "a text too long for the object itself");
}

TEST_CASE("TakenOut: it does without the thread's object where that has ended") {
  struct Owner {};
  live_and_die([] { (TakenOut<std::string, Owner>{}).give_back(); },
               [] {
                 TakenOut<std::string, Owner> late;
                 *late = "a text too long for the object itself";
                 late.give_back();
                 CHECK((*TakenOut<std::string, Owner>{}).empty());
               });
}

TEST_CASE("ScratchWriter: it works where the thread's objects have ended") {
  const auto write = [] {
    kvstore::detail::ScratchWriter scratch;
    scratch->raw("some text that needs memory of its own");
    CHECK(scratch.text() == "some text that needs memory of its own");
  };
  live_and_die(write, write);
}

TEST_CASE("PerThread: a thread whose objects have ended has none") {
  kvstore::detail::PerThread<int> numbers;
  live_and_die([&] { CHECK(numbers.local() != nullptr); }, [&] { CHECK(numbers.local() == nullptr); });
}

}  // namespace
}  // namespace thread_object_test
