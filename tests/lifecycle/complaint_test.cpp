// SPDX-License-Identifier: MIT

// Operations that are not on disk when the process ends: a handler is told of them, or standard error is.

#include <algorithm>
#include <string>

#include "support/catch.hpp"
#include "support/lifecycle_storage.hpp"
#include "support/scene.hpp"

namespace complaint_test { namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;
using support::Scene;

std::string any_storage() { return GENERATE(from_range(support::lifecycle_storages())); }

/// With a journal the operating system has every operation, so the end of a process loses nothing.
bool has_journal(const std::string& storage) { return storage == "JsonJournal"; }

void require_two_lost(const std::string& name, const std::string& end = "exit 0",
                      const std::string& why = "") {
  const std::string storage = any_storage();
  const Scene scene{name, storage};
  INFO(storage << ": " << scene.errors());
  CHECK(scene.end() == end);
  const std::string& words = scene.errors();
  if (has_journal(storage)) {
    CHECK(words == "");
    return;
  }
  CHECK_THAT(words, StartsWith("kvstore: " + scene.folder().string()));
  CHECK_THAT(words, ContainsSubstring(": 2 operations were not saved: " + why));
  CHECK(std::count(words.begin(), words.end(), '\n') == 1);
}

/// A handler was told, so standard error stays empty.
void require_told(const std::string& name, const std::string& line) {
  const std::string storage = any_storage();
  const Scene scene{name, storage};
  INFO(storage);
  CHECK(scene.end() == "exit 0");
  CHECK(std::ranges::count(scene.said(), line) == (has_journal(storage) ? 0 : 1));
  CHECK(scene.errors() == "");
}

TEST_CASE("Complaint: a store that is never deleted says on standard error how much it has lost") {
  require_two_lost("leaked store");
}

TEST_CASE("Complaint: a store that exit() does not unwind says on standard error how much it has lost") {
  require_two_lost("store on the stack");
}

TEST_CASE("Complaint: a destructor that cannot save says so on standard error") {
  require_two_lost("failing destructor");
}

TEST_CASE("Complaint: a callback that ends the program is told of, once, as its store cannot save") {
  const std::string name = GENERATE("exit in visit, unsaved", "exit in for_each, unsaved");
  require_two_lost(name, "exit 3", "the program ended inside a callback of the store\n");
}

TEST_CASE("Complaint: with complaints switched off nothing is said, however operations are lost") {
  const std::string name = GENERATE("silent leaked store", "silent store on the stack",
                                    "silent failing destructor", "silent exit in visit");
  const Scene scene{name, any_storage()};
  INFO(name);
  CHECK(scene.end() == (name == "silent exit in visit" ? "exit 3" : "exit 0"));
  CHECK(scene.errors() == "");
}

TEST_CASE("Complaint: where on_error is told, standard error is left alone") {
  require_told("failing destructor with on_error", "on_error");
}

TEST_CASE("Complaint: where the logger is told, standard error is left alone") {
  require_told("failing destructor with logger", "save failed");
}

TEST_CASE("Complaint: a store that is closed, or static and ends with the program, says nothing") {
  const Scene scene{"static store", any_storage()};
  CHECK(scene.errors() == "");
}

TEST_CASE("Complaint: a forked child says nothing of its parent's store") {
  const std::string name = GENERATE("child exits", "child returns", "child leaves at once");
  const Scene scene{name, any_storage()};
  CHECK(scene.errors() == "");
}

}  // namespace
}  // namespace complaint_test
