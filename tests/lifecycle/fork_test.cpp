// SPDX-License-Identifier: MIT

// Processes that fork while a store is open. The store stays with the parent, and the child does no harm,
// however it ends.

#include <algorithm>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/lifecycle_storage.hpp"
#include "support/scene.hpp"

namespace fork_test { namespace {

using support::Scene;
using Lines = Scene::Lines;

std::string any_storage() { return GENERATE(from_range(support::lifecycle_storages())); }

/// The child ends normally, and the parent loses nothing.
void require_harmless(const std::string& name) {
  const std::string storage = any_storage();
  const Scene scene{name, storage};
  INFO(name << ", " << storage << ": " << scene.errors());
  CHECK(scene.end() == "exit 0");
  CHECK(scene.said() == Lines{"child: exit 0"});
  CHECK(scene.lost() == Lines{});
}

TEST_CASE("Fork: a child that exits harms nothing") { require_harmless("child exits"); }

TEST_CASE("Fork: a child that leaves by _exit harms nothing") { require_harmless("child leaves at once"); }

TEST_CASE("Fork: a child that becomes another program harms nothing") { require_harmless("child executes"); }

TEST_CASE("Fork: a child that returns from main harms nothing") { require_harmless("child returns"); }

TEST_CASE("Fork: a child that exits undoes nothing of what its parent saved meanwhile") {
  require_harmless("child exits and parent dies");
}

TEST_CASE("Fork: close() in a child does nothing") {
  const Scene scene{"child closes", any_storage()};
  INFO(scene.errors());
  CHECK(scene.end() == "exit 0");
  CHECK(scene.said() == Lines{"close: done", "child: exit 0"});
  CHECK(scene.lost() == Lines{});
}

TEST_CASE("Fork: a child's writes are refused, and the words say to open after the fork") {
  const Scene scene{"daemon", any_storage()};
  INFO(scene.errors());
  CHECK(scene.end() == "exit 0");
  CHECK(scene.said().size() == 9);
  Lines others = scene.said();
  std::erase_if(others, [](const std::string& line) {
    return line.find(": UsageError: ") != std::string::npos &&
           line.find("after the fork") != std::string::npos;
  });
  CHECK(others == Lines{});
  CHECK(scene.lost() == Lines{});
}

TEST_CASE("Fork: a store that is opened after forking is the child's own") {
  const Scene scene{"proper daemon", any_storage()};
  INFO(scene.errors());
  CHECK(scene.acknowledged() == 1);
  CHECK(scene.lost() == Lines{});
}

TEST_CASE("Fork: a child waits for no lock that another thread of its parent held") {
  const Scene scene{"fork beside writers", any_storage()};
  INFO(scene.errors());
  CHECK(scene.end() == "exit 0");
  CHECK(std::ranges::count(scene.said(), "child: exit 0") == 24);
  CHECK(std::ranges::count(scene.said(), "upsert: done") == 0);
  CHECK(std::ranges::count(scene.said(), "close: done") == 8);
  CHECK(scene.lost() == Lines{});
}

TEST_CASE("Fork: a child has stores of its own, which work beside its parent's") {
  const Scene scene{"store of the child", any_storage()};
  INFO(scene.errors());
  CHECK(scene.end() == "exit 0");
  CHECK(scene.said() == Lines{"child has 0", "child has 1", "child: exit 0"});
  CHECK(scene.lost() == Lines{});
}

}  // namespace
}  // namespace fork_test
