// SPDX-License-Identifier: MIT

// Shared libraries that hold a store, and are unloaded.

#include <string>

#include "support/catch.hpp"
#include "support/lifecycle_storage.hpp"
#include "support/scene.hpp"

namespace library_test { namespace {

using support::Scene;
using Lines = Scene::Lines;

std::string any_storage() { return GENERATE(from_range(support::lifecycle_storages())); }

TEST_CASE("Library: its global store keeps everything when it is unloaded") {
  const Scene scene{"unloaded library", any_storage()};
  INFO(scene.errors());
  CHECK(scene.end() == "exit 0");
  CHECK(scene.acknowledged() == 1);
  CHECK(scene.lost() == Lines{});
}

TEST_CASE("Library: forks are noticed after the library that watched for them first is gone") {
  const Scene scene{"fork after an unloaded library", any_storage()};
  INFO(scene.errors());
  CHECK(scene.end() == "exit 0");
  REQUIRE(scene.said().size() == 3);
  CHECK(scene.said()[1] == "foreign");
  CHECK(scene.lost() == Lines{});
}

}  // namespace
}  // namespace library_test
