// SPDX-License-Identifier: MIT

// Ways in which a process ends. Acknowledged operations are there afterwards, as far as the contract of the
// store promises.

#include <string>

#include "support/catch.hpp"
#include "support/lifecycle_storage.hpp"
#include "support/scene.hpp"

namespace exit_test { namespace {

using support::Scene;
using Lines = Scene::Lines;

std::string any_storage() { return GENERATE(from_range(support::lifecycle_storages())); }

/// A scene whose end closes the store, and so loses nothing.
void require_all(const std::string& name, const std::string& end = "exit 0") {
  const std::string storage = any_storage();
  const Scene scene{name, storage};
  INFO(name << ", " << storage << ": " << scene.errors());
  CHECK(scene.end() == end);
  CHECK(scene.acknowledged() != 0);
  CHECK(scene.lost() == Lines{});
}

/// A scene that ends like a crash.
void require_as_after_a_crash(const std::string& name, const std::string& end) {
  const std::string storage = any_storage();
  const Scene scene{name, storage};
  INFO(name << ", " << storage << ": " << scene.errors());
  CHECK(scene.end() == end);
  CHECK(scene.acknowledged() != 0);
  CHECK(scene.lost_beyond_a_crash() == Lines{});
}

TEST_CASE("Exit: a static store keeps what was written before main returned") { require_all("static store"); }

TEST_CASE("Exit: a static store keeps what a thread's own object writes as it ends") {
  require_all("thread_local of a thread");
}

TEST_CASE("Exit: a static store keeps what an object of the main thread writes as it ends") {
  require_all("thread_local of main");
}

TEST_CASE("Exit: a static store keeps what a handler of exit() writes") { require_all("exit handler"); }

TEST_CASE("Exit: a static store keeps what a static object writes in its destructor") {
  require_all("static object");
}

TEST_CASE("Exit: a static store saves keys whose text needs a buffer of the thread") {
  require_all("static store of odd keys");
}

TEST_CASE("Exit: an object that is older than the library opens a store as it ends") {
  const std::string storage = any_storage();
  const Scene scene{"store of a late object", storage};
  INFO(storage << ": " << scene.errors());
  CHECK(scene.end() == "exit 0");
  CHECK(scene.said() == Lines{"visits: 1", "visits: 2", "visits: 3"});
}

TEST_CASE("Exit: on_error may leave the program, from a verb") { require_all("exit in on_error", "exit 3"); }

TEST_CASE("Exit: on_error may leave the program, from close()") {
  require_all("exit in on_error of close", "exit 3");
}

TEST_CASE("Exit: on_error may leave the program, from the thread that saves") {
  require_all("exit in on_error of the saver", "exit 3");
}

TEST_CASE("Exit: a logger may leave the program, from a verb") {
  const Scene scene{"exit in logger", any_storage()};
  INFO(scene.errors());
  CHECK(scene.end() == "exit 3");
  CHECK(scene.lost() == Lines{});
}

TEST_CASE("Exit: a logger may leave the program, from the thread that saves") {
  require_all("exit in logger of the saver", "exit 3");
}

TEST_CASE("Exit: a callback of visit() may leave the program") { require_all("exit in visit", "exit 3"); }

TEST_CASE("Exit: a callback of modify() may leave the program") { require_all("exit in modify", "exit 3"); }

TEST_CASE("Exit: one thread leaves the program while others write") {
  require_all("exit beside writers", "exit 3");
}

TEST_CASE("Exit: quick_exit is as good as a crash") { require_as_after_a_crash("quick_exit", "exit 0"); }

TEST_CASE("Exit: a store that is never deleted ends as in a crash") {
  require_as_after_a_crash("leaked store", "exit 0");
}

TEST_CASE("Exit: a store on the stack that exit() does not unwind ends as in a crash") {
  require_as_after_a_crash("store on the stack", "exit 0");
}

TEST_CASE("Exit: SIGTERM is as good as a crash") { require_as_after_a_crash("terminated", "signal 15"); }

TEST_CASE("Exit: SIGKILL in the middle of writing is a crash") {
  require_as_after_a_crash("killed while it writes", "signal 9");
}

TEST_CASE("Exit: a process that becomes another program lets go of its store") {
  require_all("exec without fork");
}

TEST_CASE("Exit: a program without standard descriptors does not write its words into the files") {
  require_all("standard descriptors closed");
}

}  // namespace
}  // namespace exit_test
